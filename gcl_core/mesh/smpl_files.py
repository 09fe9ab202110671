"""SMPL parameters as estimators of the HMR family write them: one file for a set of pictures, or a folder of files.

A set is one .npz or .pkl: either arrays whose first axis runs over N pictures, with their names beside them, or a dict
picture name -> its parameters. A folder holds one .npz or .pkl a picture, named by the picture (`0002_c1.npz` or
`0002_c1.jpg.npz`), also in subfolders; there N counts the people whom the estimator saw in the picture.

| keys (the first one found)                    | shape of the array                                               |
|-----------------------------------------------|------------------------------------------------------------------|
| `pose`, `poses`, `smpl_thetas`, `pred_pose`   | [N,72], [N,24,3] axis-angle; [N,24,3,3] matrices                 |
| or `body_pose`                                | [N,69], [N,23,3] axis-angle; [N,23,3,3] matrices                 |
| with `global_orient`                          | [N,3], [N,1,3] axis-angle; [N,3,3], [N,1,3,3] matrices           |
| or `theta` (HMR)                              | [N,85]: camera 3, axis-angle 72, shape 10                        |
| `betas`, `smpl_betas`, `shape`, `pred_betas`  | [N,10 or more], the first ten are used; default 0                |
| `files`, `imgname`, `image_name`, `file_name` | N names of pictures, in a set of arrays: paths or base names     |
| `score`, `scores`, `confidence`, `conf`,      | [N]: of several people in one picture the best scored is taken;  |
| `center_confs`                                | without scores the first                                         |

The axis N may be left out for one body. All of this may lie one or more levels deeper, under `results` (ROMP),
`pred_smpl_params` (HMR 2.0), `smpl_params` or `smpl`; people of a picture may also be a list of dicts. Angles are in
radians, rotations relative to the parent joint. Cameras (`pred_cam`, `cam`, `camera`) and all other keys are ignored:
projections are framed to the body, so of the camera only the direction in which it looks matters, and that is in the
global orientation.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.plain_files import SUFFIXES, read_plain
from gcl_core.mesh.smpl import SmplBodies, face_camera_axes

NESTS = ("results", "pred_smpl_params", "smpl_params", "smpl")
POSES = ("pose", "poses", "smpl_thetas", "pred_pose")
SHAPES = ("betas", "smpl_betas", "shape", "pred_betas")
NAMES = ("files", "imgname", "image_name", "file_name")
SCORES = ("score", "scores", "confidence", "center_confs", "conf")

_DRIFT = 0.02  # of a matrix from a rotation, largest entry of R R^T - 1: float16 and averaging stay below


def read_smpl(path: Path) -> SmplBodies:
    """Return one body a picture, sorted by name, from a set's file or a folder of files (this module's docstring).

    Bodies that stand on their head are read as axes with y up (smpl.face_camera_axes). Nothing in a file is run.

    Raises MeshError: nothing to read, a broken file, keys missing or of other shapes, NaN, matrices that are no
    rotations, names missing, of another number than the bodies, or twice.
    """
    path = Path(path)
    names, parts, crowded = [], [], 0
    for name, betas, rotations, people in _read_folder(path) if path.is_dir() else _read_set(path):
        names.append(name)
        parts.append((betas, rotations))
        crowded += people > 1
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MeshError(f"{path}: {len(twice)} pictures are named twice, e.g. {twice[0]}; keep one body of each")
    if crowded:
        print(f"{path}: {crowded} pictures show several people; the one with the best score, else the first, is taken")
    order = sorted(range(len(names)), key=names.__getitem__)
    betas, rotations = (np.stack([parts[index][part] for index in order]).astype(np.float32) for part in (0, 1))
    try:
        return face_camera_axes(SmplBodies(tuple(names[index] for index in order), betas, rotations))
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error


def _read_folder(folder: Path) -> Iterator[tuple]:
    files = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
    if not files:
        raise MeshError(f"{folder} holds no {' or '.join(SUFFIXES)}; expected one file a picture, named by the picture")
    for file in files:
        yield _best(file.relative_to(folder).with_suffix("").as_posix(), read_plain(file), str(file))


def _read_set(path: Path) -> Iterator[tuple]:
    found = _flatten(read_plain(path), str(path))
    key = _first(found, NAMES)
    if key is not None:
        names = [_name(name) for name in np.ravel(found[key])]
        betas, rotations = _bodies(found, str(path))
        if len(names) != len(rotations):
            raise MeshError(f"{path}: {len(names)} names in {key} but {len(rotations)} bodies; both count pictures")
        yield from zip(names, betas, rotations, [1] * len(names), strict=True)
    elif found and all(_holds_dicts(value) for value in found.values()):
        for name, people in found.items():
            yield _best(_name(name), people, f"{path}, {name}")
    else:
        raise MeshError(
            f"{path} does not name its pictures: expected an array {', '.join(NAMES[:-1])} or {NAMES[-1]}, or a dict "
            f"picture name -> parameters; found {_keys(found)}"
        )


def _best(name: str, found: Any, where: str) -> tuple:
    """Return (name, betas, rotations, number of people) of a picture: the person with the best score, or the first."""
    people = _people(found, where)
    parts = [_bodies(person, where) for person in people]
    betas, rotations = (np.concatenate([part[index] for part in parts]) if parts else [] for index in (0, 1))
    if not len(rotations):
        raise MeshError(f"{where}: nobody was found in this picture; leave it out")
    scores = [np.ravel(_array(person, key, where)) for person in people if (key := _first(person, SCORES))]
    flat = np.concatenate(scores) if scores else np.zeros(0)
    best = int(np.argmax(flat)) if len(flat) == len(rotations) else 0
    return name, betas[best], rotations[best], len(rotations)


def _bodies(found: Mapping, where: str) -> tuple[Float[np.ndarray, "n _"], Float[np.ndarray, "n 24 3 3"]]:
    """Return shapes [N,10] and relative rotations [N,24,3,3] of all people that a dict describes."""
    shapes = _array(found, key, where) if (key := _first(found, SHAPES)) else np.zeros(10)
    if key := _first(found, POSES):
        rotations = _rotations(_array(found, key, where), 24, key, where)
    elif "body_pose" in found and "global_orient" in found:
        body = _rotations(_array(found, "body_pose", where), 23, "body_pose", where)
        root = _rotations(_array(found, "global_orient", where), 1, "global_orient", where, len(body))
        rotations = np.concatenate([root, body], axis=1)
    elif "theta" in found:
        theta = np.atleast_2d(_array(found, "theta", where))
        if theta.ndim != 2 or theta.shape[1] != 85:
            raise MeshError(f"{where}: theta has shape {theta.shape}; expected [N,85]: camera 3, pose 72, shape 10")
        rotations, shapes = _rotations(theta[:, 3:75], 24, "theta", where), theta[:, 75:]
    else:
        raise MeshError(
            f"{where}: no pose; expected {' or '.join(POSES)}, or body_pose and global_orient, or theta; "
            f"found {_keys(found)}"
        )
    shapes = np.atleast_2d(shapes)
    if shapes.ndim != 2 or shapes.shape[1] < 10 or len(shapes) not in (1, len(rotations)):
        raise MeshError(f"{where}: betas have shape {shapes.shape}; expected [{len(rotations)},10], as many as poses")
    return np.broadcast_to(shapes[:, :10], (len(rotations), 10)), rotations


def _rotations(
    values: np.ndarray, joints: int, key: str, where: str, count: int | None = None
) -> Float[np.ndarray, "n {joints} 3 3"]:
    """Return rotation matrices out of axis-angles or of matrices, which are made orthonormal where they drifted.

    `count`, where known, tells three axis-angles [3,3] from one matrix.
    """
    fitting = []
    for tail in ((joints * 3,), (joints, 3), (joints, 3, 3), (3, 3)):
        head = values.shape[: values.ndim - len(tail)]
        if values.shape[len(head) :] == tail and len(head) < 2 and (joints == 1 or tail != (3, 3)):
            bodies = head[0] if head else 1
            if count in (None, bodies):
                fitting.append((bodies, tail))
    if not fitting:
        n = "N" if count is None else count
        raise MeshError(
            f"{where}: {key} has shape {values.shape}; expected [{n},{joints * 3}] or [{n},{joints},3] axis-angles, "
            f"or [{n},{joints},3,3] rotation matrices"
        )
    bodies, tail = fitting[0]
    if tail[-2:] != (3, 3):
        return Rotation.from_rotvec(values.reshape(-1, 3)).as_matrix().reshape(bodies, joints, 3, 3)
    matrices = values.reshape(bodies, joints, 3, 3)
    drift = np.abs(matrices @ matrices.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    wrong = np.argwhere((drift > _DRIFT) | (np.linalg.det(matrices) < 0))
    if len(wrong):
        body, joint = wrong[0]
        raise MeshError(
            f"{where}: {key} holds {len(wrong)} matrices that are no rotations, first in body {body}, joint {joint}"
        )
    left, _, right = np.linalg.svd(matrices)
    return left @ right


def _array(found: Mapping, key: str, where: str) -> Float[np.ndarray, "..."]:
    try:
        values = np.asarray(found[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MeshError(f"{where}: {key} is no array of numbers ({error})") from error
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        raise MeshError(f"{where}: {key} holds {len(broken)} NaN or infinite numbers, first at {broken[0].tolist()}")
    return values


def _flatten(found: Any, where: str) -> dict:
    """Return a dict in which what lies under NESTS is at the top; lists of people stay where they are."""
    if isinstance(found, np.ndarray) and found.dtype == object and found.size == 1:
        found = found.item()
    if not isinstance(found, Mapping):
        raise MeshError(f"{where}: expected a dict of arrays, found a {type(found).__name__}")
    flat = dict(found)
    for key in NESTS:
        if isinstance(flat.get(key), Mapping):
            flat |= _flatten(flat.pop(key), where)
    return flat


def _people(found: Any, where: str) -> list[dict]:
    """Return the dicts that describe a picture's people: one of arrays [P, ...], or one a person."""
    if isinstance(found, list) or (isinstance(found, np.ndarray) and found.ndim):
        return [person for item in found for person in _people(item, where)]
    flat = _flatten(found, where)
    listed = next((flat[key] for key in NESTS if key in flat), None)
    return [flat] if listed is None else _people(listed, where)


def _holds_dicts(value: Any) -> bool:
    return isinstance(value, Mapping | list) or (isinstance(value, np.ndarray) and value.dtype == object)


def _first(found: Mapping, keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in found), None)


def _name(name: Any) -> str:
    return (name.decode() if isinstance(name, bytes) else str(name)).replace("\\", "/")


def _keys(found: Mapping) -> str:
    shown = [str(key) for key in list(found)[:8]]
    return f"{', '.join(shown)}{', ...' if len(found) > 8 else ''}" if found else "nothing"
