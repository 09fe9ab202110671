"""Clusterers side by side on eight pictures whose clusters can be told by hand."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from scipy.sparse import csr_array
from torch.nn import functional

from gcl_core.clustering.jaccard import JaccardDistances
from gcl_core.clustering.quality import clustering_quality
from gcl_core.figures.clusterers import clusterer_figure
from gcl_core.measure.clustered import clustered_pictures
from gcl_core.measure.clusterers import AS_DBSCAN, TOLD, clusterer_labels, clusterer_reading, clusterer_table
from gcl_core.measure.clusterings import Clustering
from tests.fits import assert_fits

CLOSE, LOOSE = [0] * 4 + [-1] * 4, [0] * 4 + [1] * 4


def clustering(eps: float) -> Clustering:
    """Two people of four pictures: one's are 0.125 apart, the other's 0.375, and 0.5 lies between the two."""
    dense = np.full((8, 8), 0.5)
    dense[:4, :4], dense[4:, 4:] = 0.125, 0.375
    distances = JaccardDistances(8, csr_array(np.triu(1 - dense, k=1)))
    features = torch.eye(8)[[0] * 4 + [1] * 4] + 0.05 * torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    labels, identities = np.array(LOOSE), np.array([5] * 4 + [6] * 4)
    quality = clustering_quality(labels, identities)
    return Clustering(functional.normalize(features), distances, eps, labels, identities, quality)


def test_the_radius_decides_what_dbscan_finds_and_hdbscan_needs_none():
    labels = clusterer_labels(clustering(0.4), min_samples=3)
    assert list(labels) == ["DBSCAN, ε / 2", "DBSCAN, ε", "DBSCAN, 1.5 ε", "HDBSCAN", AS_DBSCAN, TOLD]
    assert [found.tolist() for found in labels.values()] == [CLOSE, LOOSE, [0] * 8, LOOSE, LOOSE, LOOSE]


def test_the_table_tells_pairs_sizes_and_outliers():
    given = clustering(0.4)
    table = clusterer_table(clusterer_labels(given, min_samples=3), given.identities)
    small, own, large, *others = table.to_dict("records")
    assert (small["clusters"], small["outliers"], small["largest"]) == (1, 4, 4)
    assert (small["pair precision"], small["pair recall"]) == (1, 0.5)
    assert (large["clusters"], large["outliers"], large["median size"], large["largest"]) == (1, 0, 8, 8)
    assert (large["pair precision"], large["pair recall"]) == (12 / 28, 1)
    assert all(line[name] == 1 for line in (own, *others) for name in ("ARI", "NMI", "purity", "pair recall"))


def test_the_reading_repeats_the_table():
    given = clustering(0.4)
    text = clusterer_reading(clusterer_table(clusterer_labels(given, min_samples=3), given.identities), 8)
    assert "finds 1 clusters and leaves 4 of 8 pictures out; at ε it finds 2 and leaves 0 out" in text
    assert "finds 1, leaves 0 out, and the largest has 8 pictures. So the radius alone moves ARI between 0.000" in text
    assert "HDBSCAN, which is given none, finds 2 clusters and leaves 0 out, with ARI 1.000" in text
    assert "has ARI 1.000, no more than the best of the others (DBSCAN, ε, 1.000)" in text


def test_the_figure_marks_outliers_and_stays_within_its_borders():
    given = clustering(0.4)
    labels = clusterer_labels(given, min_samples=3)
    figure = clusterer_figure(clustered_pictures(given, labels), clusterer_table(labels, given.identities))
    maps, pairs = figure.axes[:-1], figure.axes[-1]
    assert [axes.get_title().split("\n")[0] for axes in maps][:2] == ["the true people: 2", "A  DBSCAN, ε / 2"]
    dots = [[each for each in axes.collections if isinstance(each, PathCollection)] for axes in maps]
    drawn = [[np.shape(points.get_offsets())[0] for points in own] for own in dots]
    # the first of each are the outliers, then cluster by cluster
    assert drawn == [[0, 4, 4], [4, 4], [0, 4, 4], [0, 8], [0, 4, 4], [0, 4, 4], [0, 4, 4]]
    assert [text.get_text() for text in pairs.texts] == list("ABCDEF")
    assert_fits(figure)


def test_without_any_cluster_k_means_has_no_number_to_take():
    given = clustering(0.05)
    labels = clusterer_labels(given, min_samples=3)
    assert AS_DBSCAN not in labels
    table = clusterer_table(labels, given.identities)
    assert table["clusters"].tolist() == [0, 0, 0, 2, 2]
    text = clusterer_reading(table, 8)
    assert "DBSCAN's number" not in text
    assert "no more than the best of the others (HDBSCAN, 1.000)" in text
    assert not clusterer_figure(clustered_pictures(given, labels), table).axes[-1].axison


@pytest.mark.parametrize("min_samples", [1, 2])
def test_dbscan_may_take_one_picture_for_a_cluster_but_hdbscan_needs_two(min_samples: int):
    labels = clusterer_labels(clustering(0.05), min_samples=min_samples)
    assert labels["DBSCAN, ε"].tolist() == (list(range(8)) if min_samples == 1 else [-1] * 8)
    assert labels["HDBSCAN"].tolist() == LOOSE
