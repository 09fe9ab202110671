"""Distances between two sets of features: Fréchet (FID) and kernel (KID)."""

import numpy as np
from jaxtyping import Float, Float64
from scipy import linalg
from threadpoolctl import threadpool_limits

from gcl_core.evaluation.moments import EPSILON, Statistics, check_count, check_finite
from gcl_core.seeding import numpy_rng

LOSS = 1e-10  # digits given up for speed: of the sum of singular values, at most; what is really lost is far less


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Return |μa - μb|² + Tr(Σa + Σb - 2 (Σa Σb)^½), the FID if the features are Inception's.

    With roots Σ = R Rᵀ, the trace of (Σa Σb)^½ is the sum of the singular values of Raᵀ Rb: no square root is taken of
    rounding noise, so rank-deficient covariances are exact too. `a` and `b` keep their roots for the next call.
    Raises ValueError if the feature sizes differ. Source: METHOD.md §7.1.4.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of size {len(a.mean)} against {len(b.mean)}: expected both from the same network")
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * _singular_sum(a.root.T @ b.root)
    return max(0.0, float(np.square(a.mean - b.mean).sum() + trace))


def _singular_sum(matrix: Float64[np.ndarray, "n m"]) -> float:
    """Return the sum of singular values: roots of the eigenvalues of M Mᵀ, many times faster, where these are sharp.

    Eigenvalues are known to ε of the largest, λ1, so that the root of each is off by ε λ1 / 2√λ. Where these errors,
    added as independent ones, exceed LOSS of the sum, the singular values are computed themselves.
    """
    if not matrix.size:
        return 0.0
    low = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    gram = low @ low.T
    with threadpool_limits(1, user_api="blas"):  # many short steps: several threads mostly wait for each other
        values = linalg.eigvalsh(gram, driver="ev", overwrite_a=True, check_finite=False)
        if values[0] > 0:
            total = np.sqrt(values).sum()
            if EPSILON * values[-1] * np.sqrt((1 / values).sum()) / 2 <= LOSS * total:
                return float(total)
        return float(np.sum(linalg.svdvals(matrix, check_finite=False)))


def kernel_distance(
    features_a: Float[np.ndarray, "n d"],
    features_b: Float[np.ndarray, "m d"],
    *,
    subsets: int,
    subset_size: int,
    seed: int,
) -> tuple[float, float]:
    """Return mean and standard deviation over random subsets of the kernel distance (KID), computed in float64.

    Each is the unbiased squared maximum mean discrepancy with kernel (x·y/d + 1)³ between `subset_size` rows of each
    set, drawn without replacement; it can be slightly negative. Unlike FID it does not depend on the number of rows.
    The deviation is that of one subset; subsets share rows, so the mean's is not that over the root of their number.
    Raises ValueError for a subset larger than a set or below two, and for rows that are not finite.
    Source: METHOD.md §7.1.6; Bińkowski et al. 2018, "Demystifying MMD GANs".
    """
    for rows in (features_a, features_b):
        check_count(len(rows))
        check_finite(rows)
    smaller = min(len(features_a), len(features_b))
    if not 2 <= subset_size <= smaller or subsets < 1:
        raise ValueError(
            f"{subsets} subsets of {subset_size} rows from sets of {len(features_a)} and {len(features_b)}: expected "
            "at least one subset, of between 2 rows and the size of the smaller set"
        )
    values = []
    for subset in range(subsets):
        random = numpy_rng(seed, "kernel distance", subset)
        x = features_a[random.choice(len(features_a), subset_size, replace=False)].astype(np.float64)
        y = features_b[random.choice(len(features_b), subset_size, replace=False)].astype(np.float64)
        values.append(_unbiased_mean(_kernel(x, x)) + _unbiased_mean(_kernel(y, y)) - 2 * _kernel(x, y).mean())
    return float(np.mean(values)), float(np.std(values))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _unbiased_mean(kernel: np.ndarray) -> float:
    """Return the mean of a kernel matrix without its diagonal."""
    return float((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)))
