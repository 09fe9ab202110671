"""Reading BlazePose's depths: by name, in metres, unknown where nobody was found."""

from pathlib import Path

import numpy as np
import pytest

from gcl_core.mesh.depths import BLAZEPOSE, add_depths, read_depths
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import Keypoints
from gcl_core.mesh.stick_figure import POINTS


@pytest.fixture
def world() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, size=(3, 33, 4)).astype(np.float16)


def test_depths_are_added_by_picture_and_stay_unknown_where_none_are(tmp_path: Path, world: np.ndarray):
    world[2] = np.nan
    np.savez(tmp_path / "b.npz", files=["x.jpg", "b.jpg", "c.jpg"], world=world)
    depths = read_depths(tmp_path / "b.npz")
    assert depths.files == ("x.jpg", "b.jpg", "c.jpg")
    full = np.ones((3, 17), dtype=np.float32)
    points = np.ones((3, 17, 2), dtype=np.float32)
    keypoints = Keypoints(("q/a.jpg", "q/b.jpg", "q/c.jpg"), full[:, 0], full[:, 0], points, full, full * np.nan)
    found = add_depths(keypoints, depths, {"q/b.jpg": 1, "q/c.jpg": 2})
    np.testing.assert_array_equal(found.depths[1], world[1, list(BLAZEPOSE), 2].astype(np.float32))
    assert np.isnan(found.depths[[0, 2]]).all()
    assert len(BLAZEPOSE) == len(POINTS)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no world", "no file of 3D keypoints"),
        ("fewer names", r"world has shape \(3, 33, 4\) for 1 files"),
        ("flat", r"world has shape \(3, 99\)"),
        ("infinite", r"b\.jpg: world holds 1 infinite numbers, first at \[4, 2\]"),
        ("millimetres", r"a\.jpg: world holds .* beyond 10; expected world landmarks .* metres"),
        ("text", r"a\.jpg: world is no array of numbers"),
        ("complex", r"a\.jpg: world is no array of numbers"),
        ("objects", r"a\.jpg: world is no array of numbers .*null"),
        ("names are numbers", "files holds 1; expected names"),
        ("a name is empty", "files holds ''; expected names"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, world: np.ndarray, what: str, told: str):
    content = {"files": np.array(["a.jpg", "b.jpg", "c.jpg"]), "world": world.astype(np.float32)}
    match what:
        case "no world":
            del content["world"]
        case "fewer names":
            content["files"] = content["files"][:1]
        case "flat":
            content["world"] = world[:, :, :3].reshape(3, 99)
        case "infinite":
            content["world"][1, 4, 2] = np.inf
        case "millimetres":
            content["world"] *= 1000
        case "text":
            content["world"] = content["world"].astype(str)
        case "complex":
            content["world"] = content["world"].astype(complex)
        case "objects":
            content["world"] = content["world"].astype(object)
            content["world"][0, 0, 0] = None
        case "names are numbers":
            content["files"] = np.arange(1, 4)
        case "a name is empty":
            content["files"][2] = ""
    np.savez(tmp_path / "d.npz", **content)
    with pytest.raises(MeshError, match=rf"d\.npz.*{told}"):
        read_depths(tmp_path / "d.npz")


def test_a_broken_or_another_file_is_told(tmp_path: Path):
    (tmp_path / "e.npz").write_bytes(b"PK")
    with pytest.raises(MeshError, match=r"e\.npz is truncated or not a zip"):
        read_depths(tmp_path / "e.npz")
    np.save(tmp_path / "f.npy", np.zeros(3))
    with pytest.raises(MeshError, match=r"f\.npy: expected a file that ends in \.npz"):
        read_depths(tmp_path / "f.npy")
