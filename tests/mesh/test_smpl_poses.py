"""SMPL parameters kept beside projections: read back as they were, joined with earlier ones, refused when broken."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.smpl import SIZE, SmplBodies, face_camera_axes
from gcl_core.mesh.smpl_files import read_smpl
from gcl_core.mesh.smpl_poses import add_poses, load_poses

UPRIGHT = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def _bodies(count: int, cameras: bool = True) -> SmplBodies:
    random = np.random.default_rng(count)
    rotations = np.tile(np.eye(3, dtype=np.float32), (count, 24, 1, 1))
    rotations[:, 0] = UPRIGHT
    given = random.random((count, 3)).astype(np.float32) if cameras else None
    betas = random.random((count, 10)).astype(np.float32)
    return SmplBodies(tuple(f"{number}.jpg" for number in range(count)), betas, rotations, given)


def _cameras(bodies: SmplBodies) -> np.ndarray:
    assert bodies.cameras is not None
    return bodies.cameras


def test_later_poses_replace_earlier_ones_of_their_pictures_alone(tmp_path):
    first, second, path = _bodies(3), replace(_bodies(2, cameras=False), known_elevation=7.0), tmp_path / "poses.npz"
    add_poses(path, first, {"a.jpg": 0, "b.jpg": 1, "c.jpg": 2})
    before = load_poses(path)
    assert before.files == ("a.jpg", "b.jpg", "c.jpg")
    np.testing.assert_array_equal(_cameras(before), _cameras(first))
    assert before.elevation == pytest.approx(first.elevation)
    add_poses(path, second, {"b.jpg": 1, "d.jpg": 0})
    after = load_poses(path)
    found = dict(zip(after.files, after.betas[:, 0], strict=True))
    expected = {"a.jpg": first.betas[0, 0], "b.jpg": second.betas[1, 0], "c.jpg": first.betas[2, 0]}
    assert found == expected | {"d.jpg": second.betas[0, 0]}
    known = {file: bool(np.isfinite(camera).all()) for file, camera in zip(after.files, _cameras(after), strict=True)}
    assert known == {"a.jpg": True, "b.jpg": False, "c.jpg": True, "d.jpg": False}
    assert after.elevation == 7.0


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "poses.npz"
    np.savez(path, files=np.array(["a.jpg"]))
    with pytest.raises(MeshError, match="keeps no poses"):
        load_poses(path)
    arrays: dict[str, Any] = {"betas": np.zeros((1, 10)), "pose": np.zeros((1, 24, 3, 3)), "pred_cam": np.zeros((2, 3))}
    np.savez(path, files=np.array(["a.jpg"]), elevation=0.0, **arrays)
    with pytest.raises(MeshError, match="do not belong together"):
        load_poses(path)


def test_cameras_are_read_from_pred_cam_and_theta_and_from_no_other_key(tmp_path):
    pose, cameras = np.zeros((2, 72)), np.array([[0.9, 0.1, 0.2], [1.1, -0.1, 0.3]])
    pose[:, 0] = np.pi
    theta, files = np.concatenate([cameras, pose, np.zeros((2, 10))], axis=1), np.array(["a.jpg", "b.jpg"])
    ways: list[dict[str, Any]] = [{"theta": theta}, {"pose": pose, "pred_cam": cameras}]
    for keys in ways:
        np.savez(tmp_path / "s.npz", files=files, **keys)
        np.testing.assert_allclose(_cameras(read_smpl(tmp_path / "s.npz")), cameras, rtol=1e-6)
    np.savez(tmp_path / "s.npz", files=files, pose=pose, cam=cameras)
    assert np.isnan(_cameras(read_smpl(tmp_path / "s.npz"))).all()
    for wrong, told in ((cameras[:1], r"pred_cam has shape \(1, 3\)"), (cameras * np.nan, "pred_cam")):
        np.savez(tmp_path / "s.npz", files=files, pose=pose, pred_cam=wrong)
        with pytest.raises(MeshError, match=told):
            read_smpl(tmp_path / "s.npz")


def test_axes_that_are_turned_lose_their_cameras():
    bodies = _bodies(2)
    rotations = bodies.rotations.copy()
    rotations[:, 0] = np.eye(3)
    assert face_camera_axes(bodies).cameras is bodies.cameras
    assert face_camera_axes(replace(bodies, rotations=rotations)).cameras is None


def test_a_camera_places_the_pelvis_in_the_square_around_the_picture():
    bodies = replace(_bodies(1), cameras=np.array([[0.8, 0.1, 0.3]], dtype=np.float32))
    pelvis = np.array([0.02, 0.5, 0.17])
    frame = bodies.frame(0, pelvis, 0.5)
    assert frame.scale == pytest.approx(0.4 * SIZE)
    # SMPL's pelvis lies 0.22 m above its origin; a picture of 200 x 100 pixels: the square is 200 wide, from -50 to 150
    column, row = (100 * (1 + 0.8 * 0.1) - 50) / 200, 100 * (1 + 0.8 * (0.3 - 0.22)) / 200
    assert frame.column + frame.scale * pelvis[0] == pytest.approx(column)
    assert frame.row - frame.scale * pelvis[2] == pytest.approx(row)
    with pytest.raises(MeshError, match="without camera"):
        replace(bodies, cameras=None).frame(0, pelvis, 0.5)
