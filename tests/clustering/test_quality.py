"""Cluster quality on cases small enough to count by hand or pair by pair."""

import itertools
import math

import numpy as np
import pytest
import torch

from gcl_core.clustering.quality import clustering_quality
from gcl_core.seeding import numpy_rng


def test_perfect_clusters() -> None:
    quality = clustering_quality(np.array([1, 1, 0, 0, 0]), np.array([7, 7, 3, 3, 3]))
    counts = {"clusters": 2, "outliers": 0, "identities": 2, "smallest": 2, "median_size": 2.5, "largest": 3}
    assert quality == {**counts, "ari": 1, "nmi": 1, "purity": 1, "pair_precision": 1, "pair_recall": 1}


def test_outliers_are_singletons_for_ari_nmi_and_pairs_and_left_out_of_purity() -> None:
    labels, truth = [0, 0, 0, -1, -1, 1, 1], [5, 5, 6, 6, 6, 7, 7]
    quality = clustering_quality(torch.tensor(labels), torch.tensor(truth))
    assert (quality["clusters"], quality["outliers"], quality["identities"]) == (2, 2, 3)
    assert (quality["smallest"], quality["median_size"], quality["largest"]) == (2, 2.5, 3)
    assert quality["purity"] == pytest.approx(4 / 5)
    # in one cluster: 3 + 1 pairs, of one person 1 + 1 of them; of one person: 1 + 3 + 1 pairs
    assert quality["pair_precision"] == pytest.approx(2 / 4)
    assert quality["pair_recall"] == pytest.approx(2 / 5)

    single = [0, 0, 0, 2, 3, 1, 1]
    pairs = list(itertools.combinations(range(7), 2))
    both = sum(single[i] == single[j] and truth[i] == truth[j] for i, j in pairs)
    found, true = (sum(x[i] == x[j] for i, j in pairs) for x in (single, truth))
    chance = found * true / len(pairs)
    assert quality["ari"] == pytest.approx((both - chance) / ((found + true) / 2 - chance))

    def entropy(values: list) -> float:
        return -sum(c / 7 * math.log(c / 7) for c in (values.count(v) for v in set(values)))

    mutual = entropy(single) + entropy(truth) - entropy(list(zip(single, truth, strict=True)))
    assert quality["nmi"] == pytest.approx(2 * mutual / (entropy(single) + entropy(truth)))


@pytest.mark.parametrize("seed", range(8))
def test_purity_and_pairs_equal_counting_one_by_one(seed: int) -> None:
    random = numpy_rng(seed, "test quality")
    labels, truth = 3 * random.integers(-1, 5, 40), random.integers(0, 7, 40)  # labels with gaps between them
    labels[labels < 0] = -1
    quality = clustering_quality(labels, truth)
    pairs = list(itertools.combinations(range(40), 2))
    found = {(i, j) for i, j in pairs if labels[i] == labels[j] >= 0}
    true = {(i, j) for i, j in pairs if truth[i] == truth[j]}
    assert quality["pair_precision"] == pytest.approx(len(found & true) / len(found))
    assert quality["pair_recall"] == pytest.approx(len(found & true) / len(true))
    clusters = [truth[labels == label].tolist() for label in set(labels.tolist()) - {-1}]
    majorities = sum(max(map(members.count, members)) for members in clusters)
    assert quality["purity"] == pytest.approx(majorities / sum(map(len, clusters)))
    assert quality["largest"] == max(map(len, clusters))
    assert quality["smallest"] == min(map(len, clusters))


@pytest.mark.parametrize("labels", [[-1] * 30, [0] * 30])
@pytest.mark.filterwarnings("error")
def test_no_cluster_and_one_cluster_are_finite(labels: list[int]) -> None:
    quality = clustering_quality(np.array(labels), np.arange(30) // 5)
    nothing = labels[0] < 0
    assert all(math.isfinite(value) for value in quality.values())
    assert quality["ari"] == pytest.approx(0, abs=1e-12)
    assert quality["purity"] == (0 if nothing else pytest.approx(1 / 6))
    assert quality["largest"] == quality["smallest"] == quality["median_size"] == (0 if nothing else 30)
    assert quality["pair_precision"] == (0 if nothing else pytest.approx(6 * 10 / 435))
    assert quality["pair_recall"] == (0 if nothing else 1)


def test_without_two_pictures_of_anyone_there_is_nothing_to_recall() -> None:
    quality = clustering_quality(np.array([0, 0, 1, 1]), np.arange(4))
    assert (quality["pair_precision"], quality["pair_recall"], quality["purity"]) == (0, 0, 0.5)


def test_tens_of_thousands_of_clusters_and_people_need_no_table_of_all() -> None:
    truth = np.repeat(np.arange(50_000), 2)  # a dense table would take 20 GB
    labels = np.where(truth % 2 == 0, truth // 2, -1)
    quality = clustering_quality(labels, truth)
    assert (quality["clusters"], quality["outliers"], quality["identities"]) == (25_000, 50_000, 50_000)
    assert (quality["purity"], quality["pair_precision"], quality["pair_recall"]) == (1, 1, 0.5)


def test_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="no pseudo labels"):
        clustering_quality(np.empty(0, np.int64), np.empty(0, np.int64))
