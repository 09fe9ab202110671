"""The sparse Jaccard distances against a plain dense reading of METHOD.md §4 with loops."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from gcl_core.clustering import blocks
from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.seeding import rng


def people(count: int, pictures: int, spread: float, *, size: int = 24, seed: int = 0) -> torch.Tensor:
    """Unit features of `count` people with `pictures` pictures each, in float64."""
    random = rng(seed, "test people")
    centres = normalize(torch.randn(count, size, generator=random, dtype=torch.float64))
    noise = torch.randn(count * pictures, size, generator=random, dtype=torch.float64) / math.sqrt(size)
    return normalize(centres.repeat_interleave(pictures, 0) + spread * noise)


def plain_distance(features: torch.Tensor, k1: int, k2: int) -> np.ndarray:
    x = features.double().numpy()
    n = len(x)
    ranking = []
    for i in range(n):
        others = sorted((j for j in range(n) if j != i), key=lambda j, i=i: (-float(np.dot(x[i], x[j])), j))
        ranking.append([i, *others])

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranking[i][:k] if i in ranking[j][:k]}

    half = round(k1 / 2) + 1
    weights = np.zeros((n, n))
    for i in range(n):
        full = reciprocal(i, k1)
        expanded = set(full)
        for candidate in full:
            near = reciprocal(candidate, half)
            if len(near & full) > 2 / 3 * len(near):
                expanded |= near
        total = sum(math.exp(-(2 - 2 * np.dot(x[i], x[j]))) for j in expanded)
        for j in expanded:
            weights[i, j] = math.exp(-(2 - 2 * np.dot(x[i], x[j]))) / total
    encoding = np.array([np.mean([weights[j] for j in ranking[i][:k2]], axis=0) for i in range(n)])
    distances = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            overlap = sum(min(a, b) for a, b in zip(encoding[i], encoding[j], strict=True))
            distances[i, j] = max(0.0, 1 - overlap / (2 - overlap))
    return distances


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (15, 4), (10, 1), (7, 3), (1, 1)])
@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_equals_loops(k1: int, k2: int, spread: float) -> None:
    features = people(9, 9, spread)
    assert np.allclose(jaccard_distance(features, k1=k1, k2=k2).dense(), plain_distance(features, k1, k2), atol=2e-6)


def test_equals_loops_with_duplicates_and_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features = people(6, 8, 0.8)
    features = torch.cat([features, features[:12], features[3:5], features[3:5]])
    whole = jaccard_distance(features, k1=12, k2=4)
    assert np.allclose(whole.dense(), plain_distance(features, 12, 4), atol=2e-6)
    monkeypatch.setattr(blocks, "BLOCK", 300)
    pieces = jaccard_distance(features, k1=12, k2=4)
    assert np.array_equal(whole.dense(), pieces.dense())


def test_float32_features_give_the_same_distances() -> None:
    features = people(10, 10, 0.9)
    exact = jaccard_distance(features, k1=20, k2=6).dense()
    assert np.allclose(jaccard_distance(features.float(), k1=20, k2=6).dense(), exact, atol=1e-5)


def test_symmetric_in_unit_range_with_zero_diagonal() -> None:
    distances = jaccard_distance(people(8, 8, 1.0)).dense()
    assert np.array_equal(distances, distances.T)
    assert distances.min() >= 0
    assert distances.max() <= 1
    assert not np.diag(distances).any()


def test_does_not_depend_on_the_order_of_pictures() -> None:
    features = people(10, 9, 0.9)
    order = torch.randperm(len(features), generator=rng(0, "test order")).numpy()
    moved = jaccard_distance(features[order], k1=15, k2=4).dense()
    assert np.allclose(moved, jaccard_distance(features, k1=15, k2=4).dense()[np.ix_(order, order)], atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 29])
def test_fewer_pictures_than_neighbours(count: int) -> None:
    features = people(count, 1, 0.3)
    distances = jaccard_distance(features, k1=30, k2=6).dense()
    assert np.allclose(distances, plain_distance(features, count, min(6, count)), atol=2e-6)


@pytest.mark.parametrize("count", [20, 70])
def test_equal_features_are_finite(count: int) -> None:
    features = people(1, 1, 0.0).float().repeat(count, 1)
    distances = jaccard_distance(features).dense()
    assert np.isfinite(distances).all()
    assert np.allclose(distances, plain_distance(features, min(30, count), 6), atol=2e-6)


def test_a_zero_distance_is_told_from_an_absent_pair() -> None:
    basis = torch.eye(4)
    distances = jaccard_distance(basis[[0, 0, 0, 1, 1, 1]], k1=3, k2=1)
    assert distances.similarity.nnz == 6
    assert np.array_equal(distances.dense()[0], [0, 0, 0, 1, 1, 1])


def test_rounding_of_duplicates_is_distance_zero() -> None:
    """The same picture encoded in two batches differs by rounding; its pair must not enter the radius."""
    features = people(3, 4, 0.5, size=8).repeat_interleave(2, 0)
    features[1::2] = normalize(features[1::2] + 3e-7 * torch.randn(12, 8, generator=rng(0, "test rounding")))
    distances = jaccard_distance(features, k1=8, k2=1).dense()
    pairs = distances[np.arange(0, 24, 2), np.arange(1, 24, 2)]
    assert not pairs.any()
    assert (distances[~np.eye(24, dtype=bool)] > 1e-3).any()


@pytest.mark.parametrize("value", [torch.nan, 0.0, torch.inf, 3.0])
def test_bad_row_is_named(value: float) -> None:
    features = people(4, 5, 0.3)
    features[7] = value
    with pytest.raises(ValueError, match="row 7 has length"):
        jaccard_distance(features)


def test_no_features_and_no_neighbours() -> None:
    with pytest.raises(ValueError, match="no features"):
        jaccard_distance(torch.empty(0, 8))
    with pytest.raises(ValueError, match="k1 is 0"):
        jaccard_distance(people(2, 2, 0.1), k1=0)


def test_golden_distances(shared: Path) -> None:
    golden = np.load(shared / "reference" / "golden_released.npz")
    distances = jaccard_distance(torch.from_numpy(golden["cluster.in.features"]), k1=30, k2=6)
    assert np.abs(distances.dense() - golden["cluster.out.jaccard"]).max() < 1e-5
