"""Mean, covariance and its root against numpy and plain sums, in any split and order, near and far from the origin."""

import numpy as np
import pytest
from scipy import linalg

from gcl_core.evaluation import moments as module
from gcl_core.evaluation.moments import Moments, Statistics, gaussian_statistics
from gcl_core.seeding import numpy_rng


def random_rows(n: int, d: int, *, offset: float = 0.0) -> np.ndarray:
    random = numpy_rng(0, "test moments")
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) + offset


def gathered(blocks: list[np.ndarray], size: int) -> Moments:
    moments = Moments.empty(size)
    for block in blocks:
        moments.add(block)
    return moments


def test_statistics_equal_plain_sums() -> None:
    rows = random_rows(7, 3).astype(np.float32)
    statistics = gaussian_statistics(rows)
    mean = sum(row.astype(np.float64) for row in rows) / 7
    covariance = sum(np.outer(row - mean, row - mean) for row in rows) / 6
    assert statistics.count == 7
    assert statistics.mean.dtype == statistics.covariance.dtype == np.float64
    assert np.allclose(statistics.mean, mean, atol=1e-12)
    assert np.allclose(statistics.covariance, covariance, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("cuts", [[], [1], [0, 1, 2, 3], [100, 100, 299], [7, 150, 151, 260]])
def test_any_split_gives_numpys_covariance_also_far_from_the_origin(cuts: list[int], offset: float) -> None:
    rows = random_rows(300, 12, offset=offset)
    near = rows - offset  # where numpy itself loses nothing
    statistics = gathered(np.split(rows, cuts), 12).statistics()
    assert statistics.count == 300
    assert np.allclose(statistics.mean, near.mean(axis=0) + offset, rtol=1e-14, atol=1e-13)
    assert np.abs(statistics.covariance - np.cov(near, rowvar=False)).max() < 1e-10


def test_any_order_of_merging_gives_the_same_and_leaves_the_merged_as_they_are() -> None:
    rows = random_rows(200, 6, offset=1e4)
    expected = gaussian_statistics(rows)
    for seed in range(5):
        random = numpy_rng(seed, "test merging")
        pool = [gathered([part], 6) for part in np.split(rows, sorted(random.choice(200, 5)))]
        while len(pool) > 1:
            one, other = (pool.pop(int(random.integers(len(pool)))) for _ in range(2))
            before = (other.count, other.mean.copy(), other.scatter.copy())
            one.merge(other)
            assert (other.count, other.mean.tolist(), other.scatter.tolist()) == (
                before[0],
                before[1].tolist(),
                before[2].tolist(),
            )
            pool.append(one)
        merged = pool[0].statistics()
        assert merged.count == 200
        assert np.allclose(merged.mean, expected.mean, rtol=1e-14)
        assert np.abs(merged.covariance - expected.covariance).max() < 1e-10


def test_nothing_and_nothing_is_nothing_and_an_empty_block_changes_nothing() -> None:
    moments = Moments.empty(3)
    moments.merge(Moments.empty(3))
    moments.add(np.empty((0, 3)))
    assert moments.count == 0
    rows = random_rows(5, 3)
    moments.add(rows)
    moments.merge(Moments.empty(3))
    assert np.allclose(moments.statistics().covariance, np.cov(rows, rowvar=False), atol=1e-12)


def test_float32_rows_are_summed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 7)
    rows = (random_rows(50, 4) + 1e4).astype(np.float32)
    expected = np.cov(rows.astype(np.float64), rowvar=False)
    assert np.abs(gaussian_statistics(rows).covariance - expected).max() < 1e-10


@pytest.mark.parametrize(("n", "d"), [(60, 20), (21, 20), (20, 20), (8, 20), (2, 5)])
def test_the_root_times_itself_is_the_covariance(n: int, d: int) -> None:
    statistics = gaussian_statistics(random_rows(n, d))
    assert statistics.root.shape == (d, min(n - 1, d))
    assert np.allclose(statistics.root @ statistics.root.T, statistics.covariance, atol=1e-11)
    assert statistics.root is statistics.root


def with_spectrum(values: np.ndarray) -> Statistics:
    size = len(values)
    axes = np.linalg.qr(numpy_rng(0, "test axes").normal(size=(size, size)))[0]
    covariance = (axes * values) @ axes.T
    return Statistics(np.zeros(size), (covariance + covariance.T) / 2, 2 * size)


@pytest.mark.parametrize("smallest", [1e-6, 1e-10])
def test_a_covariance_above_rounding_has_a_triangular_root(smallest: float) -> None:
    root = with_spectrum(np.geomspace(1, smallest, 30)).root
    assert np.array_equal(root, np.tril(root))
    assert root.shape == (30, 30)


@pytest.mark.parametrize("smallest", [1e-15, 1e-18, 0.0])
def test_directions_below_rounding_are_left_out_whether_or_not_cholesky_finds_a_factor(smallest: float) -> None:
    statistics = with_spectrum(np.r_[np.geomspace(1, 1e-3, 20), np.full(10, smallest)])
    assert statistics.root.shape == (30, 20)
    assert np.allclose(statistics.root @ statistics.root.T, statistics.covariance, atol=1e-14)


def test_features_that_repeat_others_add_no_direction() -> None:
    found = []
    for seed in range(10):
        rows = numpy_rng(seed, "test copies").normal(size=(100, 6))
        statistics = gaussian_statistics(np.hstack([rows, rows[:, :2] + rows[:, 2:4] / 3]))
        assert statistics.root.shape == (8, 6)
        try:
            found.append(linalg.cholesky(statistics.covariance) is not None)
        except linalg.LinAlgError:
            found.append(False)
    assert set(found) == {True, False}  # whether Cholesky finds a factor is chance and says nothing


def test_bad_rows_are_named_by_their_place_in_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    rows = random_rows(20, 4)
    with pytest.raises(ValueError, match="1 feature rows"):
        gaussian_statistics(rows[:1])
    with pytest.raises(ValueError, match="0 feature rows"):
        Moments.empty(4).statistics()
    rows[5, 2] = np.nan
    with pytest.raises(ValueError, match="feature row 5 is not finite"):
        gaussian_statistics(rows)
    with pytest.raises(ValueError, match="moments of 3 features merged into moments of 4"):
        Moments.empty(4).merge(Moments.empty(3))
