"""SMPL poses on the free body: where limbs, trunk, head and hands point, told by hand for poses anyone can strike."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gcl_core.mesh.body import Body
from gcl_core.mesh.pose import Gait, bone_transforms, skin, walking_rotations
from gcl_core.mesh.projection import project_body
from gcl_core.mesh.smpl import JOINTS, PARENTS
from gcl_core.mesh.transfer import DRIVEN, anny_rotations, smpl_rotations, transfer_to_anny

FACING = Rotation.from_euler("x", 180, degrees=True).as_matrix()  # upright, facing the camera, in camera axes
LEFT, RIGHT, AWAY, FRONT, UP, DOWN = np.concatenate([[sign * row for sign in (1, -1)] for row in np.eye(3)])
"""Of somebody who faces us, in our axes: the left hand is on image-right, FRONT is towards the camera."""

SEGMENTS = {
    **{f"upper arm {side}": (f"upperarm01.{side}", f"lowerarm01.{side}") for side in "LR"},
    **{f"forearm {side}": (f"lowerarm01.{side}", f"wrist.{side}") for side in "LR"},
    **{f"hand {side}": (f"wrist.{side}", f"finger3-1.{side}") for side in "LR"},
    **{f"little to index finger {side}": (f"finger5-1.{side}", f"finger2-1.{side}") for side in "LR"},
    **{f"thigh {side}": (f"upperleg01.{side}", f"lowerleg01.{side}") for side in "LR"},
    **{f"shin {side}": (f"lowerleg01.{side}", f"foot.{side}") for side in "LR"},
    "hips": ("upperleg01.R", "upperleg01.L"),
    "shoulders": ("upperarm01.R", "upperarm01.L"),
    "trunk": ("spine05", "neck01"),
    "eyes": ("eye.R", "eye.L"),
}

ARMS_DOWN = {"shoulder.L": ("z", -90), "shoulder.R": ("z", 90)}
POSES = {
    "T-pose": (
        {},
        {"upper arm L": LEFT, "forearm L": LEFT, "hand L": LEFT, "little to index finger L": FRONT}
        | {"upper arm R": RIGHT, "forearm R": RIGHT, "hand R": RIGHT, "little to index finger R": FRONT}
        | {"thigh L": DOWN, "shin R": DOWN, "trunk": UP, "hips": LEFT, "shoulders": LEFT, "eyes": LEFT},
    ),
    "arms down": (ARMS_DOWN, {"upper arm L": DOWN, "forearm R": DOWN, "hand L": DOWN, "trunk": UP}),
    "left arm up": ({"shoulder.L": ("z", 90)}, {"upper arm L": UP, "forearm L": UP, "upper arm R": RIGHT}),
    "right elbow bent": (
        {**ARMS_DOWN, "elbow.R": ("y", 90)},  # about the axis that points up in T-pose, hence to the right now
        {"upper arm R": DOWN, "forearm R": FRONT, "hand R": FRONT, "forearm L": DOWN},
    ),
    "left palm turned up": ({"wrist.L": ("x", 180)}, {"hand L": LEFT, "little to index finger L": AWAY}),
    "sitting": (
        {**{f"hip.{side}": ("x", -90) for side in "LR"}, **{f"knee.{side}": ("x", 90) for side in "LR"}},
        {"thigh L": FRONT, "thigh R": FRONT, "shin L": DOWN, "shin R": DOWN, "trunk": UP},
    ),
    "left knee bent": ({"knee.L": ("x", 90)}, {"thigh L": DOWN, "shin L": AWAY, "shin R": DOWN}),
    "chest turned left": (
        {"spine3": ("y", 40)},
        {"shoulders": (np.cos(np.deg2rad(40)), np.sin(np.deg2rad(40)), 0), "hips": LEFT, "trunk": UP},
    ),
    "head turned right": ({"neck": ("y", -30), "head": ("y", -60)}, {"eyes": FRONT, "shoulders": LEFT}),
    "bowing": ({"pelvis": ("x", 90)}, {"trunk": FRONT, "thigh L": AWAY, "shoulders": LEFT}),
    "facing image-left": (
        {"pelvis": ("y", -90), "elbow.L": ("y", -90)},
        {"upper arm L": FRONT, "forearm L": RIGHT, "upper arm R": AWAY, "hips": FRONT, "shin L": DOWN},
    ),
    "from behind": ({"pelvis": ("y", 180)}, {"upper arm L": RIGHT, "forearm R": LEFT, "eyes": RIGHT, "trunk": UP}),
}


def _rotations(turns: dict[str, tuple[str, float]]) -> np.ndarray:
    """SMPL's relative rotations of somebody who faces the camera in T-pose but for turns joint -> (axis, degrees)."""
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = FACING
    for joint, (axis, degrees) in turns.items():
        rotations[JOINTS.index(joint)] @= Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return rotations


def _directions(skeleton, rest, rotations: np.ndarray) -> dict[str, np.ndarray]:
    """Unit vectors in our axes along the segments of the anny body turned by world `rotations` of its bones."""
    transforms = bone_transforms(skeleton, rest, rotations).reshape(-1, 3, 4)
    heads = np.einsum("bij,bj->bi", transforms[:, :, :3], rest.heads) + transforms[:, :, 3]
    posed = dict(zip(skeleton.bones, heads, strict=True))
    found = {name: posed[end] - posed[start] for name, (start, end) in SEGMENTS.items()}
    return {name: vector / np.linalg.norm(vector) for name, vector in found.items()}


def _degrees_between(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(one @ other, -1, 1))))


@pytest.mark.parametrize("pose", POSES)
def test_a_pose_points_where_anyone_would_say(skeleton, rest, pose):
    turns, expected = POSES[pose]
    found = _directions(skeleton, rest, anny_rotations(_rotations(turns), skeleton, rest))
    for segment, direction in expected.items():
        assert _degrees_between(found[segment], np.asarray(direction)) < 15, (segment, found[segment])


@pytest.mark.parametrize("seed", range(3))
def test_rotations_are_proper_whatever_the_pose(skeleton, rest, seed):
    relative = Rotation.random(24, rng=np.random.default_rng(seed)).as_matrix()
    rotations = anny_rotations(relative, skeleton, rest)
    identity = np.broadcast_to(np.eye(3), rotations.shape)
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), identity, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)


def test_half_of_a_hands_twist_is_in_the_forearm_and_none_of_its_bend(skeleton, rest):
    for turn, expected in ((("x", 80), 40.0), (("z", 50), 0.0)):
        rotations = anny_rotations(_rotations({"wrist.L": turn}), skeleton, rest)
        upper, lower = (rotations[skeleton.bones.index(f"lowerarm{part}.L")] for part in ("01", "02"))
        angle = np.rad2deg(np.linalg.norm(Rotation.from_matrix(lower @ upper.T).as_rotvec()))
        assert angle == pytest.approx(expected, abs=0.01)


def test_a_body_that_faces_image_left_is_frontal_at_90(skeleton, rest):
    """METHOD.md §1.3, to the pixel; with one arm stretched out, so that a mirrored body would differ."""
    pose = {**ARMS_DOWN, "shoulder.L": ("z", 10)}
    frontal, left, behind = (
        transfer_to_anny(_rotations({**pose, "pelvis": ("y", yaw)}), skeleton, rest) for yaw in (0, -90, 180)
    )
    expected = project_body(frontal, 0, height=128, width=64)
    for body, yaw in ((left, 90), (behind, 180)):
        assert np.mean(project_body(body, yaw, height=128, width=64) != expected) < 0.01
    assert np.mean(project_body(left, 270, height=128, width=64) != expected) > 0.1


def test_smpl_rotations_of_a_walker_carry_back_to_the_same_walker(skeleton, rest):
    gait = Gait(
        0.1, stride=20.0, arm_swing=15.0, elbow=(50.0, 5.0), arm_spread=9.0, lean=4.0, head_turn=10.0, head_nod=5.0
    )
    turn = Rotation.from_euler("z", 70, degrees=True).as_matrix()
    walking = turn @ walking_rotations(skeleton, rest, gait)
    again = anny_rotations(smpl_rotations(walking, skeleton, rest), skeleton, rest)
    for bone in DRIVEN:
        place = skeleton.bones.index(bone)
        np.testing.assert_allclose(again[place], walking[place], atol=1e-5, err_msg=bone)


LIMBS = {
    **{joint: (segment, LEFT) for joint, segment in {"shoulder.L": "upper arm L", "elbow.L": "forearm L"}.items()},
    **{joint: (segment, RIGHT) for joint, segment in {"shoulder.R": "upper arm R", "elbow.R": "forearm R"}.items()},
    **{f"hip.{side}": (f"thigh {side}", DOWN) for side in "LR"},
    **{f"knee.{side}": (f"shin {side}", DOWN) for side in "LR"},
}
"""SMPL joint -> the segment that it turns, and where that points in T-pose."""


def _as_smpl(directions: dict[str, np.ndarray]) -> np.ndarray:
    """SMPL's relative rotations of somebody upright whose limbs point along `directions` (our axes)."""
    in_smpl_axes = np.array([LEFT, UP, FRONT])
    world = np.tile(np.eye(3), (24, 1, 1))
    for joint, parent in enumerate(PARENTS):
        world[joint] = world[parent] if parent >= 0 else np.eye(3)
        if JOINTS[joint] in LIMBS:
            segment, rest_direction = LIMBS[JOINTS[joint]]
            start, end = in_smpl_axes @ rest_direction, in_smpl_axes @ directions[segment]
            bent = world[joint] @ start
            axis = np.cross(bent, end)
            angle = np.arctan2(np.linalg.norm(axis), bent @ end)
            world[joint] = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix() @ world[joint]
        if JOINTS[joint].startswith("ankle"):
            world[joint] = np.eye(3)
    relative = np.array([world[p].T @ world[j] if p >= 0 else world[j] for j, p in enumerate(PARENTS)])
    relative[0] = FACING @ relative[0]
    return relative


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.6, 0.85])
def test_a_walker_put_into_smpls_terms_and_back_walks_alike(skeleton, rest, phase):
    gait = Gait(
        phase, stride=24.0, arm_swing=20.0, elbow=(9.0, 40.0), arm_spread=12.0, lean=0.0, head_turn=0.0, head_nod=0.0
    )
    walking = walking_rotations(skeleton, rest, gait)
    directions = _directions(skeleton, rest, walking)
    relative = _as_smpl(directions)
    found = _directions(skeleton, rest, anny_rotations(relative, skeleton, rest))
    for segment, _ in LIMBS.values():
        assert _degrees_between(found[segment], directions[segment]) < 3, segment
    walker = Body(skin(rest.vertices, skeleton.weights, bone_transforms(skeleton, rest, walking)), skeleton.faces)
    body = transfer_to_anny(relative, skeleton, rest)
    for yaw in (0, 45, 90):
        one, other = (project_body(who, yaw, height=128, width=64) < 255 for who in (walker, body))
        assert (one & other).sum() / (one | other).sum() > 0.8, yaw
