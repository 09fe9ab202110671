"""A prepared dataset: the index, the decoded pictures and the mesh projections, row by row; refused when stale."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8

from gcl_core.config import Study
from gcl_core.data.index import DataError
from gcl_core.data.sources import Sources, changed_sources
from gcl_core.data.store import open_array
from gcl_core.files import known_hash, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.provenance import DATA, fingerprint
from gcl_core.settings.common import only

ARRAYS = ("index.csv", "pictures.npy", "projections.npy")


@dataclass(frozen=True)
class PersonSet:
    """Index and pixels of a dataset; row i of every array belongs to line i of the index.

    index: columns file, pid, camid, split (train, query, gallery), mesh (whether it has usable projections);
    pictures: uint8 (N, H, W, 3); projections: uint8 (N, 8, H, W), yaw 0, 45 … 315, all zero where mesh is false;
    fingerprint: hash of all three.
    """

    index: pd.DataFrame
    pictures: UInt8[np.ndarray, "n h w 3"]
    projections: UInt8[np.ndarray, "n 8 h w"]
    fingerprint: str

    def rows(self, split: str) -> Int64[np.ndarray, " m"]:
        """Return the rows of `train`, `query` or `gallery`, in listing order."""
        return np.flatnonzero(self.index["split"] == split)

    def with_mesh(self, rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " k"]:
        """Return those of `rows` that have usable mesh projections: what views can be drawn of."""
        return rows[self.index["mesh"].to_numpy(dtype=bool)[rows]]


def load_person_set(layout: Layout, *, profile: str | None = None) -> PersonSet:
    """Open a prepared set, memory-mapped; `profile` is the one whose notebook prepares it (None: the layout's).

    Raises DataError, which says what changed, when the set was not prepared, or for other settings, or when pictures or
    projections that the index names were added, taken away or replaced since (by names, sizes and times; a folder that
    is not there now, as on another machine, tells nothing), or when a file of the store has lost its size, or was
    written since and has lost its SHA-256.
    """
    store, described = layout.store, layout.store / "store.json"
    again = "run notebook 00_data_preparation with "
    again += f"profile {profile!r}" if profile else "the same profile and overrides"
    try:
        prepared = described.is_file()
    except PermissionError as error:  # another user's
        raise DataError(f"{described} cannot be read ({error.strerror}); give yourself the right to read it") from error
    if not prepared:
        raise DataError(f"{store} holds no prepared data; {again}, or `python -m gcl_core train PROFILE data`")
    facts = read_json(described)
    changes = [*_changed_settings(facts, layout.study), *changed_sources(layout, facts["sources"])]
    if changes:
        raise DataError(f"{store} is not up to date: {'; '.join(changes[:3])}; {again} again, or run the study")
    for name, recorded in facts["files"].items():
        size = (store / name).stat().st_size if (store / name).is_file() else 0
        if size != recorded["bytes"]:
            raise DataError(f"{store / name} has {size} bytes, prepared were {recorded['bytes']}; {again} again")
        newer = (store / name).stat().st_mtime_ns > described.stat().st_mtime_ns
        if newer and known_hash(store / name) != recorded["sha256"]:
            raise DataError(f"{store / name} was changed since it was prepared; {again} again")
    index = pd.read_csv(store / "index.csv")
    pictures, projections = open_array(store / "pictures.npy"), open_array(store / "projections.npy")
    return PersonSet(index, pictures, projections, stored_fingerprint(facts))


def stored_fingerprint(facts: dict[str, Any]) -> str:
    """Return the fingerprint of a prepared set as its store.json tells it, of which `facts` are the content."""
    return fingerprint([facts["files"][name]["sha256"] for name in ARRAYS])


def describe_store(layout: Layout, sources: Sources, hashes: dict[str, str], identity: str) -> None:
    """Write store.json: with it the arrays of a store, whose SHA-256 are `hashes`, count as prepared."""
    files = {name: {"bytes": (layout.store / name).stat().st_size, "sha256": hashes[name]} for name in ARRAYS}
    facts = {"fingerprint": identity, "settings": used_settings(layout.study), "files": files, "sources": sources}
    write_json(layout.store / "store.json", facts)


def used_settings(study: Study) -> dict[str, Any]:
    """Return the settings that decide what a store holds."""
    return only(study, set(DATA)).model_dump(mode="json")


def _changed_settings(facts: dict[str, Any], study: Study) -> list[str]:
    before, now = facts.get("settings", {}), used_settings(study)
    return [f"{key} was {before.get(key)}, is now {now[key]}" for key in now if before.get(key) != now[key]]
