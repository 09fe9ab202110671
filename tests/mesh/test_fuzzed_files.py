"""Made-up and spoilt files of keypoints, depths and SMPL parameters: refused in words, or read as finite numbers."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gcl_core.mesh.depths import read_depths
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import read_coco
from gcl_core.mesh.smpl_files import read_smpl
from tests.fuzzing import bounded, json_values, places, put, strange_arrays

TABLE: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"query/{n}.jpg", "width": 64, "height": 128} for n in (1, 2)],
    "annotations": [
        {"image_id": n, "score": 0.5, "area": 9.0, "iscrowd": 0, "keypoints": [9.0, 11, 2] * 17} for n in (1, 2, 2)
    ],
}
POSES = np.zeros((2, 24, 3))
POSES[:, 0] = [np.pi, 0.1, 0]
SMPL: dict[str, Any] = {
    "files": np.array(["a.jpg", "b.jpg"]),
    "pose": POSES,
    "betas": np.zeros((2, 10)),
    "conf": np.ones(2),
}
PHALP: dict[str, Any] = {
    f"query/{name}.jpg": {
        "smpl": [{"global_orient": POSES[0, :1], "body_pose": POSES[0, 1:], "betas": np.zeros(10)}],
        "conf": [0.5],
        "tracked_time": [0],
    }
    for name in "ab"
}
KEYS = st.sampled_from(["files", "imgname", "pose", "body_pose", "global_orient", "theta", "betas", "conf", "has_smpl"])
NESTS = st.sampled_from(["results", "smpl", "pred_smpl_params", "sequence_results", "subject_0", "a.jpg"])


def _read(reader: Callable[[Path], Any], path: Path) -> Any:
    """Return what a file holds, or what is told of it: which names the file and can be printed."""
    try:
        return reader(path)
    except MeshError as error:
        told = str(error)
    assert path.name in told
    assert told.isprintable()
    return told


def _check_keypoints(path: Path) -> None:
    found = _read(read_coco, path)
    if isinstance(found, str):
        return
    assert np.isfinite(found.points).all()
    assert set(np.round(found.weights.ravel(), 3)) <= {0.0, np.float32(0.3), 1.0}
    assert np.isfinite(found.heights).all()
    assert (found.heights > 0).all()
    assert (np.abs(found.points) <= 2e5 + 1).all()
    assert len(set(found.files)) == len(found.files) > 0


def _check_bodies(path: Path) -> None:
    bodies = _read(read_smpl, path)
    if isinstance(bodies, str):
        return
    assert np.isfinite(bodies.rotations).all()
    np.testing.assert_allclose(
        bodies.rotations @ bodies.rotations.swapaxes(-1, -2),
        np.broadcast_to(np.eye(3), bodies.rotations.shape),
        atol=1e-4,
    )
    assert (np.abs(bodies.betas) <= 30).all()
    assert len(set(bodies.files)) == len(bodies.files) > 0


@bounded(150)
@given(place=st.sampled_from(places(TABLE)), value=json_values)
def test_keypoints_with_one_strange_value(tmp_path: Path, place: tuple, value: Any):
    (tmp_path / "k.json").write_bytes(_json(put(TABLE, place, value)))
    _check_keypoints(tmp_path / "k.json")


@bounded()
@given(table=json_values, data=st.binary(max_size=30), cut=st.integers(0, 400), packed=st.booleans())
def test_keypoints_of_other_or_broken_content(tmp_path: Path, table: Any, data: bytes, cut: int, packed: bool):
    path = tmp_path / ("k.json.gz" if packed else "k.json")
    for content in (_json(table), data, _json(TABLE)[:cut], b"[" * 100_000):
        path.write_bytes(content)
        _check_keypoints(path)


@bounded()
@given(world=strange_arrays, names=strange_arrays, number=st.floats(width=32), place=st.integers(0, 2 * 33 * 4 - 1))
def test_depths(tmp_path: Path, world: np.ndarray, names: np.ndarray, number: float, place: int):
    spoilt = np.zeros((2, 33, 4), dtype=np.float32)
    spoilt.ravel()[place] = number
    good = np.array(["a.jpg", "b.jpg"])
    for content in (
        {"files": good, "world": world},
        {"files": names, "world": spoilt},
        {"files": good, "world": spoilt},
    ):
        np.savez(tmp_path / "d.npz", **content)  # pyright: ignore[reportArgumentType]
        found = _read(read_depths, tmp_path / "d.npz")
        assert isinstance(found, str) or not (np.abs(found.values) > 10).any()


@bounded(150)
@given(data=st.data(), key=KEYS, value=st.one_of(strange_arrays, json_values), packed=st.sampled_from(["npz", "pkl"]))
def test_smpl_sets_with_one_strange_value(tmp_path: Path, data: st.DataObject, key: str, value: Any, packed: str):
    content = {**SMPL, key: value}
    if data.draw(st.booleans()):
        content = {data.draw(NESTS): content, key: value}
    path = tmp_path / f"s.{packed}"
    if packed == "npz":
        np.savez(path, **{name: _array(each) for name, each in content.items()})  # pyright: ignore[reportArgumentType]
    else:
        path.write_bytes(pickle.dumps(content))
    _check_bodies(path)


@bounded(100)
@given(
    place=st.sampled_from(places(PHALP)), value=st.one_of(strange_arrays, json_values), compress=st.sampled_from([0, 3])
)
def test_phalp_files_with_one_strange_value(tmp_path: Path, place: tuple, value: Any, compress: int):
    joblib.dump(put(PHALP, place, value), tmp_path / "s.pkl", compress=compress)
    _check_bodies(tmp_path / "s.pkl")
    _check_bodies(tmp_path)


@bounded(100)
@given(
    place=st.integers(0, 10**6),
    byte=st.integers(0, 255),
    cut=st.booleans(),
    kind=st.sampled_from(["npz", "pkl", "joblib", "phalp"]),
)
def test_smpl_files_with_one_strange_byte(tmp_path: Path, place: int, byte: int, cut: bool, kind: str):
    path = tmp_path / ("s.npz" if kind == "npz" else "s.pkl")
    if kind == "npz":
        np.savez(path, **SMPL)
    elif kind == "pkl":
        path.write_bytes(pickle.dumps(SMPL))
    else:
        joblib.dump(PHALP if kind == "phalp" else SMPL, path, compress=3 if kind == "phalp" else 0)
    content = bytearray(path.read_bytes())
    at = place % len(content)
    content[at:] = b"" if cut else bytes([byte]) + content[at + 1 :]
    path.write_bytes(content)
    _check_bodies(path)


def _array(value: Any) -> np.ndarray:
    """Return an array as it is, anything else as an array that holds it."""
    held = np.empty((), dtype=object)
    held[()] = value
    return value if isinstance(value, np.ndarray) else held


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
