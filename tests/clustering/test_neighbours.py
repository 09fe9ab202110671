"""Nearest neighbours: exact ones against plain loops, approximate ones against exact ones."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import normalize

from gcl_core.clustering import blocks, neighbours
from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.clustering.neighbours import approximate_neighbours, exact_neighbours, measured_recall
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.seeding import rng


def people(count: int, pictures: int, spread: float = 0.8, size: int = 24) -> torch.Tensor:
    random = rng(0, "test neighbours")
    centres = normalize(torch.randn(count, size, generator=random)).repeat_interleave(pictures, 0)
    return normalize(centres + spread * torch.randn(count * pictures, size, generator=random) / math.sqrt(size))


@pytest.mark.parametrize("block", [1 << 22, 100])
def test_exact_ones_equal_a_sort_with_ties_by_index(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    features = people(8, 6)
    features = torch.cat([features, features[:10], features[4:6]])  # duplicates tie
    x = features.double().numpy()
    for row, found in enumerate(exact_neighbours(features, 12)):
        others = sorted(set(range(len(x))) - {row}, key=lambda j, row=row: (-round(float(x[row] @ x[j]), 6), j))
        assert found.tolist() == [row, *others[:11]]


def test_as_many_neighbours_as_pictures_is_everyone() -> None:
    features = people(3, 2)
    for found in (exact_neighbours(features, 6), approximate_neighbours(features, 6)):
        assert np.array_equal(np.sort(found, axis=1), np.tile(np.arange(6), (6, 1)))
        assert np.array_equal(found[:, 0], np.arange(6))


def test_approximate_ones_reach_the_wanted_recall_in_order_of_nearness() -> None:
    features = people(300, 10)
    exact = exact_neighbours(features, 20)
    for wanted in (0.5, 0.9, 0.99):
        found = approximate_neighbours(features, 20, recall=wanted)
        recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True)]) / 20
        assert wanted - 0.03 < recall < 1  # fewer lists than all were searched
        assert measured_recall(features, found, sample=3000) == pytest.approx(recall, abs=1e-6)
        assert np.array_equal(found[:, 0], np.arange(3000))
        assert all(len(set(row)) == 20 for row in found.tolist())
        nearness = (features[:, None] * features[torch.as_tensor(found).long()]).sum(2)[:, 1:]
        assert (nearness.diff(dim=1) <= 1e-6).all()


def test_searching_every_list_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    features = people(60, 10)
    exact = exact_neighbours(features, 15)
    assert np.array_equal(approximate_neighbours(features, 15, recall=1.0), exact)
    monkeypatch.setattr(neighbours, "AT_ONCE", 70)
    monkeypatch.setattr(blocks, "BLOCK", 300)
    assert np.array_equal(approximate_neighbours(features, 15, recall=1.0), exact)
    assert measured_recall(features, exact) == 1


def test_the_same_seed_gives_the_same_neighbours() -> None:
    features = people(100, 10)
    found = approximate_neighbours(features, 10, recall=0.7)
    assert np.array_equal(found, approximate_neighbours(features, 10, recall=0.7))
    assert not np.array_equal(found, approximate_neighbours(features, 10, recall=0.7, seed=1))


def test_lists_shorter_than_wanted_fall_back_on_everyone() -> None:
    """Four tight far-apart groups of five, whose nearest lists hold no eight pictures."""
    features = people(4, 5, spread=0.01)
    assert np.array_equal(
        np.sort(approximate_neighbours(features, 8, recall=0.01)), np.sort(exact_neighbours(features, 8))
    )


def test_equal_pictures_have_each_other() -> None:
    features = people(1, 1).repeat(200, 1)
    found = approximate_neighbours(features, 30)
    assert np.array_equal(found[:, 0], np.arange(200))
    assert all(len(set(row)) == 30 for row in found.tolist())


def test_many_pictures_are_clustered_by_approximate_neighbours_and_say_so() -> None:
    features = people(80, 12, spread=0.5)
    exact, found = jaccard_distance(features, k1=12), jaccard_distance(features, k1=12, exact_up_to=900)
    assert exact.recall == 1
    assert 0.9 < found.recall <= 1
    few, whole = (cluster(features, k1=12, exact_up_to=most, rho=0.01) for most in (900, 1000))
    assert (few.recall, whole.recall) == (found.recall, 1)
    for labels in (few.labels, whole.labels):
        assert adjusted_rand_score(np.arange(960) // 12, labels) > 0.7
