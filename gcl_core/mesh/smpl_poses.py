"""The SMPL parameters behind a folder of projections, kept beside them under their pictures' own names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gcl_core.files import atomic
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.plain_files import read_plain
from gcl_core.mesh.smpl import SmplBodies


def add_poses(path: Path, bodies: SmplBodies, places: Mapping[str, int]) -> None:
    """Write the bodies at some places, by picture, into an .npz that keeps those of other pictures; whole or not."""
    rows, none = list(places.values()), np.full((len(bodies.files), 3), np.nan, dtype=np.float32)
    cameras = none if bodies.cameras is None else bodies.cameras
    parts = [(np.array(list(places), dtype=str), bodies.betas[rows], bodies.rotations[rows], cameras[rows])]
    if path.is_file():
        before = load_poses(path)
        kept = [place for place, file in enumerate(before.files) if file not in places]
        assert before.cameras is not None
        names = np.array(before.files, dtype=str)[kept]
        parts.append((names, before.betas[kept], before.rotations[kept], before.cameras[kept]))
    columns = dict(
        zip(("files", "betas", "pose", "pred_cam"), map(np.concatenate, zip(*parts, strict=True)), strict=True)
    )
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns, elevation=np.float64(bodies.elevation))


def load_poses(path: Path) -> SmplBodies:
    """Read what `add_poses` wrote. Raises MeshError for any other file."""
    found = read_plain(path)
    try:
        files, betas, rotations, cameras = (found[name] for name in ("files", "betas", "pose", "pred_cam"))
        count, elevation = len(files), float(found["elevation"])
    except (KeyError, TypeError, ValueError) as error:
        raise MeshError(f"{path} keeps no poses ({error}); delete it and run pose-bodies again") from error
    if (betas.shape, rotations.shape, cameras.shape) != ((count, 10), (count, 24, 3, 3), (count, 3)):
        raise MeshError(f"{path} keeps arrays that do not belong together; delete it and run pose-bodies again")
    return SmplBodies(tuple(map(str, files)), betas, rotations, cameras, known_elevation=elevation)
