"""Made-up names of pictures, and spoilt estimates of them: refused in words, and nothing half written."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gcl_core.data import bodies
from gcl_core.data.bodies import TABLE, fit_bodies, pose_bodies
from gcl_core.data.index import SPLITS, DataError, list_pictures
from gcl_core.data.names import match_names
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.fit import Fit
from gcl_core.mesh.projection import YAWS
from gcl_core.mesh.stick_figure import FREE, BodyFamily, load_family
from tests.fuzzing import bounded, json_values, places, put, strange_arrays, strange_texts

PARTS = st.sampled_from(
    ["1", "a", "b.jpg", "b.JPG", "b.png", "b", "hall", "..", ".", "/", "\\", "é.jpeg", " ", "c.jpg.jpg"]
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
FILES = ["bounding_box_train/0001_c1.jpg", "query/0002_c1.jpg", "bounding_box_test/0002_c2.jpg"]


@bounded(200)
@given(
    named=st.lists(st.one_of(PATHS, strange_texts), max_size=5),
    wanted=st.lists(
        PATHS.filter(lambda path: Path(path).name not in ("", "..")), min_size=1, max_size=4, unique_by=Path
    ),
)
def test_names_mean_one_picture_each_or_are_told(named: list[str], wanted: list[str]):
    try:
        found = match_names(named, wanted, "k.json")
    except DataError as error:
        told = str(error)
    else:
        told = "k.json"
        used = list(found.places.values())
        assert len(set(used)) == len(used) > 0
        assert len(used) + len(found.strangers) == len(named)
        for picture, place in found.places.items():
            ours, theirs = (Path(each.replace("\\", "/")).name.partition(".")[0] for each in (picture, named[place]))
            assert ours == theirs
        told += "".join(found.notes(Path("k.json")))
    assert "k.json" in told
    assert told.isprintable()


@bounded()
@given(names=st.lists(st.one_of(strange_texts, st.binary(min_size=1, max_size=6).map(os.fsdecode)), max_size=3))
def test_files_of_any_name_in_a_dataset_are_listed_or_told(tmp_path_factory, names: list[str]):
    root = _dataset(tmp_path_factory.mktemp("set"))
    for number, name in enumerate(names):
        for odd in (name, f"000{number}_c{number}{name}.jpg", f"{name}.png"):
            try:
                (root / FOLDERS[number] / odd).write_bytes(b"")
            except (OSError, ValueError):
                continue  # no name that a file can have
    _check_listing(root)


@bounded()
@given(lines=st.lists(st.lists(st.one_of(strange_texts, PATHS, st.sampled_from(FILES)), max_size=5), max_size=3))
def test_tables_of_any_content_are_read_or_told(tmp_path_factory, lines: list[list[str]]):
    root = _dataset(tmp_path_factory.mktemp("set"))
    good = [
        f"{file},{1 + (row > 0)},{row},{split}" for row, (file, split) in enumerate(zip(FILES, SPLITS, strict=True))
    ]
    text = "\n".join(["file,pid,camid,split", *good, *(",".join(line) for line in lines)])
    (root / "pictures.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    _check_listing(root)


@pytest.fixture(scope="module")
def family() -> BodyFamily:
    return load_family()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return _dataset(tmp_path_factory.mktemp("set"))


@bounded(50)
@given(data=st.data(), value=json_values)
def test_a_refused_keypoint_file_leaves_nothing_half_written(
    root: Path, family: BodyFamily, tmp_path_factory, data: st.DataObject, value: Any
):
    out, table = tmp_path_factory.mktemp("out"), _keypoints()
    place = data.draw(st.sampled_from(places(table)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "fit_figures", _unsure)
        patch.setattr(bodies, "load_family", lambda: family)
        (out / "k.json").write_text(json.dumps(put(table, place, value)))
        with pytest.raises((DataError, MeshError), match=r"k\.json"):
            fit_bodies(root, out / "k.json", out=out / "meshes", height=32)
    written = [path.relative_to(out / "meshes").as_posix() for path in (out / "meshes").rglob("*") if path.is_file()]
    assert set(written) in (set(), {"bodies.json", TABLE, ".bodies.lock"})


@bounded(12)
@given(
    key=st.sampled_from(["files", "pose", "betas", "pred_cam"]),
    value=st.one_of(strange_arrays, st.just(np.array(FILES))),
)
def test_a_refused_smpl_file_leaves_nothing_and_a_good_one_whole_pictures(
    root: Path, tmp_path_factory, key: str, value
):
    out, pose = tmp_path_factory.mktemp("out"), np.zeros((3, 72))
    pose[:, 0] = np.pi
    np.savez(out / "s.npz", **{"files": np.array(FILES), "pose": pose, "betas": np.zeros((3, 10)), key: value})
    try:
        made = pose_bodies(root, out / "s.npz", out=out / "meshes", height=32)
    except (DataError, MeshError) as error:
        assert not (out / "meshes").exists()
        told = str(error)
    else:
        files = [path for path in (out / "meshes").rglob("*") if path.is_file()]
        assert len(files) == made.bodies * len(YAWS) + 3
        told = "s.npz"
    assert "s.npz" in told


def _unsure(figure, points, weights, depths, heights, *, progress: bool) -> Fit:
    """Figures that lie on the points, and would as well if they faced elsewhere: none is good, and none is drawn."""
    assert np.isfinite(points).all()
    values = np.zeros((len(points), len(FREE)), dtype=np.float32)
    camera = np.zeros((len(points), 3), dtype=np.float32)
    return Fit(values, values[:, 0], camera, points, values[:, 0])


def _keypoints() -> dict[str, Any]:
    images = [{"id": row, "file_name": file, "width": 64, "height": 128} for row, file in enumerate(FILES)]
    notes = [{"image_id": row, "score": 0.5, "keypoints": [9.0, 11.0, 2] * 17} for row in range(3)]
    return {"images": images, "annotations": notes}


def _dataset(root: Path) -> Path:
    for file in FILES:
        (root / file).parent.mkdir()
        Image.new("RGB", (8, 16)).save(root / file)
    return root


def _check_listing(root: Path) -> None:
    try:
        index = list_pictures("folder", root)
    except DataError as error:
        told = str(error)
    else:
        told = str(root)
        assert all((root / file).is_file() for file in index["file"])
        assert index["file"].is_unique
    assert str(root) in told
