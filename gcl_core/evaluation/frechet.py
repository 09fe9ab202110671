"""Distances between two sets of features: Fréchet (FID) and kernel (KID)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64
from scipy import linalg

from gcl_core.seeding import numpy_generator


@dataclass(frozen=True)
class Statistics:
    """The Gaussian of `count` feature rows: mean, and covariance with count - 1 in the denominator.

    `few` is kept when there are no more rows than features: the centred, scaled rows, already a root of the covariance.
    """

    mean: Float64[np.ndarray, "d"]
    covariance: Float64[np.ndarray, "d d"]
    count: int
    few: Float64[np.ndarray, "d n"] | None = None

    @cached_property
    def root(self) -> Float64[np.ndarray, "d r"]:
        """A matrix R with R Rᵀ = covariance."""
        if self.few is not None:
            return self.few
        values, vectors = linalg.eigh(self.covariance, driver="evd")
        kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
        return vectors[:, kept] * np.sqrt(values[kept])


def gaussian_statistics(features: Float[np.ndarray, "n d"]) -> Statistics:
    """Return mean and covariance of feature rows, in float64.

    With n <= d the covariance is rank-deficient: distances are still right for it but, as estimates, biased upwards.
    Raises ValueError for fewer than two rows or a row that is not finite.
    """
    rows = _checked(features)
    mean = rows.mean(axis=0)
    few = (rows - mean).T / np.sqrt(len(rows) - 1) if len(rows) <= rows.shape[1] else None
    return Statistics(mean, np.atleast_2d(np.cov(rows, rowvar=False)), len(rows), few)


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Return |μa - μb|² + Tr(Σa + Σb - 2 (Σa Σb)^½), the FID if the features are Inception's.

    With roots Σ = R Rᵀ, the trace of (Σa Σb)^½ is the sum of the singular values of Raᵀ Rb: no square root is taken of
    rounding noise, so rank-deficient covariances are exact too. `a` and `b` keep their roots for the next call.
    Raises ValueError if the feature sizes differ. Source: METHOD.md §7.1.4.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of size {len(a.mean)} against {len(b.mean)}: expected both from the same network")
    between = a.root.T @ b.root
    overlap = np.linalg.svd(between, compute_uv=False).sum() if between.size else 0.0
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return max(0.0, float(np.square(a.mean - b.mean).sum() + trace))


def kernel_distance(
    features_a: Float[np.ndarray, "n d"],
    features_b: Float[np.ndarray, "m d"],
    *,
    subsets: int,
    subset_size: int,
    seed: int,
) -> tuple[float, float]:
    """Return mean and standard deviation over random subsets of the kernel distance (KID).

    Each is the unbiased squared maximum mean discrepancy with kernel (x·y/d + 1)³ between `subset_size` rows of each
    set, drawn without replacement; it can be slightly negative. Unlike FID it does not depend on the number of rows.
    Raises ValueError for a subset larger than a set or below two, and for rows that are not finite.
    Source: METHOD.md §7.1.6; Bińkowski et al. 2018, "Demystifying MMD GANs".
    """
    a, b = _checked(features_a), _checked(features_b)
    if not 2 <= subset_size <= min(len(a), len(b)) or subsets < 1:
        raise ValueError(
            f"{subsets} subsets of {subset_size} rows from sets of {len(a)} and {len(b)}: expected at least one "
            "subset, of between 2 rows and the size of the smaller set"
        )
    values = []
    for subset in range(subsets):
        random = numpy_generator(seed, "kernel distance", subset)
        x = a[random.choice(len(a), subset_size, replace=False)]
        y = b[random.choice(len(b), subset_size, replace=False)]
        values.append(_unbiased_mean(_kernel(x, x)) + _unbiased_mean(_kernel(y, y)) - 2 * _kernel(x, y).mean())
    return float(np.mean(values)), float(np.std(values))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _unbiased_mean(kernel: np.ndarray) -> float:
    """Return the mean of a kernel matrix without its diagonal."""
    return float((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)))


def _checked(features: np.ndarray) -> np.ndarray:
    rows = features.astype(np.float64)
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} feature rows: expected at least 2 to estimate how they spread")
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"feature row {wrong[0]} is not finite ({len(wrong)} of {len(rows)} rows): check the pictures it is from"
        )
    return rows
