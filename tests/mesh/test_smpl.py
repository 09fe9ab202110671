"""SMPL's axes and joint tree, and vertices through smplx with a tiny model made up here."""

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.pose import bone_transforms
from gcl_core.mesh.smpl import JOINTS, PARENTS, SmplBodies, SmplModelBodies, face_camera_axes, world_rotations
from gcl_core.mesh.transfer import anny_rotations

FACING = Rotation.from_euler("x", 180, degrees=True).as_matrix()  # upright, facing the camera, in camera axes


def _bodies(count: int = 1, **turns: tuple[str, float]) -> SmplBodies:
    """People who face the camera in T-pose but for `turns` joint -> (axis, degrees)."""
    rotations = np.tile(np.eye(3, dtype=np.float32), (count, 24, 1, 1))
    rotations[:, 0] = FACING
    for joint, (axis, degrees) in turns.items():
        rotations[:, JOINTS.index(joint.replace("_", "."))] @= (
            Rotation.from_euler(axis, degrees, degrees=True).as_matrix().astype(np.float32)
        )
    return SmplBodies(tuple(map(str, range(count))), np.zeros((count, 10), dtype=np.float32), rotations)


def test_the_joint_tree_is_smpls():
    tree = {JOINTS[joint]: JOINTS[parent] for joint, parent in enumerate(PARENTS) if parent >= 0}
    assert len(tree) == 23
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    for side in "LR":
        limb = ("hand", "wrist", "elbow", "shoulder", "collar")
        assert [tree[f"{joint}.{side}"] for joint in limb[:-1]] == [f"{joint}.{side}" for joint in limb[1:]]
        assert [tree[f"{joint}.{side}"] for joint in ("foot", "ankle", "knee")] == [
            f"{j}.{side}" for j in ("ankle", "knee", "hip")
        ]
    assert [tree[joint] for joint in ("head", "neck", "spine3", "spine2", "spine1", "collar.L", "hip.R")] == [
        *("neck", "spine3", "spine2", "spine1", "pelvis", "spine3", "pelvis")
    ]


def test_somebody_facing_the_camera_is_unturned_in_our_axes():
    np.testing.assert_allclose(world_rotations(_bodies().rotations[0]), np.tile(np.eye(3), (24, 1, 1)), atol=1e-6)


def test_a_turn_of_a_joint_turns_all_that_hangs_on_it_and_nothing_else():
    """The left elbow bends forwards about y (up): the hand, which pointed to the left (+x), points forwards (-y)."""
    turned = dict(zip(JOINTS, world_rotations(_bodies(elbow_L=("y", -90)).rotations[0]), strict=True))
    moved = {joint for joint, rotation in turned.items() if not np.allclose(rotation, np.eye(3), atol=1e-6)}
    assert moved == {"elbow.L", "wrist.L", "hand.L"}
    np.testing.assert_allclose(turned["wrist.L"] @ [1, 0, 0], [0, -1, 0], atol=1e-6)


def test_the_free_body_stands_where_smpls_does_in_the_picture(skeleton, rest):
    """Neck and ankles of SMPL's mean body, whose pelvis lies 0.223 m below its middle, in a picture 64 rows high."""
    bodies = replace(_bodies(), cameras=np.array([[1.0, 0.0, 0.3]], dtype=np.float32), known_elevation=0.0)
    frame = bodies.frame(0, rest.heads[skeleton.bones.index("root")], aspect=0.5)
    transforms = bone_transforms(skeleton, rest, anny_rotations(bodies.rotations[0], skeleton, rest)).reshape(-1, 3, 4)
    joints = np.einsum("bij,bj->bi", transforms[:, :, :3], rest.heads) + transforms[:, :, 3]
    for bone, above_middle in (("neck01", 0.288), ("foot.L", -1.088), ("root", -0.223)):
        height = joints[skeleton.bones.index(bone), 2]
        below_pelvis = -0.223 - above_middle
        expected = 0.5 + 0.5 * (-0.223 + below_pelvis + 0.3)
        assert 64 * abs(frame.row - frame.scale * height - expected) < 0.7, bone


def test_the_set_decides_which_way_is_up():
    standing = _bodies(5)
    assert face_camera_axes(standing) is standing
    on_the_head = _bodies(5, pelvis=("x", 180))
    turned = face_camera_axes(on_the_head)
    np.testing.assert_allclose(turned.rotations, standing.rotations, atol=1e-6)
    with pytest.raises(MeshError, match="on their side"):
        face_camera_axes(_bodies(5, pelvis=("x", 90)))


def test_without_smplx_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(MeshError, match="pip install smplx"):
        SmplModelBodies(_bodies(), tmp_path / "SMPL_NEUTRAL.npz")


@pytest.fixture(scope="module")
def tiny_model() -> dict[str, np.ndarray]:
    """The keys of SMPL's model file over 240 made-up vertices, ten at each joint of a stick figure in T-pose."""
    joints = np.zeros((24, 3))
    for joint, parent in enumerate(PARENTS):
        name, side = JOINTS[joint], {"L": 0.2, "R": -0.2}.get(JOINTS[joint][-1], 0.0)
        down = name.startswith(("hip", "knee", "ankle", "foot"))
        step = [0, -0.3, 0] if down else [side, 0, 0] if side else [0, 0.2, 0]
        joints[joint] = joints[parent] + step if parent >= 0 else 0
        joints[joint, 0] += side / 2 if name.startswith("hip") else 0
        joints[joint, 2] += 0.15 if name.startswith("foot") else 0
    offsets = np.random.default_rng(0).normal(scale=0.02, size=(24, 10, 3))
    offsets -= offsets.mean(axis=1, keepdims=True)
    owner = np.repeat(np.arange(24), 10)
    shapes = np.zeros((240, 3, 10))
    shapes[:, 1, 0] = joints[owner, 1] / 10  # the first beta makes taller
    return {
        "v_template": (joints[:, None] + offsets).reshape(240, 3),
        "shapedirs": shapes,
        "posedirs": np.zeros((240, 3, 207)),
        "J_regressor": (owner == np.arange(24)[:, None]) / 10.0,
        "weights": (owner[:, None] == np.arange(24)) * 1.0,
        "kintree_table": np.array([[4294967295, *PARENTS[1:]], np.arange(24)], dtype=np.uint32),
        "f": np.arange(240, dtype=np.uint32).reshape(80, 3),
    }


@pytest.mark.parametrize("suffix", ["npz", "pkl"])
def test_vertices_stand_upright_in_our_axes_and_bend_at_the_joint(tmp_path, tiny_model, suffix):
    pytest.importorskip("smplx")
    path = tmp_path / f"SMPL_NEUTRAL.{suffix}"
    np.savez(path, **tiny_model) if suffix == "npz" else path.write_bytes(pickle.dumps(tiny_model))
    bodies = _bodies(70, elbow_L=("y", -90))
    bodies.betas[69, 0] = 1.0
    posed = SmplModelBodies(bodies, path)
    found = {place: posed.body(place) for place in (0, 69)}
    np.testing.assert_array_equal(found[0].faces, tiny_model["f"])
    places = [dict(zip(JOINTS, body.vertices.reshape(24, 10, 3).mean(axis=1), strict=True)) for body in found.values()]
    for joint, expected in {
        "head": [0, 0, 1.0],  # five steps of 0.2 up
        "wrist.R": [-0.8, 0, 0.6],  # four steps to image-left
        "elbow.L": [0.6, 0, 0.6],
        "wrist.L": [0.6, -0.2, 0.6],  # the bent one comes towards us
        "foot.L": [0.1, -0.15, -1.2],
    }.items():
        np.testing.assert_allclose(places[0][joint], expected, atol=1e-5, err_msg=joint)
    np.testing.assert_allclose(places[1]["head"], [0, 0, 1.1], atol=1e-5)


def test_a_model_that_is_missing_or_something_else_is_told(tmp_path):
    pytest.importorskip("smplx")
    with pytest.raises(MeshError, match=r"none\.npz"):
        SmplModelBodies(_bodies(), tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", pose=np.zeros(72))
    with pytest.raises(MeshError, match=r"other\.npz is no SMPL model.*shapedirs"):
        SmplModelBodies(_bodies(), tmp_path / "other.npz")
    (tmp_path / "broken.pkl").write_bytes(b"hello")
    with pytest.raises(MeshError, match=r"broken\.pkl is no SMPL model"):
        SmplModelBodies(_bodies(), tmp_path / "broken.pkl")
