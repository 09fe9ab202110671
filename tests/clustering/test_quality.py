"""Cluster quality on cases small enough to count by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from gcl_core.clustering.quality import clustering_quality


def test_perfect_clusters() -> None:
    quality = clustering_quality(np.array([1, 1, 0, 0]), np.array([7, 7, 3, 3]))
    assert quality == {"clusters": 2, "outliers": 0, "identities": 2, "ari": 1, "nmi": 1, "purity": 1}


def test_outliers_are_singletons_for_ari_and_nmi_and_left_out_of_purity() -> None:
    labels, truth = [0, 0, 0, -1, -1, 1, 1], [5, 5, 6, 6, 6, 7, 7]
    quality = clustering_quality(torch.tensor(labels), torch.tensor(truth))
    assert (quality["clusters"], quality["outliers"], quality["identities"]) == (2, 2, 3)
    assert quality["purity"] == pytest.approx(4 / 5)

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


@pytest.mark.parametrize("labels", [[-1] * 30, [0] * 30])
@pytest.mark.filterwarnings("error")
def test_no_cluster_and_one_cluster_are_finite(labels: list[int]) -> None:
    quality = clustering_quality(np.array(labels), np.arange(30) // 5)
    assert all(math.isfinite(value) for value in quality.values())
    assert quality["ari"] == pytest.approx(0, abs=1e-12)
    assert quality["purity"] == (0 if labels[0] < 0 else pytest.approx(1 / 6))


def test_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="no pseudo labels"):
        clustering_quality(np.empty(0, np.int64), np.empty(0, np.int64))
