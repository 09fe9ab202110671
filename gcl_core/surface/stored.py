"""Carried views of all pictures of a set, made once and kept as bytes beside its store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.data.store import fill_array, open_array, place_array, require_space
from gcl_core.files import RunError, held, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.mesh.errors import DoubtfulFacingError, MeshError
from gcl_core.mesh.projection import YAWS
from gcl_core.provenance import code_of, fingerprint
from gcl_core.surface.bodies import Way, body_source, fits_hash
from gcl_core.surface.carrier import Carrier
from gcl_core.surface.placement import Placement
from gcl_core.surface.topology import Topology
from gcl_core.surface.views import carry_views

Placed = Callable[[], Placement]  # raises MeshError
Make = Callable[[UInt8[np.ndarray, "h w 3"], Placed, Topology], UInt8[np.ndarray, "..."]]


@dataclass(frozen=True)
class StoredViews:
    """Views of n pictures at 45, 90 … 315 degrees; those of pictures that have none are black."""

    views: UInt8[np.ndarray, "n 7 h w 3"]  # memory-mapped
    there: Bool[np.ndarray, " n"]  # which pictures have views

    def at(self, picked: Int64[np.ndarray, " b"], yaws: Int64[np.ndarray, " b"]) -> UInt8[np.ndarray, "b h w 3"]:
        """Return one view of each picked picture, at the yaws given for them."""
        return self.views[picked, yaws // 45 - 1]


def views_identity(layout: Layout, people: PersonSet, way: Way, *, turned: bool = True) -> str:
    """Return the fingerprint of all that decides the carried views of a set's training pictures."""
    return fingerprint([people.fingerprint, way, turned, fits_hash(layout, way), code_of(__name__)])


def stored_views(layout: Layout, people: PersonSet, way: Way, *, turned: bool = True) -> StoredViews:
    """Return the carried views of a set's training pictures, in the order of its index; made once, and anew when stale.

    A picture whose body may as well face elsewhere is a view of itself from every side. They lie in `surface_<way>.npy`
    (`surface_<way>_unturned.npy`) beside the set's store, and in a JSON file of that name which pictures have none and
    why. A killed call goes on where it was. Raises RunError as `body_source` does, for a full disk, a store that cannot
    be written, or when no picture has views.
    """

    def carry(picture: UInt8[np.ndarray, "h w 3"], placed: Placed, topology: Topology) -> UInt8[np.ndarray, "..."]:
        try:
            return carry_views(picture, placed(), topology, turned=turned).views
        except DoubtfulFacingError:
            return np.repeat(picture[None], shape[0], axis=0)

    shape, identity = (len(YAWS) - 1, *people.pictures.shape[1:]), views_identity(layout, people, way, turned=turned)
    name = f"surface_{way}" if turned else f"surface_{way}_unturned"
    views, without = stored_array(layout, people, way, name, identity, shape, carry)
    if len(without) == len(views):
        raise RunError(
            f"no picture of {layout.store} has carried views, e.g. because of {next(iter(without.values()))}"
        )
    files = people.index["file"].iloc[people.rows("train")]
    return StoredViews(views, ~files.isin(list(without)).to_numpy())


def stored_array(
    layout: Layout, people: PersonSet, way: Way, name: str, identity: str, shape: Sequence[int], make: Make
) -> tuple[UInt8[np.ndarray, "n ..."], dict[str, str]]:
    """Return what `make` makes of each training picture and its body, and which files have none and why.

    `identity` is of all that it depends on, `shape` that of one picture's bytes. As `stored_views`; what is up to date
    is read without writing anything, and another process that is making the same array is waited for.
    """
    path = layout.store / f"{name}.npy"
    if _told(path).get("identity") != identity:
        with held(path.with_suffix(".lock"), f"another process makes {path}", "; check permissions", wait=True):
            if _told(path).get("identity") != identity:  # another process may have made it meanwhile
                _make(layout, people, way, path, identity, (len(people.rows("train")), *shape), make)
    return open_array(path), _told(path)["without"]


def _told(path: Path) -> dict[str, Any]:
    """Return what stands beside a finished array; nothing where there is none."""
    told = path.with_suffix(".json")
    return read_json(told) if told.is_file() and path.is_file() else {}


def carried_views(
    layout: Layout, people: PersonSet, rows: Int64[np.ndarray, " n"], way: Way, *, turned: bool = True
) -> tuple[UInt8[np.ndarray, "n 7 h w 3"], Bool[np.ndarray, " n"]]:
    """Return the carried views of some training or some test pictures, `rows` of the set, and which have any.

    Those of training pictures are stored, those of test pictures made now. A picture whose body may as well face
    elsewhere is a view of itself among training pictures, and has none among test pictures.
    """
    train = people.rows("train")
    if not np.isin(rows, train).all():
        return Carrier(layout, people, way, "test").views(rows, turned=turned)
    stored, places = stored_views(layout, people, way, turned=turned), np.searchsorted(train, rows)
    return stored.views[places], stored.there[places]


def _make(
    layout: Layout, people: PersonSet, way: Way, path: Path, identity: str, shape: tuple[int, ...], make: Make
) -> None:
    rows, told = people.rows("train"), path.with_suffix(".json")
    files = people.index["file"].to_numpy()[rows].tolist()
    told.unlink(missing_ok=True)
    require_space(layout.store, int(np.prod(shape, dtype=np.int64)))
    topology, placed = body_source(layout, files, way)

    def read(place: int) -> UInt8[np.ndarray, "..."]:
        return make(people.pictures[rows[place]], partial(placed, place), topology)

    bad = fill_array(path, shape, read, identity=identity, bad=MeshError, leave_out=False, what=path.stem)
    place_array(path)
    write_json(told, {"identity": identity, "without": {files[place]: reason for place, reason in bad.items()}})
    if bad:
        print(f"{len(bad)} of {len(rows)} training pictures have no surface to be carried over; see {told}", flush=True)
