"""Fréchet and kernel distances against closed forms, scipy's matrix square root and plain sums."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gcl_core.evaluation.frechet import Statistics, frechet_distance, gaussian_statistics, kernel_distance
from gcl_core.seeding import numpy_generator


def random_features(n: int, d: int, seed: int = 0, *, rank: int | None = None) -> np.ndarray:
    """Correlated rows; with `rank`, all in a random subspace of that size."""
    random = numpy_generator(seed, "test features")
    return random.normal(size=(n, rank or d)) @ random.normal(size=(rank or d, d)) + random.normal(size=d)


def test_statistics_equal_plain_sums() -> None:
    rows = random_features(7, 3).astype(np.float32)
    statistics = gaussian_statistics(rows)
    mean = sum(row.astype(np.float64) for row in rows) / 7
    covariance = sum(np.outer(row - mean, row - mean) for row in rows) / 6
    assert statistics.count == 7
    assert statistics.mean.dtype == statistics.covariance.dtype == np.float64
    assert np.allclose(statistics.mean, mean, atol=1e-12)
    assert np.allclose(statistics.covariance, covariance, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(500, 20), (8, 20), (2, 5)])
def test_a_set_is_at_distance_zero_from_itself(n: int, d: int) -> None:
    statistics = gaussian_statistics(random_features(n, d))
    assert frechet_distance(statistics, statistics) == pytest.approx(0, abs=1e-9 * np.trace(statistics.covariance))


def test_diagonal_gaussians() -> None:
    a, b = np.array([4.0, 1.0, 0.0]), np.array([1.0, 9.0, 4.0])
    mean = np.array([1.0, -2.0, 0.5])
    distance = frechet_distance(Statistics(mean, np.diag(a), 10), Statistics(np.zeros(3), np.diag(b), 10))
    assert distance == pytest.approx((mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), abs=1e-12)


def test_shifted_means() -> None:
    rows = random_features(100, 6)
    shift = np.arange(6.0)
    distance = frechet_distance(gaussian_statistics(rows), gaussian_statistics(rows + shift))
    assert distance == pytest.approx((shift**2).sum(), abs=1e-9)


def test_constant_features() -> None:
    constant, rows = gaussian_statistics(np.ones((4, 3))), gaussian_statistics(random_features(50, 3))
    expected = ((rows.mean - 1) ** 2).sum() + np.trace(rows.covariance)
    assert frechet_distance(constant, rows) == pytest.approx(expected)
    assert frechet_distance(constant, constant) == 0


@pytest.mark.parametrize(("n_a", "n_b", "rank"), [(200, 300, None), (10, 12, None), (200, 9, None), (100, 100, 5)])
def test_equals_matrix_square_root_also_when_rank_deficient(n_a: int, n_b: int, rank: int | None) -> None:
    a = gaussian_statistics(random_features(n_a, 30, 1, rank=rank))
    b = gaussian_statistics(random_features(n_b, 30, 2, rank=rank))
    # Tr (Σa Σb)^½ = Tr (Σa^½ Σb Σa^½)^½: symmetric, where scipy's square root is steady enough to 1e-5
    root = np.real(sqrtm(a.covariance))
    overlap = np.trace(np.real(sqrtm(root @ b.covariance @ root)))
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_orthogonal_subspaces_are_exact() -> None:
    random = numpy_generator(0, "test subspaces")
    a, b = np.zeros((6, 20)), np.zeros((6, 20))
    a[:, :10], b[:, 10:] = random.normal(size=(6, 10)), random.normal(size=(6, 10))
    a, b = gaussian_statistics(a), gaussian_statistics(b)
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_random_halves_come_closer_with_more_rows() -> None:
    rows = numpy_generator(0, "test halves").normal(size=(6400, 16))
    distances = [
        frechet_distance(gaussian_statistics(rows[:n]), gaussian_statistics(rows[n : 2 * n])) for n in (50, 400, 3200)
    ]
    assert distances[0] > 2 * distances[1] > 4 * distances[2] > 0


def test_kernel_distance_equals_loops() -> None:
    a, b = random_features(9, 4, 1), random_features(9, 4, 2)

    def mean_kernel(x: np.ndarray, y: np.ndarray, *, skip: bool) -> float:
        pairs = [(i, j) for i in range(9) for j in range(9) if not (skip and i == j)]
        return float(np.mean([(sum(x[i] * y[j]) / 4 + 1) ** 3 for i, j in pairs]))

    expected = mean_kernel(a, a, skip=True) + mean_kernel(b, b, skip=True) - 2 * mean_kernel(a, b, skip=False)
    mean, deviation = kernel_distance(a, b, subsets=3, subset_size=9, seed=0)  # whole sets: the order is immaterial
    assert mean == pytest.approx(expected)
    assert deviation == pytest.approx(0, abs=1e-9 * abs(mean))


def test_kernel_distance_is_unbiased_and_repeatable() -> None:
    random = numpy_generator(0, "test kernel")
    a, b = random.normal(size=(600, 8)), random.normal(size=(600, 8))
    near, spread = kernel_distance(a, b, subsets=40, subset_size=60, seed=3)
    assert abs(near) < spread
    assert kernel_distance(a, b + 0.5, subsets=40, subset_size=60, seed=3)[0] > 5 * abs(near)
    assert kernel_distance(a, b, subsets=40, subset_size=60, seed=3) == (near, spread)
    assert kernel_distance(a, b, subsets=40, subset_size=60, seed=4) != (near, spread)


def test_bad_features() -> None:
    rows = random_features(20, 4)
    with pytest.raises(ValueError, match="1 feature rows"):
        gaussian_statistics(rows[:1])
    with pytest.raises(ValueError, match="size 4 against 3"):
        frechet_distance(gaussian_statistics(rows), gaussian_statistics(rows[:, :3]))
    with pytest.raises(ValueError, match="3 subsets of 21 rows"):
        kernel_distance(rows, rows, subsets=3, subset_size=21, seed=0)
    rows[5, 2] = np.nan
    with pytest.raises(ValueError, match="feature row 5 is not finite"):
        gaussian_statistics(rows)
