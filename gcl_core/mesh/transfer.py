"""SMPL poses on the free body: each bone of `anny` takes the world rotation of SMPL's joint at its place.

Both bodies stand upright and face us before posing, but SMPL's arms then point sideways and its legs down (T-pose),
while anny's arms hang half-way with bent elbows. So a limb's bone is first turned to its direction in the T-pose, and
then as SMPL says. That direction is taken along an axis: SMPL's own joints deviate from it by some degrees, which are
part of a licensed model; limbs are off by as much. Spine, head and feet are taken to be alike in both bodies.

What is not carried over: shape (betas describe SMPL's surface alone; use an average adult), and the bend of toes and
fingers, which estimators guess: toes follow the foot, fingers are half closed.
"""

import numpy as np
from jaxtyping import Float, Float32

from gcl_core.mesh.body import AVERAGE, Body, RestBody, Skeleton, load_bodies
from gcl_core.mesh.pose import (
    about_vector,
    bone_transforms,
    inherit,
    part_way,
    relax_hand,
    skin,
    towards,
)
from gcl_core.mesh.smpl import JOINTS, PARENTS, SmplBodies, relative_rotations, world_rotations

TRUNK = {"root": "pelvis", "spine03": "spine1", "spine02": "spine2", "spine01": "spine3", "neck01": "neck"}
ARM = {"upperarm01": ("shoulder", "lowerarm01"), "lowerarm01": ("elbow", "wrist"), "wrist": ("wrist", "finger3-1")}
LEG = {"upperleg01": ("hip", "lowerleg01"), "lowerleg01": ("knee", "foot")}
"""Bone -> the SMPL joint that turns it, and for limbs the bone towards which it points."""

SIDES = {"L": 1.0, "R": -1.0}
DRIVEN = {**TRUNK, "head": "head"} | {
    f"{bone}.{side}": f"{joint}.{side}"
    for bone, joint in {
        **{bone: joint for bone, (joint, _) in (ARM | LEG).items()},
        "foot": "ankle",
        "clavicle": "collar",
    }.items()
    for side in SIDES
}
"""Every bone that takes the rotation of an SMPL joint; the others follow."""


class TransferredBodies:
    """SMPL bodies in their poses on the free body, an average adult."""

    def __init__(self, bodies: SmplBodies):
        self._bodies = bodies
        self._skeleton, rest_body = load_bodies()
        self._rest = rest_body(AVERAGE)

    def body(self, place: int) -> Body:
        """Return the body at a place as its picture's camera sees it."""
        body = transfer_to_anny(self._bodies.rotations[place], self._skeleton, self._rest)
        return self._bodies.upright(body.vertices, body.faces)


def transfer_to_anny(rotations: Float[np.ndarray, "24 3 3"], skeleton: Skeleton, rest: RestBody) -> Body:
    """Return the free body in an SMPL pose, in our axes (body.Body), metres.

    `rotations`: SMPL's, each relative to its parent, the first into camera axes (smpl.SmplBodies.rotations[i]).
    """
    transforms = bone_transforms(skeleton, rest, anny_rotations(rotations, skeleton, rest))
    return Body(skin(rest.vertices, skeleton.weights, transforms), skeleton.faces)


def anny_rotations(
    rotations: Float[np.ndarray, "24 3 3"], skeleton: Skeleton, rest: RestBody
) -> Float[np.ndarray, "b 3 3"]:
    """Return each anny bone's rotation in our axes, parents included, from SMPL's relative ones."""
    smpl = dict(zip(JOINTS, world_rotations(rotations.astype(np.float64)), strict=True))
    heads = dict(zip(skeleton.bones, rest.heads.astype(np.float64), strict=True))
    into_t_pose = _into_t_pose(heads)
    turned = {bone: smpl[joint] @ into_t_pose.get(bone, np.eye(3)) for bone, joint in DRIVEN.items()}
    turned["spine04"] = _between(smpl["pelvis"], smpl["spine1"], 0.5)
    turned["neck03"] = _between(smpl["neck"], smpl["head"], 0.5)
    for side, sign in SIDES.items():
        relax_hand(turned, heads, side)
        turned[f"shoulder01.{side}"] = _between(turned[f"clavicle.{side}"], turned[f"upperarm01.{side}"], 0.35)
        elbow = smpl[f"elbow.{side}"]
        along = np.array([sign, 0.0, 0.0])
        twist = _twist(elbow.T @ smpl[f"wrist.{side}"], along, 0.5)  # the forearm turns with the hand
        turned[f"lowerarm02.{side}"] = elbow @ twist @ into_t_pose[f"lowerarm01.{side}"]
    return inherit(skeleton, turned)


def smpl_rotations(
    rotations: Float[np.ndarray, "b 3 3"], skeleton: Skeleton, rest: RestBody
) -> Float32[np.ndarray, "24 3 3"]:
    """Return SMPL's relative rotations of an anny body in a pose: what `anny_rotations` carries back."""
    heads = dict(zip(skeleton.bones, rest.heads.astype(np.float64), strict=True))
    of, into_t_pose = dict(zip(skeleton.bones, rotations, strict=True)), _into_t_pose(heads)
    world = {joint: of[bone] @ into_t_pose.get(bone, np.eye(3)).T for bone, joint in DRIVEN.items()}
    for joint, parent in zip(JOINTS, PARENTS, strict=True):
        if joint not in world:  # toes go with the foot, fingers with the hand
            world[joint] = world[JOINTS[parent]]
    return relative_rotations(np.array([world[joint] for joint in JOINTS]))


def _into_t_pose(heads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what brings each limb bone from rest into the T-pose, where arms lie sideways and legs point down."""
    turns = {}
    for side, sign in SIDES.items():
        for limb, direction in ((ARM, [sign, 0.0, 0.0]), (LEG, [0.0, 0.0, -1.0])):
            turn = np.eye(3)
            for bone, (_, next_bone) in limb.items():
                segment = heads[f"{next_bone}.{side}"] - heads[f"{bone}.{side}"]
                turn = towards(turn @ segment, direction) @ turn  # like a hinge on the part before it
                turns[f"{bone}.{side}"] = turn
    return turns


def _between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    return start @ part_way(start.T @ end, share)


def _twist(rotation: np.ndarray, axis: np.ndarray, share: float) -> np.ndarray:
    """Return a share of that part of a rotation which turns about `axis` (swing-twist decomposition)."""
    skew = rotation - rotation.T
    along = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) @ axis
    return about_vector(axis, share * 2 * float(np.arctan2(along, 1 + np.trace(rotation))))
