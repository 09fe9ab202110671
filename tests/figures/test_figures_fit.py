"""No label of any figure is cut off: everything drawn lies inside the figure."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from gcl_core.config import ClusteringSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.figures.ablations import ablation_figure
from gcl_core.figures.cluster_count import cluster_count_figure
from gcl_core.figures.clusters import clustering_figure, draw_sizes
from gcl_core.figures.curves import training_figure
from gcl_core.figures.dataset import dataset_figure
from gcl_core.figures.fid import fid_figure
from gcl_core.figures.galleries import choose_people, gallery_people, view_gallery
from gcl_core.figures.style import COLUMN, new_figure
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import records, where
from gcl_core.measure.clustered import clustered_distances, clustered_pictures
from gcl_core.measure.clusterings import analyse, split_of_people
from gcl_core.mesh.projection import NOVEL
from gcl_core.tables.cluster_count import cluster_count_table
from tests.fits import assert_fits


@pytest.fixture
def frame(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> pd.DataFrame:
    for variant in layout.study.variants:
        for seed in (0, 1):
            write_run(layout, variant, seed, variant_lines([1200, 751, 460], [0.4, 0.7, 0.6, 0.61]))
    return records(layout, list(layout.study.variants))


def test_curves(layout: Layout, frame: pd.DataFrame):
    lines = [{"variant": "tda", "seed": 0, "repeat": each, "map": 0.3 + each / 10, "ari": 0.5} for each in range(3)]
    assert_fits(ablation_figure(layout.study, frame, pd.DataFrame(lines)))
    long = layout.study.variants["tda"].model_copy(update={"title": "a control that is called by a name of many words"})
    named = layout.study.model_copy(update={"variants": {**layout.study.variants, "tda": long}})
    assert_fits(ablation_figure(named, frame, pd.DataFrame(lines)))
    assert_fits(cluster_count_figure(layout.study, cluster_count_table(where(frame, stage="gcl")), 751))
    assert_fits(training_figure(where(frame, stage="gcl"), identities=751))


def test_fid(layout: Layout):
    titles = [layout.study.variants[variant].title for variant in ("gcl", "no_vi")]
    facts = {"source": "ours", "method": titles, "measure": "FID", "encoding": "PNG"}
    assert_fits(fid_figure(layout.study, pd.DataFrame({**facts, **{f"{yaw}°": 100.0 + yaw for yaw in NOVEL}})))


def test_pictures_of_people(layout: Layout, people: PersonSet):
    assert_fits(dataset_figure(people, 4))
    rows = choose_people(people, "train", 4)
    longest = max((settings.title for settings in layout.study.variants.values()), key=len)
    drawn = {name: np.zeros((len(rows), 7, 64, 32, 3), np.uint8) for name in ("GCL", longest)}
    assert_fits(view_gallery(layout.study, gallery_people(people, rows, drawn)))


@pytest.mark.parametrize("fewest", [2, 17])
def test_clustering(people: PersonSet, fewest: int):
    features = functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)))
    identities = people.index["pid"].to_numpy()[people.rows("train")]
    clustering = analyse(features, identities, ClusteringSettings(k1=8, k2=3, rho=0.2, min_samples=fewest))
    pictures, distances = clustered_pictures(clustering, {}), clustered_distances(clustering)
    split = split_of_people(clustering, people, None)
    figure = clustering_figure(pictures, distances, split, eps=clustering.eps)
    assert_fits(figure)
    assert all(axes.get_ylim()[0] >= 0 for axes in figure.axes if axes.get_ylabel() == "clusters")


@pytest.mark.parametrize(("labels", "marker"), [([0, 0, 0, -1], "o"), ([0, 0, 1, 1], "None")])
def test_one_cluster_alone_is_seen(labels: list[int], marker: str):
    axes = new_figure(COLUMN, 1.0).subplots()
    draw_sizes(axes, np.array(labels), np.array([1, 1, 2, 2]))
    assert [line.get_marker() for line in axes.lines] == [marker, "None"]
