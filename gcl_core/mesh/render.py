"""From bodies to the eight projections of each picture, in the layout of the released meshes (METHOD.md §1.3)."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from gcl_core.files import atomic, held, read_json, write_json
from gcl_core.machine import cores
from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS, project_body, projection_folder

QUALITY = 98  # JPEG; white must stay white
MARK, KEPT = "bodies.json", "made"


@runtime_checkable
class Bodies(Protocol):
    """Bodies of pictures, wherever they come from."""

    def body(self, place: int) -> Body | None:
        """Return the body at a place as its picture's camera sees it at yaw 0; None where there is none to trust."""
        ...


class Picture(NamedTuple):
    """A picture whose body is to be rendered: its projections' name, their side's folder, and the body's place."""

    name: str  # below a folder such as train/render
    side: Literal["train", "test"]
    place: int


def render_bodies(bodies: Bodies, pictures: Sequence[Picture], mesh_root: Path, *, height: int) -> int:
    """Write each picture's eight projections, height x height / 2 pixels; return how many pictures have them.

    Projections that are there are left as they are, so a killed run goes on.
    """
    for folder in {projection_folder(mesh_root, each.side, yaw) for each in pictures for yaw in YAWS}:
        folder.mkdir(parents=True, exist_ok=True)
        for scrap in folder.rglob(".*.tmp"):  # of a killed run
            scrap.unlink()

    def render(picture: Picture) -> bool:
        paths = _paths(picture, mesh_root)
        missing = [yaw for yaw, path in paths.items() if not path.is_file()]
        if not missing:
            return True
        body = bodies.body(picture.place)
        if body is None:
            return False
        for yaw in missing:
            save_projection(paths[yaw], project_body(body, yaw, height=height, width=height // 2))
        return True

    with ThreadPoolExecutor(cores()) as pool:  # the rasteriser lets go of the interpreter's lock
        return sum(tqdm(pool.map(render, pictures), total=len(pictures), desc="projections", mininterval=2))


def remove_projections(pictures: Sequence[Picture], mesh_root: Path) -> None:
    """Delete what projections there are of pictures whose bodies are to be made anew."""
    for picture in pictures:
        for path in _paths(picture, mesh_root).values():
            path.unlink(missing_ok=True)


def _paths(picture: Picture, mesh_root: Path) -> dict[int, Path]:
    return {yaw: projection_folder(mesh_root, picture.side, yaw) / picture.name for yaw in YAWS}


def save_projection(path: Path, pixels: UInt8[np.ndarray, "h w"]) -> None:
    """Write one projection as PNG or, by any other name, as JPEG; whole or not at all."""
    with atomic(path) as temporary:
        if path.suffix.lower() == ".png":
            Image.fromarray(pixels).save(temporary, format="PNG")
        else:
            Image.fromarray(pixels).save(temporary, format="JPEG", quality=QUALITY)


def note_made(mesh_root: Path, facts: Mapping[str, object], kept: Mapping[str, object]) -> None:
    """Write what `claimed` compares (`facts`) and what a later call has to know of the meshes made so far (`kept`)."""
    write_json(mesh_root / MARK, {**facts, KEPT: kept})


@contextmanager
def claimed(mesh_root: Path, facts: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """Begin or continue, alone, meshes made as `facts` (JSON) say; yield what `note_made` kept about them, or nothing.

    Raises MeshError: the folder holds meshes not made here, or made from something else, or is being filled.
    """
    mark, taken = mesh_root / MARK, f"another process is making meshes in {mesh_root}"
    with held(mesh_root / ".bodies.lock", taken, raises=MeshError):
        made = read_json(mark) if mark.is_file() else None
        kept = made.pop(KEPT, {}) if made else {}
        if not isinstance(kept, dict):
            raise MeshError(
                f"{mark} does not say of what its meshes were made; move {mesh_root}, or choose another folder"
            )
        if made is None and any((mesh_root / side).exists() for side in ("train", "test")):
            raise MeshError(f"{mesh_root} holds meshes not made here (it has no {MARK}); choose another folder")
        if made is not None and made != facts:
            other = ", ".join(name for name in {**made, **facts} if made.get(name) != facts.get(name))
            raise MeshError(
                f"{mesh_root} holds meshes made from something else ({other} differ); choose another, or delete it"
            )
        note_made(mesh_root, facts, kept)
        yield kept
