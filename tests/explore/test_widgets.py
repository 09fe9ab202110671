"""Interactive parts: what is shown first, and that each move shows what a direct computation gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets import VBox
from sklearn.cluster import DBSCAN
from torch.nn import functional

from gcl_core.config import ClusteringSettings, EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.queries import Retrieval
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.explore.clusters import browse_clusters, clusters_by_size, members, members_figure
from gcl_core.explore.queries import browse_queries, hardest_first
from gcl_core.explore.radius import choose_radius, radius_figure, radius_table
from gcl_core.explore.views import turn_person, turned_figure
from gcl_core.explore.widgets import dropdown, explorer, slider
from gcl_core.figures.galleries import gallery_people
from gcl_core.figures.ranked_lists import ranked_lists_figure
from gcl_core.figures.style import new_figure, picture
from gcl_core.layout import Layout
from gcl_core.measure.clusterings import Clustering, analyse
from gcl_core.measure.retrievals import stage_title
from gcl_core.seeding import numpy_rng
from tests.fits import assert_fits

SETTINGS = ClusteringSettings(k1=6, k2=3, rho=0.2, min_samples=3)


class KnownTruth(Truth):
    """True views of one grey each: the yaw in units of 45 degrees."""

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return np.full((64, 32, 3), yaw // 45, dtype=np.uint8)


@pytest.fixture
def clustering(people: PersonSet) -> Clustering:
    """The 16 training pictures of four people, by features in which people lie loosely together."""
    random = torch.Generator().manual_seed(0)
    centres = torch.eye(4, 12).repeat_interleave(4, dim=0)
    features = functional.normalize(centres + 0.25 * torch.randn(16, 12, generator=random))
    return analyse(features, people.index["pid"].to_numpy()[people.rows("train")], SETTINGS)


def shown(box: VBox) -> tuple[bytes, str]:
    """Return the picture and the sentence that a reader sees."""
    return box.children[1].value, box.children[2].value


def controls(box: VBox) -> list[Any]:
    return list(box.children[0].children)


def png(figure: Any) -> bytes:
    data = picture(figure).data
    assert isinstance(data, bytes)
    return data


def test_first_state_is_drawn_at_once_and_each_move_once():
    drawn = []

    def show(size: float, name: str) -> tuple[Any, str]:
        drawn.append((size, name))
        return new_figure(size, 1.0), f"{name} {size}"

    box = explorer(
        show, size=slider("size", {"one": 1.0, "two": 2.0, "three": 3.0}, 2.0), name=dropdown("name", {"A": "a"})
    )
    assert drawn == [(2, "a")]
    before = shown(box)
    assert before == (png(new_figure(2.0, 1.0)), "a 2.0")
    controls(box)[0].value = 3.0
    assert drawn == [(2, "a"), (3, "a")]
    assert shown(box) == (png(new_figure(3.0, 1.0)), "a 3.0")
    assert int(box.children[1].width) > 300  # as wide as the figure is on screen


def test_turning_a_person_shows_mesh_drawn_and_true_view_of_that_yaw(layout: Layout, people: PersonSet):
    rows = np.array([2, 9])
    drawn = {"GCL": np.random.default_rng(0).integers(0, 256, (2, 7, 64, 32, 3), np.uint8)}
    truth = KnownTruth(layout.root, pd.DataFrame(), 64, 32)
    gallery = gallery_people(people, rows, drawn, truth)
    box = turn_person(people, rows, gallery)
    person, way, yaw = controls(box)
    assert [label for label, _ in way.options] == ["all", "GCL"]
    assert [label for label, _ in yaw.options] == ["45°", "90°", "135°", "180°", "225°", "270°", "315°"]
    assert [label for label, _ in person.options] == people.index["file"][rows].tolist()
    for place, degrees in ((0, 45), (1, 225)):
        person.value, yaw.value = place, degrees // 45
        figure = turned_figure(gallery[place], degrees // 45)
        assert shown(box)[0] == png(figure)
        seen = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
        expected = [
            people.pictures[rows[place]],
            np.repeat(people.projections[rows[place], degrees // 45][..., None], 3, axis=-1),
            drawn["GCL"][place, degrees // 45 - 1],
            truth.true_view("", degrees),
        ]
        assert all((one == other).all() for one, other in zip(seen, expected, strict=True))
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == ["picture\nas photographed", *(f"{name}\n{degrees}°" for name in ("mesh", "GCL", "true"))]


def test_one_way_of_view_is_shown_or_all(people: PersonSet):
    views = np.random.default_rng(0).integers(0, 256, (2, 7, 64, 32, 3), np.uint8)
    without = [[None] * 7, list(views[1])]
    gallery = gallery_people(people, np.array([2, 9]), {"GCL": views, "surface": without})
    box = turn_person(people, np.array([2, 9]), gallery)
    person, way, _ = controls(box)
    person.value = 1
    for name, titles in (("all", ["GCL", "surface"]), ("GCL", ["GCL"]), ("surface", ["surface"])):
        way.value = name
        figure = turned_figure(gallery[1], 1, name)
        assert [axes.get_title() for axes in figure.axes[2:]] == [f"{title}\n45°" for title in titles]
        assert shown(box)[0] == png(figure)
    assert len(turned_figure(gallery[0], 1).axes) == 3  # the first has no body


def test_without_truth_no_true_view_is_shown(people: PersonSet):
    gallery = gallery_people(people, np.array([2]), {"GCL": np.zeros((1, 7, 64, 32, 3), np.uint8)})
    assert len(turned_figure(gallery[0], 1).axes) == 3


def retrieval(people: PersonSet, seed: int) -> Retrieval:
    queries, gallery = (people.index.iloc[people.rows(split)].reset_index(drop=True) for split in ("query", "gallery"))
    random = torch.Generator().manual_seed(seed)
    asked, kept = (functional.normalize(torch.randn(len(lines), 4, generator=random)) for lines in (queries, gallery))
    ids = [lines[name].to_numpy() for name in ("pid", "camid") for lines in (queries, gallery)]
    return Retrieval(queries, gallery, asked, kept, evaluate_ranking(asked, kept, *ids), EvaluationSettings())


def test_queries_come_hardest_first_and_stay_when_the_encoder_changes(layout: Layout, people: PersonSet):
    found = {stage: retrieval(people, seed) for seed, stage in enumerate(("baseline", "tda", "gcl"))}
    precision = found["gcl"].result.average_precision
    box = browse_queries(layout.study, people, found, None)
    stage, query = controls(box)
    assert [value for _, value in query.options] == sorted(range(3), key=lambda place: precision[place])
    assert [label for label, _ in query.options] == ["1 of 3", "2 of 3", "3 of 3"]
    assert stage.value == "gcl"
    for place in (1, 0):
        query.value = place
        for name in ("gcl", "baseline"):
            stage.value = name
            image, words = shown(box)
            titled = {stage_title(layout.study, name): found[name]}
            assert image == png(ranked_lists_figure(people, titled, np.array([place])))
            assert f"<b>query/{10 + place}</b>, person {10 + place}, camera 1: 1 right pictures" in words
            assert f"average precision {found[name].result.average_precision[place]:.3f}" in words
        assert query.value == place


def test_hardest_first_leaves_out_queries_that_nobody_can_answer():
    assert hardest_first(np.array([0.9, np.nan, 0.1, 0.5, 0.1])).tolist() == [2, 4, 3, 0]


def test_clusters_come_largest_first_with_their_own_members(people: PersonSet, clustering: Clustering):
    labels = np.array([1, 1, 1, 0, 2, 2, 2, 2, 0, 0, 0, 2, -1, -1, 1, 1])
    made = Clustering(**{**vars(clustering), "labels": labels})
    assert clusters_by_size(made) == [1, 2, 0, -1]
    box = browse_clusters(people, made)
    (chosen,) = controls(box)
    assert [label for label, _ in chosen.options] == [
        *("cluster 1: 5 pictures", "cluster 2: 5 pictures", "cluster 0: 4 pictures", "outliers")
    ]
    assert (
        "Cluster 1: 5 pictures of 2 people, purity 0.60. Its main person is 3, of whom it has 3 of 4" in shown(box)[1]
    )
    chosen.value = 0
    image, words = shown(box)
    assert image == png(members_figure(people, made, [0]))
    assert "4 pictures of 2 people, purity 0.75. Its main person is 5, of whom it has 3 of 4 pictures" in words
    chosen.value = -1
    assert "2 outliers, of 1 people" in shown(box)[1]


def test_members_stand_person_by_person_the_main_one_first(people: PersonSet, clustering: Clustering):
    made = Clustering(**{**vars(clustering), "labels": np.array([0, 1, 1, 1, 0, 0, 0] + [1] * 9)})
    assert members(made, 0).tolist() == [4, 5, 6, 0]
    figure = members_figure(people, made, [0, 1])
    image = np.asarray(figure.axes[0].images[0].get_array())
    for number, place in enumerate((4, 5, 6, 0)):
        left = number * 36
        assert (image[:64, left : left + 32] == people.pictures[people.rows("train")[place]]).all()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:5] == ["cluster 0", "4", "4", "4", "3"]
    assert len(figure.axes[0].patches) == 16  # a frame each


def test_radius_table_counts_as_scikit_learn_does(clustering: Clustering):
    table = radius_table(clustering, min_samples=3)
    assert clustering.eps in table["eps"].tolist()
    assert (np.diff(table["eps"]) > 0).all()
    assert len(np.unique(table["clusters"])) > 1  # otherwise nothing is tested
    distances = clustering.distances.dense()
    for line in table.to_dict("records"):
        if line["eps"] == 1:  # there pictures without anything in common would be neighbours to scikit-learn
            continue
        labels = DBSCAN(eps=line["eps"], min_samples=3, metric="precomputed").fit_predict(distances)
        assert (line["clusters"], line["outliers"]) == (labels.max() + 1, (labels < 0).sum())


def test_moving_the_radius_shows_its_clusters_outliers_and_sizes(clustering: Clustering):
    table = radius_table(clustering, min_samples=3)
    box = choose_radius(clustering, table, min_samples=3)
    (radius,) = controls(box)
    assert radius.value == clustering.eps
    before = shown(box)
    radius.value = table["eps"].iloc[0]
    line = table.iloc[0]
    image, words = shown(box)
    assert (image, words) != before
    assert f"clusters {line['clusters']:.0f}, people 4, outliers {line['outliers']:.0f} of 16 pictures" in words
    labels = DBSCAN(eps=radius.value, min_samples=3, metric="precomputed").fit_predict(clustering.distances.dense())
    figure = radius_figure(clustering, table, radius.value, labels)
    assert image == png(figure)
    sizes = figure.axes[2].lines[0].get_ydata()
    assert np.asarray(sizes).tolist() == sorted(np.bincount(labels[labels >= 0]).tolist(), reverse=True)


def test_a_radius_without_any_cluster_is_shown_too(clustering: Clustering):
    """Of nothing but far pictures ε may be as small as can be."""
    features = functional.normalize(numpy_features())
    far = analyse(features, np.arange(16), ClusteringSettings(k1=2, k2=1, rho=0.01, min_samples=4))
    table = radius_table(far, min_samples=4)
    box = choose_radius(far, table, min_samples=4)
    assert "clusters 0, people 16, outliers 16 of 16 pictures" in shown(box)[1]


def numpy_features() -> torch.Tensor:
    return torch.from_numpy(numpy_rng(0, "far pictures").standard_normal((16, 32)).astype(np.float32))


def test_static_copies_of_every_part_fit(people: PersonSet, clustering: Clustering, tmp_path: Path):
    table = radius_table(clustering, min_samples=3)
    gallery = gallery_people(
        people, np.array([2]), {"without the view-invariant losses": np.zeros((1, 7, 64, 32, 3), np.uint8)}
    )
    figures = [
        members_figure(people, clustering, clusters_by_size(clustering)),
        radius_figure(clustering, table, clustering.eps, clustering.labels),
        turned_figure(gallery[0], 3),
    ]
    for figure in figures:
        assert_fits(figure)
