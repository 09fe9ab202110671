"""One clustering taken apart: quality, and which pairs of a person are split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.config import ClusteringSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.clusters import clustering_figure
from gcl_core.measure.clustered import clustered_distances, clustered_pictures, embed
from gcl_core.measure.clusterings import Clustering, analyse, clustering_reading, clustering_table, split_of_people

SETTINGS = ClusteringSettings(k1=6, k2=3, rho=0.4, min_samples=3)


def blobs(groups: int, members: int) -> torch.Tensor:
    """Return unit features of well separated groups."""
    random = torch.Generator().manual_seed(0)
    centres = torch.eye(groups, 16).repeat_interleave(members, dim=0)
    return functional.normalize(centres + 0.05 * torch.randn(len(centres), 16, generator=random))


@pytest.fixture
def clustering(people: PersonSet) -> Clustering:
    """The 16 training pictures of four people in eight clusters of two: each camera sees a person as another one."""
    identities = people.index["pid"].to_numpy()[people.rows("train")]
    found = analyse(blobs(4, 4), identities, SETTINGS)
    labels = np.repeat(np.arange(8), 2)
    labels[0] = -1
    return Clustering(found.features, found.distances, found.eps, labels, identities, found.quality)


def test_blobs_are_found_and_judged():
    found = analyse(blobs(3, 8), np.repeat([7, 8, 9], 8), SETTINGS)
    assert found.quality["clusters"] == 3
    assert found.quality["purity"] == 1
    ours, gcl, tda = clustering_table(found).to_dict("records")
    assert (ours["clusters"], ours["people"], ours["clusters / people"]) == (3, 3, 1)
    assert (gcl["clusters"], gcl["people"], tda["clusters"]) == (520, 751, 460)
    assert np.isnan(gcl["ARI"])
    assert pd.isna(gcl["outliers"])


def test_it_is_clustered_as_training_clusters_with_the_released_settings_too():
    released = SETTINGS.model_copy(update={"k1_counts_self": False, "duplicates": "exact_zero"})
    features, identities = blobs(3, 8), np.repeat([7, 8, 9], 8)
    found, trained = analyse(features, identities, released), cluster(features, **released.model_dump())
    assert found.eps == trained.eps
    assert found.labels.tolist() == trained.labels.tolist()
    assert found.eps != pytest.approx(analyse(features, identities, SETTINGS).eps)


def test_pairs_split_by_camera_against_counting_one_by_one(people: PersonSet, clustering: Clustering):
    cameras = people.index["camid"].to_numpy()[people.rows("train")]
    split = split_of_people(clustering, people, None)
    for line in split.to_dict("records"):
        pairs = [
            (i, j)
            for i in range(16)
            for j in range(i + 1, 16)
            if clustering.identities[i] == clustering.identities[j]
            and ("same" if cameras[i] == cameras[j] else "other") == line["camera"]
        ]
        together = [clustering.labels[i] == clustering.labels[j] >= 0 for i, j in pairs]
        assert line["pairs"] == len(pairs)
        assert line["together"] == pytest.approx(np.mean(together))
    assert split["together"].tolist() == pytest.approx([7 / 8, 0])


def test_pairs_split_by_view_use_the_shorter_way_round(people: PersonSet, clustering: Clustering, tmp_path: Path):
    files = people.index["file"]
    yaws = [350.0, 10.0, 100.0, 170.0] * 4 + [0.0] * (len(files) - 16)
    shuffled = pd.DataFrame({"file": files, "yaw": yaws}).iloc[::-1]  # the order of people.csv is its own
    split = split_of_people(clustering, people, Truth(tmp_path, shuffled, 64, 32))
    assert split["view difference"].tolist() == ["0-45°", "45-90°", "90-135°", "135-180°"]
    # a person's six pairs differ by 20 and 70 (same camera), 110, 180, 90 and 160 degrees
    assert split["pairs"].tolist() == [4, 4, 8, 8]
    assert split["together"].tolist() == pytest.approx([3 / 4, 1, 0, 0])


def test_the_reading_tells_what_splits_people(people: PersonSet, clustering: Clustering):
    text = clustering_reading(clustering, split_of_people(clustering, people, None))
    assert "88 % of the pairs that differ least (camera same), and in 0 % where it holds least (other)" in text
    assert "spread over 2.00 clusters" in text
    assert "A cluster has 4 to 4 pictures, 4 in the median" in text
    assert "one cluster 100 % are of one person; of the pairs of one person 100 % are in one cluster" in text


def test_a_difference_that_splits_nobody_is_not_blamed(people: PersonSet, clustering: Clustering):
    split = split_of_people(clustering, people, None).assign(together=[0.5, 0.6])
    assert "not what splits people" in clustering_reading(clustering, split)


def test_pictures_that_are_each_numbered_as_a_person_are_read_too(people: PersonSet, clustering: Clustering):
    """As people number theirs who have no identities (docs/DATASETS.md)."""
    alone = replace(clustering, identities=np.arange(1, 17))
    split = split_of_people(alone, people, None)
    assert split["pairs"].tolist() == [0] * len(split)
    text = clustering_reading(alone, split)
    assert "No two of these pictures are numbered as one person's" in text
    assert "nan" not in text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_map_of_hardly_any_picture_is_made(count: int):
    places, rows, _ = embed(torch.eye(4)[:count], np.arange(count))
    assert places.shape == (count, 2)
    assert rows.tolist() == list(range(count))


def test_no_cluster_at_all_is_told_and_drawn(people: PersonSet, clustering: Clustering):
    quality = {**clustering.quality, "clusters": 0.0}
    nothing = Clustering(
        clustering.features, clustering.distances, clustering.eps, np.full(16, -1), clustering.identities, quality
    )
    split = split_of_people(nothing, people, None)
    assert "no cluster" in clustering_reading(nothing, split)
    pictures, distances = clustered_pictures(nothing, {}), clustered_distances(nothing)
    assert len(clustering_figure(pictures, distances, split, eps=nothing.eps).axes) == 6
