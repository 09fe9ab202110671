"""Times Fréchet distance, kernel distance and covariance against scipy.linalg.sqrtm, loops and np.cov; prints JSON.

OMP_NUM_THREADS=2 python benchmarks/frechet.py
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.linalg import sqrtm

from gcl_core.evaluation.frechet import frechet_distance, kernel_distance
from gcl_core.evaluation.moments import Statistics, gaussian_statistics
from gcl_core.seeding import numpy_rng

Result = TypeVar("Result")
FAR = 1e4  # an offset of all features
SUBSETS, SUBSET_SIZE = 50, 1000  # as a study takes them
LOOPED = 150  # rows of a subset that plain loops go over


def features(rows: int, size: int, decay: float, set_number: int) -> np.ndarray:
    """Rows whose k-th principal variance falls as 1/k^decay, on axes turned a little from set to set."""
    axes = np.linalg.qr(numpy_rng(0, "frechet axes").normal(size=(size, size)))[0]
    random = numpy_rng(0, "frechet rows", set_number)
    turn = np.linalg.qr(np.eye(size) + random.normal(size=(size, size)) / size)[0]
    scale = np.arange(1, size + 1) ** (-decay / 2)
    return (random.normal(size=(rows, size)) * scale) @ (axes @ turn) + random.normal(size=size) / size


def sqrtm_distance(a: Statistics, b: Statistics) -> float:
    """METHOD.md §7.1.4 as written."""
    shift = a.mean - b.mean
    overlap = np.trace(sqrtm(a.covariance @ b.covariance)).real
    return float(shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap)


def looped_kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """METHOD.md §7.1.6 over whole sets, pair by pair."""

    def mean(a: np.ndarray, b: np.ndarray, *, skip: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (skip and i == j)]
        return float(np.mean([(a[i] @ b[j] / a.shape[1] + 1) ** 3 for i, j in pairs]))

    return mean(x, x, skip=True) + mean(y, y, skip=True) - 2 * mean(x, y, skip=False)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def distances(a: Statistics, b: Statistics) -> dict[str, float]:
    ours, first = timed(lambda: frechet_distance(a, b))
    fresh = Statistics(a.mean, a.covariance, a.count)  # its root is still to be taken
    _, again = timed(lambda: frechet_distance(fresh, b))
    expected, seconds = timed(lambda: sqrtm_distance(a, b))
    return {
        "distance": ours,
        "relative difference to sqrtm": abs(ours - expected) / expected,
        "seconds": first,
        "seconds for another set against the same reference": again,
        "sqrtm seconds": seconds,
        "sqrtm / ours": seconds / first,
    }


def few_rows(count: int, size: int) -> dict[str, float]:
    """Fewer rows than features, against sqrtm in the subspace they span, where both covariances have full rank."""
    axes = np.linalg.qr(numpy_rng(0, "frechet few").normal(size=(size, count - 1)))[0]
    small = [numpy_rng(0, "frechet few", number).normal(size=(count, count - 1)) for number in range(2)]
    a, b = (gaussian_statistics(rows @ axes.T) for rows in small)
    ours, seconds = timed(lambda: frechet_distance(a, b))
    expected = sqrtm_distance(*(gaussian_statistics(rows) for rows in small))
    return {"rows": count, "relative difference to sqrtm": abs(ours - expected) / expected, "seconds": seconds}


def streaming(rows: np.ndarray) -> dict[str, float]:
    numpys, plain = timed(lambda: np.cov(rows, rowvar=False))
    ours, streamed = timed(lambda: gaussian_statistics(rows).covariance)
    far = gaussian_statistics(rows + FAR).covariance
    largest = np.abs(numpys).max()
    return {
        "np.cov seconds": plain,
        "streamed seconds": streamed,
        "largest difference / largest entry": float(np.abs(ours - numpys).max() / largest),
        f"the same with {FAR:g} added to all features": float(np.abs(far - numpys).max() / largest),
    }


def kernels(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    size = min(SUBSET_SIZE, len(a) // 2)
    (mean, deviation), seconds = timed(lambda: kernel_distance(a, b, subsets=SUBSETS, subset_size=size, seed=0))
    x, y = (rows[:LOOPED].astype(np.float64) for rows in (a, b))
    (ours, _), expected = kernel_distance(x, y, subsets=1, subset_size=LOOPED, seed=0), looped_kernel_distance(x, y)
    return {
        "mean": mean,
        "deviation over subsets": deviation,
        f"seconds, {SUBSETS} subsets of {size}": seconds,
        "relative difference to loops": abs(ours - expected) / abs(expected),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096, help="of each set; more than features")
    parser.add_argument("--size", type=int, default=2048, help="features per row")
    parser.add_argument("--decay", type=float, default=1.0, help="the k-th principal variance is 1/k^DECAY")
    options = parser.parse_args()
    a, b = (features(options.rows, options.size, options.decay, number) for number in range(2))
    report = {
        "rows": options.rows,
        "features": options.size,
        "decay": options.decay,
        "Fréchet distance": distances(gaussian_statistics(a), gaussian_statistics(b)),
        "Fréchet distance, fewer rows than features": few_rows(options.size // 2, options.size),
        "covariance": streaming(a),
        "kernel distance": kernels(a.astype(np.float32), b.astype(np.float32)),
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
