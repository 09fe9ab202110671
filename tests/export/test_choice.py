"""Which views are chosen: names, labels and order of the manifest, and words for what there is not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import ConfigError
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.export.choice import Choice, chosen_rows, drawing_run, view_manifest, weights_of
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout


def manifest_of(layout: Layout, choice: Choice, people: PersonSet | None = None) -> pd.DataFrame:
    people, run = people or load_person_set(layout), drawing_run(layout, choice)
    return view_manifest(people, chosen_rows(people, choice), choice, run, weights_of(run))


def test_every_training_picture_with_a_mesh_has_seven_views_and_its_last_pseudo_label(layout: Layout):
    manifest = manifest_of(layout, Choice())
    assert len(manifest) == 7 * 7  # row 2 has no mesh
    assert manifest["file"][:2].tolist() == ["train/nv/45/0003_c1s1_00.png", "train/nv/90/0003_c1s1_00.png"]
    assert manifest["source"].unique()[2] == "bounding_box_train/0004_c2s1_00.jpg"
    assert manifest["pseudo_label"][::7].tolist() == [0, 0, 1, 1, 1, -1, 2]
    assert manifest["yaw"][:7].tolist() == [45, 90, 135, 180, 225, 270, 315]
    assert hash_file(layout.stage("gcl", 0) / "generator.safetensors").startswith(str(manifest["generator"][0]))
    assert manifest["sha256"].isna().to_numpy().all()


def test_people_yaws_and_pictures_of_each_narrow_the_choice(layout: Layout):
    manifest = manifest_of(layout, Choice(people=(6, 4), yaws=(180, 45), each=1))
    names = ["0004_c2s1_00", "0006_c1s1_00"]  # of 4 the second picture: the first has no mesh
    assert manifest["file"].tolist() == [f"train/nv/{yaw}/{name}.png" for name in names for yaw in (45, 180)]


def test_pictures_outside_training_have_no_pseudo_label(layout: Layout):
    manifest = manifest_of(layout, Choice(split="query", naming="market"))
    assert manifest["file"].tolist()[0] == "test/query/0010_c1s1_00_nv045.png"
    assert manifest["pseudo_label"].isna().to_numpy().all()


def test_market_names_begin_with_identity_and_camera_whatever_the_source_is_named(layout: Layout):
    people = load_person_set(layout)
    index = people.index.assign(file=[f"train/0000/0000_000_01_{row}.jpg" for row in range(len(people.index))])
    manifest = manifest_of(layout, Choice(naming="market"), dataclasses.replace(people, index=index))
    assert manifest["file"].tolist()[0] == "bounding_box_train/0003_c1_0000_000_01_0_nv045.png"


def named(layout: Layout, *names: str) -> list[str]:
    """Export the training set with its first pictures under other names; return the files of their views at 45°."""
    people = load_person_set(layout)
    files = people.index["file"].tolist()
    index = people.index.assign(file=[*names, *files[len(names) :]])
    return manifest_of(layout, Choice(yaws=(45,)), dataclasses.replace(people, index=index))["file"].tolist()


def test_pictures_of_one_name_are_told_apart_by_suffix_or_folder(layout: Layout):
    views = named(layout, "hall/1.jpg", "yard/1.jpg", "without a mesh.jpg", "yard/1.png", "yard/2.jpg")
    assert views[:4] == [f"train/nv/45/{name}.png" for name in ("hall_1.jpg", "yard_1.jpg", "1.png", "2")]
    assert len(set(views)) == len(views)


def test_pictures_that_would_share_a_name_even_so_are_refused(layout: Layout):
    with pytest.raises(RunError, match=r"named hall_1\.jpg; rename"):
        named(layout, "hall/1.jpg", "yard/1.jpg", "without a mesh.jpg", "yard/hall_1.jpg.png")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(split="val"), r"no split 'val'; known: train, query, gallery"),
        (Choice(yaws=(45, 0, 60)), r"at yaw 0, 60; there are meshes at 45, 90, 135, 180, 225, 270, 315"),
        (Choice(people=(3, 99)), r"no picture of 99 in train; its people: 3, 4, 5, 6"),
        (Choice(naming="duke"), r"no naming 'duke'; known: nv, market"),
        (Choice(each=0), r"choose 1 or more"),
    ],
)
def test_what_there_is_not_is_answered_with_what_there_is(layout: Layout, choice: Choice, words: str):
    with pytest.raises(ConfigError, match=words):
        chosen_rows(load_person_set(layout), choice)


def test_pictures_without_a_mesh_alone_leave_nothing_to_draw(layout: Layout):
    people = load_person_set(layout)
    bare = dataclasses.replace(people, index=people.index.assign(mesh=np.zeros(len(people.index), dtype=bool)))
    with pytest.raises(ConfigError, match="has mesh projections"):
        chosen_rows(bare, Choice())


def test_a_missing_run_is_answered_with_its_notebook_and_one_without_a_generator_with_those_that_draw(layout: Layout):
    with pytest.raises(RunError, match=r'04_joint_training.ipynb with variant="no_vi" and seed=0'):
        drawing_run(layout, Choice(variant="no_vi"))
    with pytest.raises(RunError, match=r"^tda draws no views; those that do: gcl, no_vi"):
        drawing_run(layout, Choice(variant="tda"))
    (layout.stage("gcl", 0) / "generator.safetensors").unlink()
    with pytest.raises(RunError, match="draws no views; those that do: gcl, no_vi"):
        drawing_run(layout, Choice())
