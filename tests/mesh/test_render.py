"""Rendering bodies: the released layout, resumed after a kill, never over meshes of somebody else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcl_core.data.released import read_projection
from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS, project_body, projection_folder
from gcl_core.mesh.render import Picture, claimed, render_bodies


class _Bodies:
    """The rest body at places 0 and 1, nobody at 2; counts how often it is asked."""

    def __init__(self, body: Body):
        self.given, self.asked = body, 0

    def body(self, place: int) -> Body | None:
        self.asked += 1
        return self.given if place < 2 else None


PICTURES = [Picture("a.jpg", "train", 0), Picture("hall/b.png", "test", 1)]
PICTURES += [Picture("c.jpg", "test", 2)]


@pytest.fixture
def bodies_here(skeleton, rest) -> _Bodies:
    return _Bodies(Body(rest.vertices, skeleton.faces))


def _files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_projections_lie_as_released_and_pass_for_such(bodies_here, tmp_path: Path):
    assert render_bodies(bodies_here, PICTURES, tmp_path, height=128) == 2
    assert len(_files(tmp_path)) == 2 * len(YAWS)
    for yaw in YAWS:
        drawn = project_body(bodies_here.given, yaw, height=128, width=64)
        for picture, error in ((PICTURES[0], 12), (PICTURES[1], 0)):
            path = projection_folder(tmp_path, picture.side, yaw) / picture.name
            assert np.abs(read_projection(path, 128, 64).astype(int) - drawn).max() <= error
    assert not (projection_folder(tmp_path, "test", 0) / "c.jpg").exists()


def test_a_killed_rendering_goes_on_and_ends_with_the_same_bytes(bodies_here, tmp_path: Path):
    render_bodies(bodies_here, PICTURES, tmp_path, height=64)
    whole, asked = _files(tmp_path), bodies_here.asked
    lost = projection_folder(tmp_path, "train", 90) / "a.jpg"
    kept = projection_folder(tmp_path, "train", 45) / "a.jpg"
    lost.unlink()
    (lost.parent / ".a.jpg.123.tmp").write_bytes(b"half")
    stamp = kept.stat().st_mtime_ns
    assert render_bodies(bodies_here, PICTURES, tmp_path, height=64) == 2
    assert _files(tmp_path) == whole
    assert kept.stat().st_mtime_ns == stamp
    assert bodies_here.asked == asked + 2  # a's lost view, and c, which has none


def test_meshes_of_somebody_else_are_left_alone(tmp_path: Path):
    (tmp_path / "train" / "render").mkdir(parents=True)
    with pytest.raises(MeshError, match="meshes not made here"), claimed(tmp_path, {"keypoints": "k"}):
        pass
    other = tmp_path / "own"
    with claimed(other, {"keypoints": "k", "height": 64}):
        (other / "train").mkdir()
    with claimed(other, {"keypoints": "k", "height": 64}):
        pass  # the same again goes on
    with (
        pytest.raises(MeshError, match=r"something else \(height differ\)"),
        claimed(other, {"keypoints": "k", "height": 128}),
    ):
        pass


def test_two_at_once_are_refused_and_a_file_is_no_folder(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from gcl_core.mesh.render import claimed\n"
        "with claimed(Path(sys.argv[1]), {}): pass"
    )
    with claimed(tmp_path / "own", {}):
        answer = subprocess.run([sys.executable, "-c", code, tmp_path / "own"], capture_output=True, text=True)
    assert "another process is making meshes" in answer.stderr
    (tmp_path / "file").write_text("")
    with pytest.raises(MeshError, match="cannot write in"), claimed(tmp_path / "file", {}):
        pass


def test_a_full_disk_leaves_no_half_projection(bodies_here, tmp_path: Path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RuntimeError, match="No space left on device"):
        render_bodies(bodies_here, PICTURES[:1], tmp_path, height=64)
    assert _files(tmp_path) == {}
