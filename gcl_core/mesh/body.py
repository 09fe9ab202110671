"""Bodies at rest from the free parametric model `anny`: vertices, triangles, bones and skinning weights."""

import gzip
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from filelock import FileLock
from jaxtyping import Float32, Int32
from scipy import sparse

from gcl_core.files import RunError

BODY_PARAMETERS = ("gender", "age", "muscle", "weight", "height", "proportions")
"""What decides a rest shape, each in [0, 1]; age 0.62-0.92 are adults, gender 0 is male."""

AVERAGE = {"gender": 0.5, "age": 0.75, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5}
"""The average adult."""


@dataclass(frozen=True)
class Body:
    """A posed surface in metres, z up, -y towards the camera: all that a projection needs, wherever it comes from."""

    vertices: Float32[np.ndarray, "v 3"]
    faces: Int32[np.ndarray, "f 3"]
    elevation: float = 0.0  # how far the camera looks down, degrees

    @cached_property
    def extent(self) -> Float32[np.ndarray, " 3"]:
        """How far it reaches along each axis, metres; zero without vertices."""
        axes = np.ascontiguousarray(self.vertices.T)  # numpy is slow across the rows of a long table
        return np.ptp(axes, axis=1) if axes.size else np.zeros(3, dtype=np.float32)

    @cached_property
    def normals(self) -> Float32[np.ndarray, "v 3"]:
        """Unit normals at its vertices, as `vertex_normals` gives them."""
        from gcl_core.mesh.rasterizer import vertex_normals  # numba: only where something is drawn

        return vertex_normals(self.vertices, self.faces)


@dataclass(frozen=True)
class Skeleton:
    """What all rest bodies share: triangles, bone tree (parents come before children) and skinning weights."""

    faces: Int32[np.ndarray, "f 3"]
    bones: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    weights: sparse.csr_array  # (vertices, bones), float32, rows sum to one


@dataclass(frozen=True)
class RestBody:
    """One person's shape before posing: arms held out, facing -y, z up; metres."""

    vertices: Float32[np.ndarray, "v 3"]
    heads: Float32[np.ndarray, "b 3"]  # where each bone turns


def load_bodies() -> tuple[Skeleton, Callable[[dict[str, float]], RestBody]]:
    """Return the skeleton and a function from body parameters (BODY_PARAMETERS, in [0, 1]) to a rest body.

    The first call on a machine derives the model from the package's files (half a minute) and keeps it (50 MB) under
    `body_cache()`; later ones take seconds. Processes that start at once wait for the first.

    Raises RunError: the cache folder cannot be written.
    """
    import torch

    model = _load_model()
    count = len(model.bone_labels)
    weights, bones = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    rows = np.repeat(np.arange(len(weights)), weights.shape[1])
    table = sparse.csr_array((weights.ravel(), (rows, bones.ravel())), shape=(len(weights), count), dtype=np.float32)
    table.eliminate_zeros()
    skeleton = Skeleton(
        faces=model.get_triangular_faces().numpy().astype(np.int32),
        bones=tuple(model.bone_labels),
        parents=tuple(int(parent) for parent in model.bone_parents),
        weights=sparse.csr_array(table / table.sum(axis=1)[:, None], dtype=np.float32),
    )

    def rest_body(parameters: dict[str, float]) -> RestBody:
        unknown = set(parameters) ^ set(BODY_PARAMETERS)
        if unknown:
            raise ValueError(f"body parameters must be exactly {BODY_PARAMETERS}; wrong or missing: {sorted(unknown)}")
        with torch.no_grad():
            coefficients = model.get_phenotype_blendshape_coefficients(**parameters)
            rest = model.get_rest_model(coefficients)
        return RestBody(_micrometres(rest["rest_vertices"][0]), _micrometres(rest["rest_bone_poses"][0, :, :3, 3]))

    return skeleton, rest_body


def body_cache() -> Path:
    """Return the folder that keeps the derived body model: ANNY_CACHE_DIR, else XDG_CACHE_HOME, else ~/.cache."""
    given = os.environ.get("ANNY_CACHE_DIR")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gcl_core"


def _load_model() -> Any:
    """Load the model out of a cache folder that is put in place whole, so that a kill leaves no half of it."""
    import anny
    from anny.paths import get_anny_cache_path, set_anny_cache_path

    home = body_cache() / f"anny-{version('anny')}"
    before = get_anny_cache_path()
    try:
        if not home.is_dir():
            home.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(home.parent / ".anny.lock"):
                if not home.is_dir():  # else another process was first
                    _derive_model(anny, set_anny_cache_path, home)
        set_anny_cache_path(home)
        return anny.Anny(skinning_method="lbs")
    except OSError as error:
        raise RunError(
            f"the body model is kept in {home.parent}, which cannot be written ({error}); "
            "set ANNY_CACHE_DIR to a folder that can"
        ) from error
    finally:
        set_anny_cache_path(before)


def _derive_model(anny: Any, set_cache: Callable[[Path], None], home: Path) -> None:
    scratch = home.with_name(home.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)  # of a killed process
    set_cache(scratch)
    with patch("anny.models.full_model.load_blend_shape", read_blend_shape):
        anny.Anny(skinning_method="lbs")
    for step in scratch.rglob("*.safetensors"):  # 780 MB of intermediate steps that loading does not read
        if not step.name.startswith("build_compact_model_data"):
            step.unlink()
    scratch.rename(home)


def read_blend_shape(filename: str, vertices_count: int, world_transformation: Any, dtype: Any) -> Any:
    """Return what the package's `load_blend_shape` does, to the bit: it reads 7 million lines one tensor at a time."""
    import torch

    with gzip.open(filename, "rt") as archive:
        lines = np.fromstring(archive.read(), sep=" ").reshape(-1, 4)  # a vertex and its offset
    offsets = np.zeros((vertices_count, 3))
    offsets[lines[:, 0].astype(int)] = lines[:, 1:]
    return world_transformation.apply(torch.as_tensor(offsets, dtype=dtype))


def _micrometres(values: Any) -> Float32[np.ndarray, "n 3"]:
    """Round float64 to 1e-6 m: below every effect, above the rounding differences between machines."""
    return np.round(values.numpy(), 6).astype(np.float32)
