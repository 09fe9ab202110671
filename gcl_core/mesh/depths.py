"""Depths of keypoints as BlazePose gives them: 33 world landmarks per picture, in metres."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import Keypoints
from gcl_core.mesh.numbers import read_numbers
from gcl_core.mesh.plain_files import read_names, read_plain

# where POINTS stand among BlazePose's 33 landmarks
BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
FARTHEST = 10.0  # metres from the hips' middle: no body is so large
WANTED = f"world landmarks (n, 33, 4): metres from the hips' middle, up to {FARTHEST:g}, and a visibility; NaN: nobody"


@dataclass(frozen=True)
class Depths:
    """How far behind the hips' middle each of a person's POINTS lies, in each of n pictures."""

    files: tuple[str, ...]  # as the estimator named the pictures
    values: Float32[np.ndarray, "n 17"]  # metres; NaN where unknown


def read_depths(path: Path) -> Depths:
    """Read an `.npz` with `files` and `world` (n, 33, 4): metres right, down and away, hips' middle at the origin.

    Rows are NaN where nobody was found. Raises MeshError, with the picture's name, for another file, an infinite number
    or one beyond 10 metres (are they millimetres?).
    """
    table = read_plain(path)
    if not isinstance(table, dict) or not {"files", "world"} <= set(table):
        raise MeshError(f"{path} is no file of 3D keypoints; expected an .npz with `files` and `world`")
    names = read_names(table["files"], f"{path}: files")
    shape = np.shape(table["world"])
    if shape != (len(names), 33, 4):
        raise MeshError(f"{path}: world has shape {shape} for {len(names)} files; expected {WANTED}")
    world = [
        read_numbers(row, f"{path}: {name}", "world", WANTED, most=FARTHEST, gaps=True)
        for name, row in zip(names, table["world"], strict=True)
    ]
    values = np.array(world, dtype=np.float32).reshape(-1, 33, 4)[:, list(BLAZEPOSE), 2]
    return Depths(tuple(names), values)


def add_depths(keypoints: Keypoints, depths: Depths, places: dict[str, int]) -> Keypoints:
    """Return keypoints with depths; `places` says where in `depths` each of its pictures stands, if it does."""
    values = keypoints.depths.copy()
    for row, file in enumerate(keypoints.files):
        if file in places:
            values[row] = depths.values[places[file]]
    return replace(keypoints, depths=values)
