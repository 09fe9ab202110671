"""The people that a dict of SMPL parameters describes, whatever estimator wrote it: shapes, rotations, scores.

| keys (the first one found)                       | shape of the array                                               |
|--------------------------------------------------|------------------------------------------------------------------|
| `pose`, `poses`, `smpl_thetas`, `pred_pose`      | [N,72], [N,24,3] axis-angle; [N,24,3,3] matrices                 |
| or `body_pose`                                   | [N,69], [N,23,3] axis-angle; [N,23,3,3] matrices                 |
| with `global_orient`                             | [N,3], [N,1,3] axis-angle; [N,3,3], [N,1,3,3] matrices           |
| or `theta` (HMR)                                 | [N,85]: camera 3, axis-angle 72, shape 10                        |
| `betas`, `smpl_betas`, `pred_betas`, `shape`,    | [N,10 or more], the first ten are used; default 0                |
| `pred_shape`                                     |                                                                  |
| `score`, `scores`, `confidence`, `conf`,         | [N], one per person                                              |
| `center_confs`, `center_conf`                    |                                                                  |

The axis N may be left out for one body. All of this may lie one or more levels deeper, under `results` (ROMP),
`pred_smpl_params` (HMR 2.0), `smpl_params` or `smpl`; people may also be a list of dicts, or lie under `subject_0`,
`subject_1` …. Beside a list of people their scores may stand in a list of their own, and `tracked_time` (PHALP), which
is above 0 for people who are not in this picture but in one before it. Angles are in radians, rotations relative to the
parent joint. Of cameras, `pred_cam` [N,3] (HMR 2.0, PARE, SPIN) and those of `theta` are read: scale, then shift to the
right and down, of a square around the picture's middle as wide as its longer side, which spans -1 to 1. `cam` and
`camera`, which mean something else from estimator to estimator, and all other keys are ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.numbers import read_numbers, show

NESTS = ("results", "pred_smpl_params", "smpl_params", "smpl")
POSES = ("pose", "poses", "smpl_thetas", "pred_pose")
PARTS = ("body_pose", "global_orient", "theta")
SHAPES = ("betas", "smpl_betas", "pred_betas", "shape", "pred_shape")
SCORES = ("score", "scores", "confidence", "center_confs", "center_conf", "conf")
CAMERA = "pred_cam"
SUBJECT = re.compile(r"subject_\d+")

FULL_TURN = 2 * np.pi + 0.01  # radians: no axis-angle needs more
MOST_SHAPE = 30.0  # standard deviations: people lie within 5
_DRIFT = 0.02  # of a matrix from a rotation, largest entry of R R^T - 1: float16 and averaging stay below


@dataclass(frozen=True)
class People:
    """The people of one picture, or one person of each picture of a set."""

    betas: Float[np.ndarray, "n 10"]
    rotations: Float[np.ndarray, "n 24 3 3"]
    scores: Float[np.ndarray, " n"] | None  # None: the file gives none
    cameras: Float[np.ndarray, "n 3"]  # NaN: the file gives none

    def best(self) -> int:
        """Return the place of the best scored; without scores the first."""
        return 0 if self.scores is None else int(np.argmax(self.scores))


def read_people(found: Any, where: str) -> People:
    """Return all people that `found` (a dict, or a list of dicts) describes; maybe nobody.

    Raises MeshError, beginning with `where`: keys missing or of other shapes, NaN, angles that cannot be radians,
    matrices that are no rotations, scores of another number than the people.
    """
    if isinstance(found, list | tuple) or (isinstance(found, np.ndarray) and found.ndim):
        return _join([read_people(item, where) for item in found])
    flat = flatten(found, where)
    listed = next((flat[key] for key in NESTS if key in flat), None)
    if listed is None and flat and all(isinstance(key, str) and SUBJECT.fullmatch(key) for key in flat):
        listed = list(flat.values())
    if listed is None:
        return _bodies(flat, where)
    if not isinstance(listed, list | tuple | np.ndarray):
        raise MeshError(f"{where}: expected a list of people, found {show(listed)}")
    people = read_people(list(listed), where)
    count = len(people.rotations)
    scores = _scores(flat, count, where)
    people = replace(people, scores=people.scores if scores is None else scores)
    if flat.get("tracked_time") is None:
        return people
    since = read_numbers(flat["tracked_time"], where, "tracked_time", "frames, one per person", most=1e9).ravel()
    return _take(people, since == 0) if len(since) == count else people  # else: of more tracks than these people


def flatten(found: Any, where: str) -> dict:
    """Return a dict in which what lies under NESTS is at the top; lists of people stay where they are."""
    found = unpack(found)
    if not isinstance(found, Mapping):
        raise MeshError(f"{where}: expected a dict of arrays, found a {type(found).__name__}")
    flat = dict(found)
    for key in NESTS:
        if isinstance(inner := unpack(flat.get(key)), Mapping):
            del flat[key]
            flat |= flatten(inner, where)
    return flat


def unpack(found: Any) -> Any:
    """Return what an object array of one entry holds, as numpy saves dicts."""
    while isinstance(found, np.ndarray) and found.dtype == object and found.ndim == 0:
        found = found.item()
    return found


def first_key(found: Mapping, keys: tuple[str, ...]) -> str | None:
    """Return the first of some keys that a dict has."""
    return next((key for key in keys if key in found), None)


def keys_text(found: Mapping) -> str:
    """Return a dict's first keys as text."""
    shown = [show(key).strip("'") for key in list(found)[:8]]
    return f"{', '.join(shown)}{', ...' if len(found) > 8 else ''}" if found else "nothing"


def _bodies(found: Mapping, where: str) -> People:
    shapes = (
        _array(found, key, where, "[N,10] shape", MOST_SHAPE) if (key := first_key(found, SHAPES)) else np.zeros(10)
    )
    cameras = _array(found, CAMERA, where, "[N,3]: scale, right, down", 1e6) if CAMERA in found else None
    if key := first_key(found, POSES):
        rotations = _rotations(found[key], 24, key, where)
    elif "body_pose" in found and "global_orient" in found:
        body = _rotations(found["body_pose"], 23, "body_pose", where)
        root = _rotations(found["global_orient"], 1, "global_orient", where, len(body))
        rotations = np.concatenate([root, body], axis=1)
    elif "theta" in found:
        theta = np.atleast_2d(_array(found, "theta", where, "[N,85]: camera 3, pose 72, shape 10", 1e6))
        if theta.ndim != 2 or theta.shape[1] != 85:
            raise MeshError(f"{where}: theta has shape {theta.shape}; expected [N,85]: camera 3, pose 72, shape 10")
        rotations = _rotations(theta[:, 3:75], 24, "theta", where)
        cameras = theta[:, :3]
        shapes = read_numbers(theta[:, 75:], where, "theta's shape", "[N,10] shape", most=MOST_SHAPE)
    else:
        raise MeshError(
            f"{where}: no pose; expected {' or '.join(POSES)}, or body_pose and global_orient, or theta; "
            f"found {keys_text(found)}; take the file out of the folder if it holds no person"
        )
    shapes = np.atleast_2d(shapes)
    count = len(rotations)
    if shapes.ndim != 2 or shapes.shape[1] < 10 or len(shapes) not in (1, count):
        raise MeshError(f"{where}: betas have shape {shapes.shape}; expected [{count},10], as many as poses")
    cameras = np.full((count, 3), np.nan) if cameras is None else np.atleast_2d(cameras)
    if cameras.shape != (count, 3):
        raise MeshError(f"{where}: {CAMERA} has shape {cameras.shape}; expected [{count},3], as many as poses")
    return People(np.broadcast_to(shapes[:, :10], (count, 10)), rotations, _scores(found, count, where), cameras)


def _rotations(
    given: Any, joints: int, key: str, where: str, count: int | None = None
) -> Float[np.ndarray, "n {joints} 3 3"]:
    """Return rotation matrices out of axis-angles or of matrices, which are made orthonormal where they drifted.

    `count`, where known, tells three axis-angles [3,3] from one matrix.
    """
    n = "N" if count is None else count
    wanted = f"[{n},{joints * 3}] or [{n},{joints},3] axis-angles in radians, or [{n},{joints},3,3] rotation matrices"
    values = read_numbers(given, where, key, wanted, most=np.inf)
    fitting = []
    for tail in ((joints * 3,), (joints, 3), (joints, 3, 3), (3, 3)):
        head = values.shape[: values.ndim - len(tail)]
        if values.shape[len(head) :] == tail and len(head) < 2 and (joints == 1 or tail != (3, 3)):
            bodies = head[0] if head else 1
            if count in (None, bodies):
                fitting.append((bodies, tail))
    if not fitting:
        raise MeshError(f"{where}: {key} has shape {values.shape}; expected {wanted}")
    bodies, tail = fitting[0]
    if tail[-2:] != (3, 3):
        vectors = values.reshape(bodies, joints, 3)
        _refuse(np.linalg.norm(vectors, axis=2) > FULL_TURN, key, where, "angles beyond a full turn: not radians")
        return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(bodies, joints, 3, 3)
    matrices = values.reshape(bodies, joints, 3, 3)
    _refuse((np.abs(matrices) > 1 + _DRIFT).any(axis=(2, 3)), key, where, "matrices that are no rotations")
    drift = np.abs(matrices @ matrices.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    _refuse((drift > _DRIFT) | (np.linalg.det(matrices) < 0), key, where, "matrices that are no rotations")
    left, _, right = np.linalg.svd(matrices)
    return left @ right


def _refuse(wrong: Any, key: str, where: str, what: str) -> None:
    if np.any(wrong):
        body, joint = np.argwhere(wrong)[0]
        raise MeshError(f"{where}: {key} holds {np.sum(wrong)} {what}, first in body {body}, joint {joint}")


def _scores(found: Mapping, count: int, where: str) -> Float[np.ndarray, " n"] | None:
    key = first_key(found, SCORES)
    if key is None:
        return None
    scores = _array(found, key, where, "one score a person", 1e12).ravel()
    if len(scores) != count:
        raise MeshError(f"{where}: {key} holds {len(scores)} scores for {count} people; expected one per person")
    return scores


def _array(found: Mapping, key: str, where: str, wanted: str, most: float) -> Float[np.ndarray, "..."]:
    return read_numbers(found[key], where, key, wanted, most=most)


def _take(people: People, chosen: np.ndarray) -> People:
    scores = None if people.scores is None else people.scores[chosen]
    return People(people.betas[chosen], people.rotations[chosen], scores, people.cameras[chosen])


def _join(parts: list[People]) -> People:
    """Return all people of several dicts; their scores only where each has one."""
    if not parts:
        return People(np.zeros((0, 10)), np.zeros((0, 24, 3, 3)), None, np.zeros((0, 3)))
    scores = [part.scores for part in parts if part.scores is not None]
    return People(
        np.concatenate([part.betas for part in parts]),
        np.concatenate([part.rotations for part in parts]),
        np.concatenate(scores) if len(scores) == len(parts) else None,
        np.concatenate([part.cameras for part in parts]),
    )
