"""What a prepared set is made from: names, sizes and times of the files that the index names, and of no others."""

import hashlib
import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.data.index import PICTURE_SUFFIXES, DataError, read_index
from gcl_core.data.names import mesh_names
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS, projection_folder
from gcl_core.provenance import fingerprint

SUFFIXES = tuple(PICTURE_SUFFIXES)

Meshes = dict[str, dict[str, list[int]] | None]  # folder below the mesh root → its files, None: absent; {}: not wanted
Sources = dict[str, Any]  # index → its hash; pictures, meshes → folder → see `describe_source`


@cache
def mesh_folders(split: str) -> tuple[str, ...]:
    """Return the eight folders, below a mesh root, that hold the projections of a split's pictures."""
    side = "train" if split == "train" else "test"
    return tuple(projection_folder(Path(), side, yaw).as_posix() for yaw in YAWS)


def list_meshes(mesh_root: Path, index: pd.DataFrame) -> Meshes:
    """Return the projections of the pictures in `index` that each folder holds; None where there is no such folder.

    Raises DataError when a folder cannot be read.
    """
    found, own = Meshes(), mesh_names(index)
    for split in ("train", "gallery"):
        side = index.loc[(index["split"] == "train") == (split == "train"), "file"]
        names = {*side, *(own[file] for file in side)}
        found |= {folder: _stamps(mesh_root / folder, names) for folder in mesh_folders(split)}
    return found


def list_names(folder: Path, names: Collection[str]) -> list[str]:
    """Return the names of a folder's pictures, and those of `names`, as `hall/1.jpg`, that lie in folders below it.

    There are none where there is no folder. Raises DataError as `list_meshes`.
    """
    try:
        here = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error
    below = [name for name in names if "/" in name and name.partition("/")[0] in here and (folder / name).is_file()]
    return [name for name in here if name.lower().endswith(SUFFIXES) and not name.startswith(".")] + below


def describe_sources(layout: Layout, index: pd.DataFrame, meshes: Meshes) -> Sources:
    """Return what is recorded of all that a store is made from: index, pictures by folder, projections by folder."""
    stamps: dict[str, dict[str, list[int]]] = {}
    for file in index["file"]:
        stamps.setdefault(file.partition("/")[0], {})[file] = _stamp(layout.data_root / file)
    return {
        "index": fingerprint(index.to_csv(index=False)),
        "pictures": {name: describe_source(listed) for name, listed in stamps.items()},
        "meshes": {name: None if listed is None else describe_source(listed) for name, listed in meshes.items()},
    }


def source_state(layout: Layout, *, projections: bool = True) -> str:
    """Return a fingerprint of what the pictures' folder and the projections hold now, for the DAG.

    It is empty for people that the study makes, and that of what was recorded when the data were prepared where the
    folder is not there, as on another machine. Where the folder cannot be listed it is one of the reason.
    """
    if layout.study.dataset == "synthetic" and layout.study.data_root is None:
        return ""
    try:
        return fingerprint(_sources_now(layout, _recorded(layout), projections))
    except DataError as error:
        return fingerprint(str(error))


def changed_sources(layout: Layout, recorded: Sources) -> list[str]:
    """Return what changed, in words, since `recorded`; a folder that is not there now tells nothing.

    Nothing is told either where nothing was recorded.
    """
    if not recorded:
        return []
    try:
        now = _sources_now(layout, recorded, bool(recorded.get("meshes")))
    except DataError as error:
        return [str(error)]
    if now == recorded:
        return []
    changes = []
    for root, kind in ((layout.data_root, "pictures"), (layout.mesh_root, "meshes")):
        for name in recorded[kind] | now[kind]:
            before, after = recorded[kind].get(name), now[kind].get(name)
            if after != before:
                changes.append(_change(root / name, before, after))
    return changes or [f"what names or tables in {layout.data_root} say of the pictures was changed"]


def list_source(path: Path) -> dict[str, list[int]]:
    """Return size and time of every picture in a folder and below, or of one file, by relative path.

    Raises DataError when it cannot be read.
    """
    if path.is_file():
        return {path.name: _stamp(path)}
    found: dict[str, list[int]] = {}
    waiting = [""]
    try:
        while waiting:
            below = waiting.pop()
            with os.scandir(path / below) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(f"{below}{entry.name}/")
                    elif entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith("."):
                        found[f"{below}{entry.name}"] = _stamp(entry)
    except OSError as error:
        raise _unreadable(path, error) from error
    return found


def describe_source(listed: dict[str, list[int]]) -> dict[str, Any]:
    """Return what is recorded of a listed folder: the number of its files, a hash of their names, sizes and times."""
    digest = hashlib.sha256()
    for name in sorted(listed):
        digest.update(f"{name}\0{listed[name]}\n".encode())
    return {"files": len(listed), "sha256": digest.hexdigest()[:16]}


def _sources_now(layout: Layout, recorded: Sources, projections: bool) -> Sources:
    """Return what the folders hold now; of those that are not there what was recorded of them."""
    pictures, meshes = recorded.get("pictures"), recorded.get("meshes")
    if pictures and not any(os.path.exists(layout.data_root / name) for name in pictures):
        return recorded
    index = read_index(layout.study.dataset, layout.data_root)
    now = describe_sources(layout, index, list_meshes(layout.mesh_root, index) if projections else {})
    if projections and meshes and not os.path.exists(layout.mesh_root):
        now["meshes"] = meshes
    return now


def _recorded(layout: Layout) -> Sources:
    try:
        return read_json(layout.store / "store.json").get("sources", {})
    except RunError:  # not prepared yet
        return {}


def _change(path: Path, before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if after is None:
        return f"{path} is not read any more"
    if before is None:
        return f"{path} was not there, now holds {after['files']} files"
    if after["files"] != before["files"]:
        return f"{path} held {before['files']} files, now {after['files']}"
    return f"files in {path} were replaced or renamed"


def _stamps(folder: Path, names: set[str]) -> dict[str, list[int]] | None:
    """Return size and time of those files of the names that are in a folder or below; None when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            here = {entry.name: entry for entry in entries}
            found = {name: _stamp(here[name]) for name in names & here.keys()}
            for name in names:  # such as hall/1.jpg
                if "/" in name and name.partition("/")[0] in here and (stamp := _stamp(folder / name)):
                    found[name] = stamp
            return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(folder, error) from error


def _stamp(entry: "os.DirEntry[str] | Path") -> list[int]:
    """Size and time of a file: enough to notice that it was changed. What cannot be reached has none; reading tells."""
    try:
        facts = entry.stat()
    except OSError:
        return []
    return [facts.st_size, facts.st_mtime_ns]


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{error.filename or path} cannot be read ({error.strerror or error}); give yourself the right to read it, or "
        "copy it anew"
    )
