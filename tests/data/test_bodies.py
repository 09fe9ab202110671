"""From keypoints or SMPL parameters of a dataset to projections that training can use, and what is told on the way."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.bodies import TABLE, fit_bodies, match_files, pose_bodies
from gcl_core.data.index import DataError, read_index
from gcl_core.data.people.estimates import KnownBody, known_bodies
from gcl_core.data.people.make import make_people
from gcl_core.data.released import read_projection
from gcl_core.mesh.body import load_bodies
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import Person, write_coco
from gcl_core.mesh.projection import YAWS, project_body, projection_folder

SETTINGS = PeopleSettings(train_identities=3, test_identities=2, cameras=3, pictures_per_identity=4, true_views=False)
SIZE = {"height": 128, "width": 64}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_people(tmp_path_factory.mktemp("people"), SETTINGS, **SIZE, workers=1, progress=False)


@pytest.fixture(scope="module")
def known(root: Path) -> dict[str, KnownBody]:
    """The body behind each picture of the set."""
    names = [Path(file).name for file in read_index("folder", root)["file"]]
    found = known_bodies(root, names, *load_bodies())
    assert set(found) == set(names)
    return found


@pytest.fixture(scope="module")
def keypoints(root: Path, known: dict[str, KnownBody], tmp_path_factory) -> Path:
    """COCO JSON of all pictures but two: of one nothing is said, of another five points only."""
    people = {}
    for number, file in enumerate(read_index("folder", root)["file"][1:]):
        points = known[Path(file).name].keypoints(**SIZE)
        values = [x for column, row in points.tolist() for x in (column, row, 2)]
        if number == 0:
            values = [x if place < 15 or place % 3 != 2 else 0 for place, x in enumerate(values)]
        people[file] = Person(64, 128, values, 1.0)
    path = tmp_path_factory.mktemp("estimates") / "keypoints.json"
    write_coco(path, people)
    return path


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    here, there = one < 250, other < 250
    return float((here & there).sum() / (here | there).sum())


def test_fitted_bodies_look_like_the_known_ones_from_every_side(root: Path, known, keypoints: Path, tmp_path: Path):
    made = fit_bodies(root, keypoints, out=tmp_path / "meshes", height=128)
    index = read_index("folder", root)
    assert (made.pictures, made.named, made.bodies) == (len(index), len(index) - 1, len(index) - 2)
    table = pd.read_csv(tmp_path / "meshes" / TABLE)
    assert table["file"].tolist() == index["file"].tolist()[1:]
    assert table["quality"].value_counts().to_dict() == {"good": len(index) - 2, "few points": 1}
    assert table["error"].iloc[1:].median() < 2
    for yaw in YAWS:
        overlaps = []
        for file, split in zip(index["file"][2:], index["split"][2:], strict=True):
            path = projection_folder(tmp_path / "meshes", "train" if split == "train" else "test", yaw)
            true = project_body(known[Path(file).name].body, yaw, **SIZE)
            overlaps.append(_overlap(read_projection(path / Path(file).name, **SIZE), true))
        assert np.mean(overlaps) > 0.7, yaw
    told = made.text()
    assert f"{len(index) - 1} have an estimate" in told
    assert "1 few points" in told
    assert "no views are drawn of them" in told


def test_a_second_call_fits_nothing_anew_and_restores_what_is_missing(root: Path, keypoints: Path, tmp_path: Path):
    out = tmp_path / "meshes"
    first = fit_bodies(root, keypoints, out=out, height=64)
    files = {path: path.read_bytes() for path in out.rglob("*.jpg")}
    stamp = (out / TABLE).stat().st_mtime_ns
    sorted(files)[3].unlink()
    assert fit_bodies(root, keypoints, out=out, height=64).bodies == first.bodies
    assert {path: path.read_bytes() for path in out.rglob("*.jpg")} == files
    assert (out / TABLE).stat().st_mtime_ns == stamp
    with pytest.raises(MeshError, match=r"something else \(height differ\)"):
        fit_bodies(root, keypoints, out=out, height=128)


def test_smpl_parameters_of_the_known_bodies_give_the_known_projections(root: Path, known, tmp_path: Path):
    index = read_index("folder", root)
    rotations = np.array([known[Path(file).name].smpl for file in index["file"]])
    np.savez(tmp_path / "smpl.npz", files=index["file"].to_numpy(dtype=str), pose=rotations)
    made = pose_bodies(root, tmp_path / "smpl.npz", out=tmp_path / "meshes", height=128)
    assert made.bodies == len(index)
    overlaps = {yaw: [] for yaw in YAWS}
    for file, split in zip(index["file"], index["split"], strict=True):
        for yaw in YAWS:
            path = projection_folder(tmp_path / "meshes", "train" if split == "train" else "test", yaw)
            true = project_body(known[Path(file).name].body, yaw, **SIZE)
            overlaps[yaw].append(_overlap(read_projection(path / Path(file).name, **SIZE), true))
    assert min(np.mean(each) for each in overlaps.values()) > 0.75


def test_an_smpl_model_that_is_not_there_is_told_before_anything_is_written(root: Path, known, tmp_path: Path):
    file = read_index("folder", root)["file"].tolist()[0]
    np.savez(tmp_path / "smpl.npz", files=[file], pose=known[Path(file).name].smpl[None])
    with pytest.raises(MeshError, match=r"pip install smplx|no SMPL model at"):
        pose_bodies(root, tmp_path / "smpl.npz", model=tmp_path / "SMPL_NEUTRAL.npz", out=tmp_path / "meshes")
    assert not (tmp_path / "meshes").exists()


def test_estimates_of_other_pictures_are_told(root: Path, tmp_path: Path):
    write_coco(tmp_path / "k.json", {"holiday.jpg": Person(64, 128, [1.0, 1.0, 2] * 17, 1.0)})
    with pytest.raises(DataError, match=r"names none of the dataset's pictures: it has holiday\.jpg"):
        fit_bodies(root, tmp_path / "k.json", out=tmp_path / "meshes")
    assert not (tmp_path / "meshes").exists()
    with pytest.raises(DataError):
        fit_bodies(tmp_path / "nowhere", tmp_path / "k.json")


def test_names_mean_pictures_by_path_or_by_base_name():
    wanted = ["query/0001_c1.jpg", "bounding_box_test/0001_c2.jpg", "bounding_box_test/0002_c2.jpg"]
    assert match_files(wanted, wanted) == dict(zip(wanted, range(3), strict=True))
    assert match_files(["0002_c2.jpg", "0001_c1.jpg"], wanted) == {wanted[0]: 1, wanted[2]: 0}
    assert match_files(["0001_c2", "query/0001_c1"], wanted) == {wanted[0]: 1, wanted[1]: 0}
    assert match_files(["/data/set/query/0001_c1.jpg", r"D:\set\bounding_box_test\0001_c2.png"], wanted) == {
        wanted[0]: 0,
        wanted[1]: 1,
    }
    assert match_files(["query/0001_c2.jpg", "0003_c1.jpg"], wanted) == {}  # another folder, another name
    with pytest.raises(DataError, match=r"7\.jpg could mean train/7\.jpg or test/7\.jpg"):
        match_files(["7.jpg"], ["train/7.jpg", "test/7.jpg"])


def test_a_fit_that_was_killed_before_its_table_leaves_no_table(root, keypoints, tmp_path: Path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "meshes"
    with monkeypatch.context() as patch:
        patch.setattr("gcl_core.data.bodies.judge", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_bodies(root, keypoints, out=out, height=64)
    assert not (out / TABLE).exists()
    assert fit_bodies(root, keypoints, out=out, height=64).bodies > 0
    assert json.loads((out / "bodies.json").read_text())["height"] == 64
