"""Walking poses: world-aligned rotations about the rest bone heads, and linear blend skinning."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy import sparse

from gcl_core.mesh.body import RestBody, Skeleton

ARM = ("upperarm01", "lowerarm01", "wrist")
LEG = ("upperleg01", "lowerleg01", "foot")


@dataclass(frozen=True)
class Gait:
    """One moment of somebody walking; angles in degrees, positive = forwards or towards the left hand."""

    phase: float  # in [0, 1): 0 the left heel strikes, 0.5 the right one
    stride: float  # largest angle between thigh and vertical; 0 stands still
    arm_swing: float  # largest angle between upper arm and vertical
    elbow: tuple[float, float]  # bend of the left and the right elbow at rest
    arm_spread: float  # how far the arms hang off the body
    lean: float  # of the trunk
    head_turn: float
    head_nod: float


def walking_rotations(skeleton: Skeleton, rest: RestBody, gait: Gait) -> Float[np.ndarray, "b 3 3"]:
    """Return each bone's rotation in world axes (x to the left hand, -y forwards, z up), parents already included."""
    turned: dict[str, np.ndarray] = {}
    heads = dict(zip(skeleton.bones, rest.heads.astype(np.float64), strict=True))
    step = np.sin(2 * np.pi * gait.phase)
    pelvis = about("z", 0.15 * gait.stride * step)
    chest = about("z", -0.2 * gait.stride * step) @ about("x", gait.lean)
    turned |= {"root": pelvis, "spine05": pelvis, "spine04": about("x", 0.4 * gait.lean), "spine03": chest}
    head = about("z", gait.head_turn) @ about("x", gait.head_nod)
    turned |= {"neck01": about("x", 0.5 * gait.lean) @ about("z", 0.3 * gait.head_turn), "head": head}
    for side, sign, offset, elbow in (("L", 1, 0.0, gait.elbow[0]), ("R", -1, 0.5, gait.elbow[1])):
        _swing_leg(turned, heads, side, sign, (gait.phase + offset) % 1, gait.stride)
        _swing_arm(turned, heads, side, sign, (gait.phase + offset) % 1, gait, elbow, chest)
        relax_hand(turned, heads, side)
    return inherit(skeleton, turned)


def bone_transforms(
    skeleton: Skeleton, rest: RestBody, rotations: Float[np.ndarray, "b 3 3"]
) -> Float32[np.ndarray, "b 12"]:
    """Return each bone's 3x4 matrix, flattened, from rest to posed coordinates (metres)."""
    heads = rest.heads.astype(np.float64)
    placed = heads.copy()
    for bone, parent in enumerate(skeleton.parents):
        if parent >= 0:
            placed[bone] = placed[parent] + rotations[parent] @ (heads[bone] - heads[parent])
    shift = placed - np.einsum("bij,bj->bi", rotations, heads)
    return np.concatenate([rotations, shift[:, :, None]], axis=2).reshape(-1, 12).astype(np.float32)


def skin(
    vertices: Float32[np.ndarray, "v 3"], weights: sparse.csr_array, transforms: Float32[np.ndarray, "b 12"]
) -> Float32[np.ndarray, "v 3"]:
    """Return the posed vertices: each moved by the weighted mean of its bones' transforms (linear blend skinning)."""
    blended = (weights @ transforms).reshape(-1, 3, 4)
    return np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]


def about(axis: str, degrees: float | int) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about a world axis that is positive forwards (x), or towards the left hand (y, z)."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    if axis == "x":  # an upright body falls forwards, to -y
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _swing_leg(turned: dict, heads: dict, side: str, sign: int, phase: float, stride: float) -> None:
    hip, knee, ankle = (heads[f"{bone}.{side}"] for bone in LEG)
    share = stride / 25
    thigh = 0.12 * stride + stride * np.cos(2 * np.pi * phase)
    bend = 4 + share * (10 * _bump(phase, 0.12, 0.1) + 52 * _bump(phase, 0.74, 0.12))
    heel = share * (32 * _bump(phase, 0.58, 0.12) - 16 * _bump(phase, 0.0, 0.07))
    outwards = 0.035 * sign
    upper = towards(knee - hip, [outwards, -np.sin(np.deg2rad(thigh)), -np.cos(np.deg2rad(thigh))])
    lower = np.deg2rad(thigh - bend)
    turned[f"upperleg01.{side}"] = upper
    shin = towards(upper @ (ankle - knee), [outwards, -np.sin(lower), -np.cos(lower)]) @ upper
    turned[f"lowerleg01.{side}"] = shin
    turned[f"foot.{side}"] = about("z", -4.0 * sign) @ about("x", heel)


def _swing_arm(
    turned: dict, heads: dict, side: str, sign: int, phase: float, gait: Gait, elbow: float, chest: np.ndarray
) -> None:
    shoulder, joint, wrist = (heads[f"{bone}.{side}"] for bone in ARM)
    swing = -gait.arm_swing * np.cos(2 * np.pi * phase)
    bend = elbow + 0.5 * max(swing, 0.0)
    spread = np.sin(np.deg2rad(gait.arm_spread)) * sign
    lift, fore = np.deg2rad(swing), np.deg2rad(swing + bend)
    turned[f"clavicle.{side}"] = about("y", 4.0 * sign) @ chest
    upper = towards(joint - shoulder, chest @ np.array([spread, -np.sin(lift), -np.cos(lift)]))
    turned[f"shoulder01.{side}"] = part_way(upper, 0.35)
    turned[f"upperarm01.{side}"] = upper
    direction = chest @ np.array([0.3 * spread, -np.sin(fore), -np.cos(fore)])
    turned[f"lowerarm01.{side}"] = towards(upper @ (wrist - joint), direction) @ upper


def relax_hand(turned: dict, heads: dict, side: str) -> None:
    """Straighten the wrist, gather the fingers and close them half-way: at rest the hand is spread flat.

    "+bone" is relative: it comes on top of what the bone inherits.
    """
    fingers = {finger: heads[f"finger{finger}-3.{side}"] - heads[f"finger{finger}-1.{side}"] for finger in range(2, 6)}
    middle = np.sum([direction / np.linalg.norm(direction) for direction in fingers.values()], axis=0)
    wrist = heads[f"wrist.{side}"]
    straight = towards(heads[f"finger3-1.{side}"] - wrist, wrist - heads[f"lowerarm01.{side}"])
    turned[f"+wrist.{side}"] = part_way(straight, 0.7)
    across = heads[f"finger5-1.{side}"] - heads[f"finger2-1.{side}"]
    curl = about_vector(across / np.linalg.norm(across), np.pi / 6 if side == "L" else -np.pi / 6)
    for finger, direction in fingers.items():
        turned[f"+finger{finger}-1.{side}"] = curl @ part_way(towards(direction, middle), 0.8)
        turned[f"+finger{finger}-2.{side}"] = turned[f"+finger{finger}-3.{side}"] = curl


def inherit(skeleton: Skeleton, turned: dict[str, np.ndarray]) -> Float[np.ndarray, "b 3 3"]:
    rotations = np.empty((len(skeleton.bones), 3, 3))
    for bone, (name, parent) in enumerate(zip(skeleton.bones, skeleton.parents, strict=True)):
        inherited = rotations[parent] if parent >= 0 else np.eye(3)
        rotations[bone] = turned[name] if name in turned else inherited @ turned.get(f"+{name}", np.eye(3))
    return rotations


def towards(start: np.ndarray, end: list[float] | np.ndarray) -> np.ndarray:
    """Return the smallest rotation that turns direction `start` into direction `end`."""
    a, b = start / np.linalg.norm(start), np.asarray(end) / np.linalg.norm(end)
    axis = np.cross(a, b)
    length = np.linalg.norm(axis)
    return np.eye(3) if length < 1e-9 else about_vector(axis / length, float(np.arctan2(length, a @ b)))


def part_way(rotation: np.ndarray, share: float) -> np.ndarray:
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    vector = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    length = np.linalg.norm(vector)
    return np.eye(3) if length < 1e-9 else about_vector(vector / length, share * angle)


def about_vector(axis: np.ndarray, radians: float) -> np.ndarray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(radians) * cross + (1 - np.cos(radians)) * cross @ cross


def _bump(phase: float, centre: float, width: float) -> float:
    distance = (phase - centre + 0.5) % 1 - 0.5
    return float(np.exp(-((distance / width) ** 2)))
