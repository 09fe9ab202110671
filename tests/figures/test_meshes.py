"""Four ways to a mesh: on people whose bodies are known each way comes near them, and faults would show."""

from dataclasses import replace

import numpy as np
import pytest

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.preparation import prepare_data
from gcl_core.figures.meshes import KNOWN, MeshWays, mesh_ways, meshes_reading, ways_figure, ways_reading, ways_table
from gcl_core.layout import Layout

FEW = "people.train_identities=3 people.test_identities=2 people.cameras=2 people.pictures_per_identity=4"


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    small = f"{FEW} people.distractors=0 people.junk=0 people.true_views=false picture.height=128 picture.width=64"
    return Layout(load_study("smoke", small), root=tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def known(layout: Layout) -> PersonSet:
    return prepare_data(layout, workers=1)


@pytest.fixture(scope="module")
def ways(layout: Layout, known: PersonSet) -> MeshWays:
    return mesh_ways(layout, known)


def test_each_way_comes_near_the_known_body_at_every_yaw(ways: MeshWays):
    table = ways_table(ways).set_index("way")
    assert list(table["people"]) == [3, 3, 3]
    least = table.drop(columns="people").min(axis=1).to_dict()
    assert least["files as released"] > 0.98
    assert least["keypoints, fitted"] > 0.65
    assert least["SMPL pose, carried over"] > 0.75


def test_a_way_that_turns_the_wrong_way_round_would_show(ways: MeshWays):
    views = ways.views["files as released"]
    backwards = {**ways.views, "files as released": views[:, [0, 7, 6, 5, 4, 3, 2, 1]]}
    right, wrong = (ways_table(each).set_index("way") for each in (ways, replace(ways, views=backwards)))
    at_90 = [float(table["90°"].to_dict()["files as released"]) for table in (right, wrong)]
    assert at_90[1] < at_90[0] - 0.1


def test_the_figure_shows_picture_and_projections_of_the_same_person(known: PersonSet, ways: MeshWays):
    figure = ways_figure(known, ways)
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    picture = known.pictures[ways.rows[0]]
    assert any(np.array_equal(canvas[top : top + 128, :64], picture) for top in range(canvas.shape[0] - 128))
    assert np.array_equal(canvas[:128, -64:, 0], ways.views[KNOWN][0, 7])
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {*ways.views, "picture", "0°", "315°"} <= texts


def test_readings_name_what_they_count(layout: Layout, known: PersonSet, ways: MeshWays):
    assert "files as released 1.00" in ways_reading(ways_table(ways))
    assert meshes_reading(layout, known).startswith("Usable meshes: 12 of 12 train pictures")
    lacking = replace(known, index=known.index.assign(mesh=known.index["split"] != "query"))
    assert "0 of 4 query pictures" in meshes_reading(layout, lacking)
