"""A prepared dataset: the index, the decoded pictures and the mesh projections, row by row; refused when stale."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8

from gcl_core.config import Study
from gcl_core.data.index import PICTURE_SUFFIXES, DataError
from gcl_core.data.store import open_array
from gcl_core.files import read_json, write_json
from gcl_core.layout import Layout
from gcl_core.provenance import DATA, fingerprint
from gcl_core.settings.common import only

ARRAYS = ("index.csv", "pictures.npy", "projections.npy")

Sources = dict[str, dict[str, dict[str, Any] | None]]  # pictures, meshes → folder → see `describe_source`


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
    projections were added, taken away or replaced since (by names, sizes and times; a folder that is not there now, as
    on another machine, tells nothing), or when a file of the store has lost its size.
    """
    store, described = layout.store, layout.store / "store.json"
    again = f"run notebook 00_data_preparation with profile {(profile or layout.study.profile)!r}"
    if not described.is_file():
        raise DataError(f"{store} holds no prepared data; {again}")
    facts = read_json(described)
    changes = [*_changed_settings(facts, layout.study), *_changed_sources(facts, layout)]
    if changes:
        raise DataError(f"{store} is not up to date: {'; '.join(changes[:3])}; {again} again")
    for name, recorded in facts["files"].items():
        size = (store / name).stat().st_size if (store / name).is_file() else 0
        if size != recorded["bytes"]:
            raise DataError(f"{store / name} has {size} bytes, prepared were {recorded['bytes']}; {again} again")
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


def list_source(path: Path) -> dict[str, list[int]]:
    """Return size and time of every picture in a folder and below, or of one file, by relative path.

    Raises DataError when it cannot be read.
    """
    if path.is_file():
        return {path.name: _stamp(path)}
    found: dict[str, list[int]] = {}
    waiting, suffixes = [""], tuple(PICTURE_SUFFIXES)
    try:
        while waiting:
            below = waiting.pop()
            with os.scandir(path / below) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(f"{below}{entry.name}/")
                    elif entry.name.lower().endswith(suffixes) and not entry.name.startswith("."):
                        found[f"{below}{entry.name}"] = _stamp(entry)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read ({error.strerror or error})") from error
    return found


def describe_source(listed: dict[str, list[int]]) -> dict[str, Any]:
    """Return what is recorded of a listed folder: the number of its files, a hash of their names, sizes and times."""
    digest = hashlib.sha256()
    for name in sorted(listed):
        digest.update(f"{name}\0{listed[name]}\n".encode())
    return {"files": len(listed), "sha256": digest.hexdigest()[:16]}


def _stamp(entry: "os.DirEntry[str] | Path") -> list[int]:
    """Size and time of a file: enough to notice that it was changed. A link that leads nowhere has none."""
    try:
        facts = entry.stat()
    except FileNotFoundError:
        return []
    return [facts.st_size, facts.st_mtime_ns]


def _changed_settings(facts: dict[str, Any], study: Study) -> list[str]:
    before, now = facts.get("settings", {}), used_settings(study)
    return [f"{key} was {before.get(key)}, is now {now[key]}" for key in now if before.get(key) != now[key]]


def _changed_sources(facts: dict[str, Any], layout: Layout) -> list[str]:
    changes = []
    for root, recorded in ((layout.data_root, "pictures"), (layout.mesh_root, "meshes")):
        for name, before in facts.get("sources", {}).get(recorded, {}).items():
            path = root / name
            now = describe_source(list_source(path)) if path.exists() else None
            if now is None or now == before:
                continue
            if before is None:
                changes.append(f"{path} was not there, now holds {now['files']} files")
            elif now["files"] != before["files"]:
                changes.append(f"{path} held {before['files']} files, now {now['files']}")
            else:
                changes.append(f"files in {path} were replaced or renamed")
    return changes
