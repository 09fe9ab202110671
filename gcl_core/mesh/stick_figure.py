"""A body reduced to the 17 points that pose estimators draw: from a few angles to points in space, differentiably."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton, load_bodies

POINTS: tuple[str, ...] = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The points of COCO's person keypoints, in its order; left and right are the person's."""

SIDES = {"left": 1, "right": -1}
JOINTS = {"shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist"} | {
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
}
_NOSE = (0.0, -0.129, 0.003)  # from the head bone, on the average adult, metres
_EAR = (0.09, 0.009, 0.037)  # the left one
_HIP = 0.1  # estimators mark a hip below the joint: so far down the thigh


@dataclass(frozen=True)
class Angle:
    """One degree of freedom: where people's values lie (mean, standard deviation) and what joints allow."""

    mean: float | int
    deviation: float | int
    low: float | int
    high: float | int


def _both_sides(angles: Mapping[str, Angle]) -> dict[str, Angle]:
    return {f"{side}_{name}": angle for side in SIDES for name, angle in angles.items()}


# Degrees; positive forwards or away from the body. Where pedestrians' joints lie and what they allow: ours.
POSE: dict[str, Angle] = {
    "elevation": Angle(10, 6, -5, 35),  # how far the camera looks down
    "lean": Angle(3, 6, -25, 45),  # of the trunk, as the next two
    "sideways": Angle(0, 4, -20, 20),
    "twist": Angle(0, 10, -40, 40),
    "head_turn": Angle(0, 20, -75, 75),
    "head_nod": Angle(4, 12, -35, 50),
    "head_tilt": Angle(0, 6, -25, 25),
} | _both_sides(
    {
        "arm_swing": Angle(0, 25, -60, 150),
        "arm_spread": Angle(10, 8, -20, 90),
        "elbow_bend": Angle(25, 25, 0, 145),
        "forearm_spread": Angle(3, 15, -60, 60),
        "leg_swing": Angle(2, 12, -40, 95),
        "leg_spread": Angle(2, 4, -15, 40),
        "knee_bend": Angle(12, 14, 0, 130),
    }
)
SHAPE = {"height": Angle(0.45, 0.2, 0, 1), "gender": Angle(0.5, 0.3, 0, 1)}  # body parameters: what limbs tell of
FREE = {**POSE, **SHAPE}

Values = Mapping[str, Tensor]  # every name of FREE → (b,)


@dataclass(frozen=True)
class BodyFamily:
    """Rest bodies from short to tall and male to female, linear about the average adult."""

    skeleton: Skeleton
    average: RestBody
    change: Mapping[str, RestBody]  # per unit of each parameter in SHAPE

    def rest(self, shape: Mapping[str, float]) -> RestBody:
        """Return the rest body of a shape (names of SHAPE)."""
        vertices, heads = self.average.vertices.copy(), self.average.heads.copy()
        for name, change in self.change.items():
            step = np.float32(shape[name] - AVERAGE[name])
            vertices += step * change.vertices
            heads += step * change.heads
        return RestBody(vertices, heads)


def make_family(skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]) -> BodyFamily:
    """Return the family of a body model as `load_bodies` gives it."""
    change = {}
    for name in SHAPE:
        low, high = (rest_body(AVERAGE | {name: AVERAGE[name] + step}) for step in (-0.2, 0.2))
        change[name] = RestBody((high.vertices - low.vertices) / 0.4, (high.heads - low.heads) / 0.4)
    return BodyFamily(skeleton, rest_body(AVERAGE), change)


def load_family() -> BodyFamily:
    """Return the family of the free body model; the first call on a machine takes as long as `load_bodies`."""
    return make_family(*load_bodies())


class StickFigure:
    """Points in space of a family's bodies, for a batch of poses at once."""

    def __init__(self, family: BodyFamily):
        self._average = _landmarks(family.skeleton, family.average.heads)
        self._change = {
            name: _landmarks(family.skeleton, change.heads, offsets=0) for name, change in family.change.items()
        }

    def points(self, values: Values) -> Float[Tensor, "b 17 3"]:
        """Return POINTS in metres, facing -y, z up, the hips' middle at the origin."""
        rest = {
            name: place + sum((values[k] - AVERAGE[k])[:, None] * change[name] for k, change in self._change.items())
            for name, place in self._average.items()
        }
        chest = turn(values["twist"], values["lean"], values["sideways"])
        head = turn(values["head_turn"], values["head_nod"], values["head_tilt"])
        neck = rest["waist"] + _apply(chest, rest["neck"] - rest["waist"])
        found = {name: neck + _apply(head, rest[name] - rest["neck"]) for name in POINTS[:5]}
        for side, sign in SIDES.items():
            of = {name: values[f"{side}_{name}"] for name in _SIDED}
            bone = {name: rest[f"{side}_{name}"] for name in JOINTS}
            shoulder = rest["waist"] + _apply(chest, bone["shoulder"] - rest["waist"])
            upper, fore = (_apply(chest, each) for each in arm_directions(of, sign))
            elbow = shoulder + _length(bone["elbow"] - bone["shoulder"]) * upper
            found |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow}
            found[f"{side}_wrist"] = elbow + _length(bone["wrist"] - bone["elbow"]) * fore
            thigh, shin = leg_directions(of, sign)
            knee = bone["hip"] + _length(bone["knee"] - bone["hip"]) * thigh
            found |= {f"{side}_hip": bone["hip"] + _HIP * (knee - bone["hip"]), f"{side}_knee": knee}
            found[f"{side}_ankle"] = knee + _length(bone["ankle"] - bone["knee"]) * shin
        return torch.stack([found[name] for name in POINTS], dim=1)


def turn(about_z: Float[Tensor, " b"], about_x: Float[Tensor, " b"], about_y: Float[Tensor, " b"]) -> Tensor:
    """Return rotations (b, 3, 3) from degrees: sideways (y), then forwards (x), then to the left hand (z)."""
    zero, one = torch.zeros_like(about_z), torch.ones_like(about_z)
    (cz, sz), (cx, sx), (cy, sy) = (
        (torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))) for angle in (about_z, about_x, about_y)
    )
    z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], dim=1)
    x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], dim=1)
    y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], dim=1)
    return z.view(-1, 3, 3) @ x.view(-1, 3, 3) @ y.view(-1, 3, 3)


def arm_directions(of: Values, sign: int) -> tuple[Tensor, Tensor]:
    """Return unit directions (b, 3) of upper arm and forearm in the chest's axes; `of` are one side's angles."""
    upper = _direction(of["arm_swing"], of["arm_spread"], sign)
    fore = _direction(of["arm_swing"] + of["elbow_bend"], of["forearm_spread"], sign)
    return upper, fore


def leg_directions(of: Values, sign: int) -> tuple[Tensor, Tensor]:
    """Return unit directions (b, 3) of thigh and shin in the pelvis's axes; `of` are one side's angles."""
    thigh = _direction(of["leg_swing"], of["leg_spread"], sign)
    return thigh, _direction(of["leg_swing"] - of["knee_bend"], of["leg_spread"], sign)


_SIDED = ("arm_swing", "arm_spread", "elbow_bend", "forearm_spread", "leg_swing", "leg_spread", "knee_bend")


def _direction(forwards: Tensor, outwards: Tensor, sign: int) -> Tensor:
    """Return the direction of a limb that hangs down at 0, 0 and is lifted forwards, then outwards (degrees)."""
    lift, spread = torch.deg2rad(forwards), torch.deg2rad(outwards)
    return torch.stack([sign * spread.sin(), -lift.sin() * spread.cos(), -lift.cos() * spread.cos()], dim=1)


def _landmarks(skeleton: Skeleton, heads: np.ndarray, offsets: int = 1) -> dict[str, Tensor]:
    at = {name: torch.from_numpy(place) for name, place in zip(skeleton.bones, heads, strict=True)}
    places = {f"{side}_{name}": at[f"{bone}.{side[0].upper()}"] for side in SIDES for name, bone in JOINTS.items()}
    places |= {"left_eye": at["eye.L"], "right_eye": at["eye.R"], "waist": at["spine03"], "neck": at["neck01"]}
    places["nose"] = at["head"] + offsets * torch.tensor(_NOSE)
    for side, sign in SIDES.items():
        places[f"{side}_ear"] = at["head"] + offsets * torch.tensor([sign * _EAR[0], *_EAR[1:]])
    middle = (places["left_hip"] + places["right_hip"]) / 2
    return {name: place - middle for name, place in places.items()}


def _apply(rotation: Tensor, vector: Tensor) -> Tensor:
    return (rotation @ vector.unsqueeze(2)).squeeze(2)


def _length(vector: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vector, dim=1, keepdim=True)
