"""What a study sees: counts, distractors apart, pictures of one person by several cameras."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.dataset import dataset_figure
from gcl_core.figures.galleries import choose_people
from gcl_core.tables.dataset import dataset_reading, dataset_table


def test_distractors_are_pictures_but_no_people(people: PersonSet):
    table = dataset_table(people).set_index("split")
    assert table.loc["train"].tolist() == [16, 4, 4.0, 2, 0, 16]
    assert table.loc["gallery"].tolist() == [4, 3, 1.0, 1, 1, 4]


def test_each_row_shows_one_person_by_different_cameras_and_the_first_ones_meshes(people: PersonSet):
    image = np.asarray(dataset_figure(people, 2).axes[0].images[0].get_array())
    first, second = image[:64, :32], image[:64, 34:66]
    rows = [int(np.flatnonzero((people.pictures == shown).all(axis=(1, 2, 3)))[0]) for shown in (first, second)]
    lines = people.index.iloc[rows]
    assert lines["pid"].nunique() == 1
    assert lines["camid"].nunique() == 2
    assert (image[:64, 68:100] == 255).all()  # only two cameras saw this person
    mesh = np.repeat(people.projections[rows[0], 7][..., None], 3, axis=-1)
    assert (image[:64, -32:] == mesh).all()


def test_pictures_without_a_mesh_are_counted_and_never_shown(people: PersonSet):
    lacking = np.flatnonzero((people.index["pid"] == 3) | (people.index["file"] == "train/4_1_0"))
    some = replace(people, index=people.index.assign(mesh=~people.index.index.isin(lacking)))
    assert dataset_table(some).set_index("split")["with a mesh"].tolist() == [11, 3, 4]
    assert "5 of them have no usable mesh (listed in without_mesh.csv" in dataset_reading(some, None)
    assert "no usable mesh" not in dataset_reading(people, None)
    assert set(lacking) & set(choose_people(some, "train", 9).tolist()) == set()


@pytest.mark.parametrize(("yaws", "told"), [([0, 180], "agree to 1.00"), ([0, 0], "agree to 1.00")])
def test_how_one_sided_cameras_are(people: PersonSet, tmp_path: Path, yaws: list[int], told: str):
    yaw = np.array(yaws)[people.index["camid"].to_numpy() - 1]
    truth = Truth(tmp_path, pd.DataFrame({"file": people.index["file"], "yaw": yaw}), 64, 32)
    text = dataset_reading(people, truth)
    assert told in text
    both = abs(np.exp(1j * np.deg2rad(yaw)).mean())
    assert f"all cameras together {both:.2f}" in text
    assert "16 training pictures show 4 people, 4.0 each, in 2 cameras" in text
    assert "agree" not in dataset_reading(people, None)
