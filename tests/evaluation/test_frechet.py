"""Fréchet and kernel distances against closed forms, scipy's matrix square root and plain sums."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gcl_core.evaluation import frechet as module
from gcl_core.evaluation import moments
from gcl_core.evaluation.frechet import frechet_distance, kernel_distance
from gcl_core.evaluation.moments import Statistics, gaussian_statistics
from gcl_core.seeding import numpy_rng


def random_features(n: int, d: int, seed: int = 0, *, rank: int | None = None) -> np.ndarray:
    """Correlated rows; with `rank`, all in a random subspace of that size."""
    random = numpy_rng(seed, "test features")
    return random.normal(size=(n, rank or d)) @ random.normal(size=(rank or d, d)) + random.normal(size=d)


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
    random = numpy_rng(0, "test subspaces")
    a, b = np.zeros((6, 20)), np.zeros((6, 20))
    a[:, :10], b[:, 10:] = random.normal(size=(6, 10)), random.normal(size=(6, 10))
    a, b = gaussian_statistics(a), gaussian_statistics(b)
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def with_spectrum(values: np.ndarray, axes: np.ndarray) -> Statistics:
    covariance = (axes * values) @ axes.T
    return Statistics(np.zeros(len(axes)), (covariance + covariance.T) / 2, 2 * len(axes))


def random_axes(size: int, seed: int) -> np.ndarray:
    return np.linalg.qr(numpy_rng(seed, "test axes").normal(size=(size, size)))[0]


def test_equals_matrix_square_root_to_nine_digits_where_that_is_sharp() -> None:
    a, b = (gaussian_statistics(random_features(n, 40, seed)) for n, seed in ((400, 1), (90, 2)))
    overlap = np.trace(np.real(sqrtm(a.covariance @ b.covariance)))
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rows", [3, 10, 30])
def test_few_rows_equal_the_matrix_square_root_in_the_subspace_they_span(rows: int) -> None:
    random, axes = numpy_rng(rows, "test few"), random_axes(60, rows)[:, : rows - 1]
    small = [random.normal(size=(rows, rows - 1)) for _ in range(2)]  # full rank there, n <= d here
    a, b = (gaussian_statistics(each @ axes.T) for each in small)
    full = [np.atleast_2d(np.cov(each, rowvar=False)) for each in small]
    overlap = np.trace(np.real(sqrtm(full[0] @ full[1])))
    mean = small[0].mean(axis=0) - small[1].mean(axis=0)
    expected = (mean**2).sum() + np.trace(full[0]) + np.trace(full[1]) - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("smallest", [1e-4, 1e-9, 1e-14, 1e-17])
def test_gaussians_on_the_same_axes_have_a_closed_form_at_any_condition(smallest: float) -> None:
    axes, values = random_axes(40, 0), np.geomspace(1, smallest, 40)
    a, b = with_spectrum(values, axes), with_spectrum(values[::-1], axes)  # each wide where the other is narrow
    expected = 2 * values.sum() - 2 * np.sqrt(values * values[::-1]).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5 if smallest < 1e-13 else 1e-10)
    assert frechet_distance(a, with_spectrum(4 * values, axes)) == pytest.approx(values.sum(), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_dependent_features_in_orthogonal_subspaces_are_exact_without_the_rows(seed: int) -> None:
    axes = random_axes(20, seed)
    one, other = np.r_[np.ones(10), np.zeros(10)], np.r_[np.zeros(10), np.full(10, 4.0)]
    # rounding leaves both covariances with tiny eigenvalues of either sign, whose roots would count 1e-8 each
    assert frechet_distance(with_spectrum(one, axes), with_spectrum(other, axes)) == pytest.approx(50, rel=1e-13)


@pytest.mark.parametrize(("decay", "slow"), [(0.5, False), (1.0, False), (5.0, True)])
def test_the_fast_sum_is_used_only_where_it_loses_nothing(
    decay: float, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[np.ndarray] = []
    svdvals = module.linalg.svdvals
    monkeypatch.setattr(module.linalg, "svdvals", lambda m, **_: computed.append(m) or svdvals(m))
    values = np.arange(1.0, 51.0) ** -decay
    matrix = random_axes(50, 1) * values @ random_axes(50, 2)
    assert module._singular_sum(matrix) == pytest.approx(values.sum(), rel=1e-13)
    assert bool(computed) == slow
    for part in (matrix[:20], matrix[:, :20]):
        assert module._singular_sum(part) == pytest.approx(np.linalg.norm(part, "nuc"), rel=1e-12)


def test_the_reference_is_factorised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    factorised: list[object] = []
    find = moments.linalg.get_lapack_funcs
    monkeypatch.setattr(moments.linalg, "get_lapack_funcs", lambda *of: factorised.append(of) or find(*of))
    reference = gaussian_statistics(random_features(50, 6))
    for seed in range(3):
        frechet_distance(gaussian_statistics(random_features(40, 6, seed)), reference)
    assert len(factorised) == 3 + 1


def test_random_halves_come_closer_with_more_rows() -> None:
    rows = numpy_rng(0, "test halves").normal(size=(6400, 16))
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


def test_kernel_distance_of_float32_features_is_computed_in_float64() -> None:
    a, b = (random_features(30, 16, seed).astype(np.float32) * 20 for seed in (1, 2))
    exact = kernel_distance(a.astype(np.float64), b.astype(np.float64), subsets=4, subset_size=20, seed=0)
    assert kernel_distance(a, b, subsets=4, subset_size=20, seed=0) == exact


def test_kernel_distance_is_unbiased_and_repeatable() -> None:
    random = numpy_rng(0, "test kernel")
    a, b = random.normal(size=(600, 8)), random.normal(size=(600, 8))
    near, spread = kernel_distance(a, b, subsets=40, subset_size=60, seed=3)
    assert abs(near) < spread
    assert kernel_distance(a, b + 0.5, subsets=40, subset_size=60, seed=3)[0] > 5 * abs(near)
    assert kernel_distance(a, b, subsets=40, subset_size=60, seed=3) == (near, spread)
    assert kernel_distance(a, b, subsets=40, subset_size=60, seed=4) != (near, spread)


def test_bad_features() -> None:
    rows = random_features(20, 4)
    with pytest.raises(ValueError, match="1 feature rows"):
        kernel_distance(rows, rows[:1], subsets=3, subset_size=2, seed=0)
    with pytest.raises(ValueError, match="size 4 against 3"):
        frechet_distance(gaussian_statistics(rows), gaussian_statistics(rows[:, :3]))
    with pytest.raises(ValueError, match="3 subsets of 21 rows"):
        kernel_distance(rows, rows, subsets=3, subset_size=21, seed=0)
    with pytest.raises(ValueError, match="0 subsets of 5 rows"):
        kernel_distance(rows, rows, subsets=0, subset_size=5, seed=0)
    rows[5, 2] = np.nan
    with pytest.raises(ValueError, match="feature row 5 is not finite"):
        kernel_distance(rows[:3], rows, subsets=3, subset_size=2, seed=0)
