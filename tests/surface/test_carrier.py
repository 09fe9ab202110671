"""Views of test pictures: of queries, gallery and distractors, each the same whoever asks."""

from pathlib import Path

import numpy as np
import pytest

from gcl_core.config import load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.mesh.errors import MeshError
from gcl_core.surface.bodies import body_source, known_ways
from gcl_core.surface.carrier import Carrier, side_rows
from gcl_core.surface.stored import carried_views
from gcl_core.surface.views import carry_views

FEW = ("train_identities=2", "test_identities=2", "pictures_per_identity=4", "distractors=1", "junk=0")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Layout:
    """A prepared set of few people, with a distractor in its gallery."""
    words = [*(f"people.{word}" for word in FEW), "people.true_views=false", "profile=few"]
    layout = Layout(load_study("smoke", words), root=tmp_path_factory.mktemp("study"))
    prepare_data(layout, workers=1)
    return layout


def test_every_test_picture_has_views_over_its_known_body(study: Layout):
    people = prepare_data(study)
    test = side_rows(people, "test")
    splits = people.index["split"].iloc[test].tolist()
    assert splits == sorted(splits, reverse=True)  # queries first
    assert 0 in people.index["pid"].to_numpy()[test]  # a distractor
    views, there = carried_views(study, people, test, "known")
    assert there.all()
    topology, placed = body_source(study, people.index["file"].iloc[test].tolist(), "known")
    for place in (0, 4, len(test) - 1):
        np.testing.assert_array_equal(
            views[place], carry_views(people.pictures[test[place]], placed(place), topology).views
        )


def test_a_picture_has_the_same_fitted_views_alone_and_with_others(study: Layout):
    people = prepare_data(study)
    for side in ("train", "test"):
        rows = side_rows(people, side)
        carrier = Carrier(study, people, "fitted", side)
        views, there = carrier.views(rows)
        assert there.sum() > 0
        some, some_there = carried_views(study, people, rows[[6, 1]], "fitted")
        np.testing.assert_array_equal(some, views[[6, 1]])
        np.testing.assert_array_equal(some_there, there[[6, 1]])


def test_pictures_without_a_body_are_black_and_told(study: Layout, monkeypatch: pytest.MonkeyPatch):
    people = prepare_data(study)
    rows = side_rows(people, "test")
    topology, placed = body_source(study, people.index["file"].iloc[rows].tolist(), "known")

    def some(place: int):
        if place == 2:
            raise MeshError("no body to be trusted (poor fit)")
        return placed(place)

    monkeypatch.setattr("gcl_core.surface.carrier.body_source", lambda *_: (topology, some))
    views, there = carried_views(study, people, rows[:4], "known")
    assert there.tolist() == [True, True, False, True]
    assert Carrier(study, people, "known", "test").with_views(rows[1:4]).tolist() == rows[[1, 3]].tolist()
    assert not views[2].any()
    assert views[1].any()


def test_a_study_knows_which_bodies_it_has(study: Layout, tmp_path: Path):
    assert known_ways(study) == ["fitted", "known"]
    assert known_ways(Layout(study.study, root=tmp_path)) == []
    with pytest.raises(RunError, match=r"bodies\.csv is missing"):
        Carrier(Layout(study.study, root=tmp_path), prepare_data(study), "known", "test")
    elsewhere = Layout(study.study, root=tmp_path)
    elsewhere.mesh_root.mkdir(parents=True)
    (elsewhere.mesh_root / "bodies.csv").write_text("")
    assert known_ways(elsewhere) == ["fitted"]
