"""From keypoints or SMPL parameters of a dataset to projections that training can use, and what is told on the way."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.bodies import TABLE, fit_bodies, pose_bodies
from gcl_core.data.index import DataError, read_index
from gcl_core.data.people.estimates import KnownBody, known_bodies
from gcl_core.data.people.make import make_people
from gcl_core.data.released import read_projection
from gcl_core.data.report import report_data
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
    write_coco(tmp_path / "k.json", {"holiday.jpg": Person(64, 128, [9.0, 9.0, 2] * 17, 1.0)})
    with pytest.raises(DataError, match=r"names none of the dataset's pictures: it has holiday\.jpg"):
        fit_bodies(root, tmp_path / "k.json", out=tmp_path / "meshes")
    assert not (tmp_path / "meshes").exists()
    with pytest.raises(DataError):
        fit_bodies(tmp_path / "nowhere", tmp_path / "k.json")


@pytest.mark.parametrize(
    ("stated", "alike"), [((1920, 1080), False), ((640, 480), False), ((128, 256), True), ((33, 65), True)]
)
def test_stated_sizes_must_have_the_pictures_proportions(few: Path, known, tmp_path: Path, stated, alike: bool):
    path = _few_keypoints(few, known, tmp_path / "k.json")
    table = json.loads(path.read_text())
    for image in table["images"][1:]:
        image["width"], image["height"] = stated
    path.write_text(json.dumps(table))
    (few / "room3" / "1.jpg").write_bytes(b"no picture")  # left to the steps that read its pixels
    if alike:
        assert fit_bodies(few, path, height=64).named == 4
        return
    told = (
        rf"k\.json: `images` states {stated[0]} x {stated[1]} pixels for room1/1\.jpg, which has 64 x 128; "
        r".* more than 5% in 2 of 4 pictures\. State the size of the pictures that the points are measured in"
    )
    with pytest.raises(MeshError, match=told):
        fit_bodies(few, path, height=64)
    assert not (few / "meshes").exists()


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


def test_a_fit_that_was_killed_while_rendering_ends_with_the_same_bytes(root, keypoints, tmp_path: Path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    fit_bodies(root, keypoints, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("gcl_core.data.bodies.render_bodies", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_bodies(root, keypoints, out=tmp_path / "broken")
    assert (tmp_path / "broken" / TABLE).exists()
    fit_bodies(root, keypoints, out=tmp_path / "broken")
    whole, broken = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "broken")
    )
    assert broken == whole


@pytest.fixture
def few(root: Path, tmp_path: Path) -> Path:
    """A folder with four of the pictures under one base name in as many folders, and their table."""
    index = read_index("folder", root)
    lines = ["file,pid,camid,split"]
    for number, split in enumerate(("train", "train", "query", "gallery")):
        file = index.loc[index["split"] == split, "file"].iloc[number % 2]
        here = tmp_path / "few" / f"room{number}" / "1.jpg"
        here.parent.mkdir(parents=True)
        shutil.copy(root / file, here)
        lines.append(f"room{number}/1.jpg,{1 + number // 2},{number},{split}")
        (tmp_path / f"{number}.txt").write_text(Path(file).name)
    (tmp_path / "few" / "pictures.csv").write_text("\n".join(lines))
    return tmp_path / "few"


def _few_keypoints(few: Path, known: dict[str, KnownBody], path: Path, rooms=(0, 1, 2, 3), shift: float = 0.0) -> Path:
    people = {}
    for number in rooms:
        points = known[(few.parent / f"{number}.txt").read_text()].keypoints(**SIZE) + np.array([shift, 0])
        values = [x for column, row in points.tolist() for x in (column, row, 2)]
        people[f"room{number}/1.jpg"] = Person(64, 128, values, 1.0)
    write_coco(path, people)
    return path


def test_one_base_name_in_several_folders_is_no_clash(few: Path, known, tmp_path: Path):
    made = fit_bodies(few, _few_keypoints(few, known, tmp_path / "k.json"), height=64)
    assert made.bodies == 4
    for number, side in enumerate(("train", "train", "test", "test")):
        body = known[(few.parent / f"{number}.txt").read_text()].body
        drawn = projection_folder(few / "meshes", side, 0) / f"room{number}" / "1.jpg"
        assert _overlap(read_projection(drawn, **SIZE), project_body(body, 0, **SIZE)) > 0.65
    true = [known[(few.parent / f"{number}.txt").read_text()].shot.yaw for number in range(4)]
    fitted = pd.read_csv(few / "meshes" / TABLE)
    assert fitted["file"].tolist() == ["room0/1.jpg", "room1/1.jpg", "room2/1.jpg", "room3/1.jpg"]
    assert (np.abs((fitted["yaw"] - true + 180) % 360 - 180) < 20).all()
    report = report_data("folder", few)
    assert [(report.meshes[side].complete, report.meshes[side].strangers) for side in ("train", "test")] == [
        (2, [])
    ] * 2


def _stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}


def test_a_later_call_fits_what_is_new_or_changed_and_keeps_the_rest(few: Path, known, tmp_path: Path):
    path, lines = tmp_path / "k.json", (few / "pictures.csv").read_text().splitlines()
    (few / "pictures.csv").write_text("\n".join([*lines[:2], *lines[3:]]))  # room1 comes later
    first = fit_bodies(few, _few_keypoints(few, known, path), height=64)
    assert (first.kept, first.bodies) == (0, 3)
    assert "1 names in" in first.text()
    table = pd.read_csv(few / "meshes" / TABLE)
    (few / "pictures.csv").write_text("\n".join(lines))
    grown = fit_bodies(few, path, height=64)
    assert (grown.kept, grown.bodies) == (3, 4)
    assert "1 anew, 3 kept" in grown.text()
    assert (few / "meshes/train/render/room0/1.jpg").is_file()  # no longer 1.jpg, which could be either's
    assert pd.read_csv(few / "meshes" / TABLE).set_index("file").loc[table["file"]].reset_index().equals(table)
    # other points of one picture: it alone is made anew
    stamps = _stamps(few / "meshes")
    _few_keypoints(few, known, tmp_path / "one.json", rooms=(3,), shift=3.0)
    moved = fit_bodies(few, tmp_path / "one.json", height=64)
    assert (moved.named, moved.kept, moved.bodies) == (1, 0, 4)
    new = {file for file, stamp in _stamps(few / "meshes").items() if stamps.get(file) != stamp}
    assert {file.parent.name for file in new} == {"room3"}
    assert fit_bodies(few, tmp_path / "one.json", height=64).kept == 1
    (few / "meshes" / TABLE).unlink()  # lost: fitted again, drawn as they are
    stamps = _stamps(few / "meshes")
    assert fit_bodies(few, tmp_path / "one.json", height=64).kept == 0
    assert _stamps(few / "meshes") == stamps


def test_fits_of_another_set_in_the_same_folder_stay(few: Path, known, tmp_path: Path):
    path, lines = tmp_path / "k.json", (few / "pictures.csv").read_text().splitlines()
    (few / "pictures.csv").write_text("\n".join([*lines[:2], *lines[3:]]))
    fit_bodies(few, _few_keypoints(few, known, path), out=tmp_path / "both", height=64)
    first = pd.read_csv(tmp_path / "both" / TABLE).set_index("file")
    (few / "pictures.csv").write_text("\n".join([lines[0], *lines[2:]]))  # as if another set: one is gone, one is new
    fit_bodies(few, path, out=tmp_path / "both", height=64)
    both = pd.read_csv(tmp_path / "both" / TABLE).set_index("file")
    assert set(both.index) == {*first.index, "room1/1.jpg"}
    assert both.loc[first.index].equals(first)


def test_poses_of_more_pictures_are_added_and_changed_ones_drawn_anew(few: Path, known, tmp_path: Path):
    rotations = {f"room{n}/1.jpg": known[(few.parent / f"{n}.txt").read_text()].smpl for n in range(4)}

    def pose(*rooms: int):
        files = [f"room{number}/1.jpg" for number in rooms]
        np.savez(tmp_path / "smpl.npz", files=files, pose=np.array([rotations[file] for file in files]))
        return pose_bodies(few, tmp_path / "smpl.npz", height=64)

    assert (pose(0, 1, 2).kept, pose(0, 1, 2).kept) == (0, 3)
    stamps = _stamps(few / "meshes")
    grown = pose(0, 1, 2, 3)
    assert (grown.kept, grown.bodies) == (3, 4)
    assert {file: stamp for file, stamp in _stamps(few / "meshes").items() if file in stamps} == stamps
    rotations["room2/1.jpg"] = rotations["room3/1.jpg"]
    assert pose(2, 3).kept == 1
    changed = {file for file, stamp in _stamps(few / "meshes").items() if file in stamps and stamps[file] != stamp}
    assert {file.parent.name for file in changed} == {"room2"}


def test_no_good_fit_at_all_is_an_error(few: Path, known, tmp_path: Path):
    table = json.loads(_few_keypoints(few, known, tmp_path / "k.json").read_text())
    for note in table["annotations"]:
        note["keypoints"][15:] = [0] * 36
    (tmp_path / "k.json").write_text(json.dumps(table))
    with pytest.raises(MeshError, match=r"k\.json: no body could be fitted \(4 few points"):
        fit_bodies(few, tmp_path / "k.json", height=64)


def test_depths_are_matched_as_keypoints_are(few: Path, known, tmp_path: Path):
    path, world = _few_keypoints(few, known, tmp_path / "k.json"), np.zeros((2, 33, 4))
    for names, told in (
        (["/data/room0/1.jpg", "room9/1.jpg"], r"1 names in .*d\.npz mean no picture of the dataset: room9/1\.jpg"),
        (["1.jpg", "room1/1.jpg"], r"d\.npz: 1\.jpg could mean room0/1\.jpg, room1/1\.jpg"),
        (["room0/1", "room0/1.jpg"], r"d\.npz: room0/1 and room0/1\.jpg both mean|room0/1\.jpg and room0/1 both mean"),
        (["x.jpg", "y.jpg"], r"d\.npz names none of the dataset's pictures"),
    ):
        np.savez(tmp_path / "d.npz", files=names, world=world)
        if told.startswith("1 names"):
            made = fit_bodies(few, path, depths=tmp_path / "d.npz", out=tmp_path / "meshes", height=64)
            assert re.search(told, made.text())
        else:
            with pytest.raises(DataError, match=told):
                fit_bodies(few, path, depths=tmp_path / "d.npz", out=tmp_path / "none", height=64)
    assert not (tmp_path / "none").exists()
