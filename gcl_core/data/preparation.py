"""From a folder of pictures and meshes to a prepared set: list, check, decode, store."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gcl_core.data.index import SPLITS, DataError, read_index, some_of
from gcl_core.data.names import mesh_names
from gcl_core.data.people.make import make_people
from gcl_core.data.person_set import (
    ARRAYS,
    PersonSet,
    describe_store,
    load_person_set,
    used_settings,
)
from gcl_core.data.pictures import BadPictureError, read_picture
from gcl_core.data.released import BadProjectionError, read_projection
from gcl_core.data.sources import Meshes, Sources, describe_sources, list_meshes, mesh_folders
from gcl_core.data.store import fill_array, partial_path, place_array, require_space
from gcl_core.files import RunError, concerns, hash_file, held, read_json, remove_scraps, why, write_text
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS
from gcl_core.provenance import DATA, fingerprint
from gcl_core.settings.common import only

QUARANTINE, WITHOUT_MESH = "quarantine.csv", "without_mesh.csv"
PICTURES, PROJECTIONS = "pictures.npy", "projections.npy"
HANDED = {*DATA, "profile"}  # the settings that a preparation can read
ABSENT = "no projection of it"  # usual for test pictures: only training meshes were released (§1.3)


def prepare_data(layout: Layout, *, projections: bool = True, workers: int | None = None) -> PersonSet:
    """Make what is missing (synthetic people, index, decoded arrays) and return the prepared set; resumes.

    A finished store is verified by its checksums and left as it is. Pictures that cannot be read stop the preparation
    or, with `on_bad_picture: skip`, are left out and listed in quarantine.csv. Pictures without eight usable
    projections are listed in without_mesh.csv; with `on_missing_mesh: stop` no training picture may be among them, and
    no test picture of which some are there (§1.3). Without `projections` none are read, asked for or stored.
    Raises DataError for wrong folders, names, pictures or meshes, RunError for a full disk or a store in use.
    """
    study, store = only(layout.study, HANDED), layout.store
    layout = replace(layout, study=study)
    if study.dataset == "synthetic" and study.data_root is None:
        size = study.picture
        make_people(layout.data_root, study.people, height=size.height, width=size.width, workers=workers)
    index = read_index(study.dataset, layout.data_root)
    meshes = list_meshes(layout.mesh_root, index) if projections else {}
    names = _projection_names(index, meshes)
    lacks = [_missing(names[file], split, meshes) for file, split in zip(index["file"], index["split"], strict=True)]
    sources = describe_sources(layout, index, meshes)
    identity = fingerprint([sources, used_settings(study)])
    try:
        with held(store / ".lock", f"another process is preparing {store}"):
            remove_scraps(store)
            if not _is_intact(store, identity):
                for name in ("store.json", *ARRAYS, QUARANTINE, WITHOUT_MESH):
                    (store / name).unlink(missing_ok=True)
                _build(layout, index, names, lacks, sources, identity, workers)
    except OSError as error:
        if not concerns(error, store):
            raise
        raise RunError(f"cannot write in {store}: {why(error, store)}") from error
    _tell(store)
    return load_person_set(layout)


def _build(
    layout: Layout,
    index: pd.DataFrame,
    names: dict[str, str],
    lacks: list[str],
    sources: Sources,
    identity: str,
    workers: int | None,
) -> None:
    """Decode and store what `index` lists; `lacks` says of each picture which of its projections, `names`, are away."""
    store, height, width = layout.store, layout.study.picture.height, layout.study.picture.width
    _check_meshes(layout, index, lacks, sources)
    require_space(store, height * width * (3 * len(index) + len(YAWS) * lacks.count("")))
    bad = _decode_pictures(layout, index, sources, workers)
    _write_list(store / QUARANTINE, index, bad)
    kept = [row for row in range(len(index)) if row not in bad]
    index = index.iloc[kept].reset_index(drop=True)
    lacks = _decode_projections(layout, index, names, [lacks[row] for row in kept], sources, workers)
    if sources["meshes"]:
        _write_list(store / WITHOUT_MESH, index, {row: reason for row, reason in enumerate(lacks) if reason})
    write_text(store / "index.csv", index.assign(mesh=[not reason for reason in lacks]).to_csv(index=False))
    filled = {"index.csv": store / "index.csv"} | {n: partial_path(store / n) for n in (PICTURES, PROJECTIONS)}
    hashes = {name: hash_file(path) for name, path in filled.items()}
    for name in (PICTURES, PROJECTIONS):
        place_array(store / name)
    describe_store(layout, sources, hashes, identity)


def _decode_pictures(layout: Layout, index: pd.DataFrame, sources: Sources, workers: int | None) -> dict[int, str]:
    """Decode all pictures and return those that cannot be used: row → reason."""
    study, root, files = layout.study, layout.data_root, index["file"].tolist()
    height, width = study.picture.height, study.picture.width
    bad = fill_array(
        layout.store / PICTURES,
        (len(index), height, width, 3),
        lambda row: read_picture(root / files[row], height, width),
        identity=fingerprint([files, sources["pictures"]]),
        bad=BadPictureError,
        leave_out=True,
        what="pictures",
        workers=workers,
    )
    if bad and study.on_bad_picture == "stop":
        raise BadPictureError(
            f"{next(iter(bad.values()))}; {len(bad)} of {len(index)} pictures cannot be used. Replace them, or leave "
            f"them out by on_bad_picture=skip, which lists them in {layout.store / QUARANTINE}"
        )
    for split in SPLITS:
        rows = np.flatnonzero(index["split"] == split).tolist()
        if all(row in bad for row in rows):
            raise DataError(f"{root}: no picture of {split} can be used ({some_of(bad[row] for row in rows)})")
    return bad


def _decode_projections(
    layout: Layout,
    index: pd.DataFrame,
    names: dict[str, str],
    lacks: list[str],
    sources: Sources,
    workers: int | None,
) -> list[str]:
    """Decode the projections of pictures that lack none and return what each lacks, invalid projections included.

    Raises DataError as `_check_meshes` does.
    """
    height, width = layout.study.picture.height, layout.study.picture.width
    splits, files = index["split"].tolist(), index["file"].tolist()

    def projections(row: int) -> np.ndarray | None:
        if lacks[row]:
            return None
        paths = [layout.mesh_root / folder / names[files[row]] for folder in mesh_folders(splits[row])]
        return np.stack([read_projection(path, height, width) for path in paths])

    invalid = fill_array(
        layout.store / PROJECTIONS,
        (len(index), len(YAWS), height, width),
        projections,
        identity=fingerprint([files, lacks, sources["meshes"]]),
        bad=BadProjectionError,
        leave_out=False,
        what="projections",
        workers=workers,
    )
    lacks = [invalid.get(row, reason) for row, reason in enumerate(lacks)]
    _check_meshes(layout, index, lacks, sources)
    return lacks


def _projection_names(index: pd.DataFrame, meshes: Meshes) -> dict[str, str]:
    """Return each picture's name below the folders of projections: its whole path where any of them has that."""
    paths = {name for listed in meshes.values() for name in listed or ()}
    return {file: file if file in paths else name for file, name in mesh_names(index).items()}


def _missing(name: str, split: str, meshes: Meshes) -> str:
    """Return which projections of that name are not there; nothing when all are."""
    folders = mesh_folders(split)
    missing = [folder for folder in folders if name not in (meshes.get(folder) or {})]
    return ABSENT if len(missing) == len(folders) else f"missing in {some_of(missing)}" if missing else ""


def _check_meshes(layout: Layout, index: pd.DataFrame, lacks: list[str], sources: Sources) -> None:
    """Raise DataError when no training picture has usable projections, or under `stop` one lacks what it must have.

    Nothing is asked for where projections are not wanted.
    """
    if not sources["meshes"]:
        return
    lines = list(zip(index["file"], index["split"] == "train", lacks, strict=True))
    where = (
        f"they are expected in {layout.mesh_root}/train (test), in render and render_45 … render_315, each under its "
        "picture's own name: make them by `python -m gcl_core fit-bodies`, or put the released ones there"
    )
    if all(reason for _, training, reason in lines if training):
        reasons = some_of(f"{file}: {reason}" for file, training, reason in lines if training)
        raise DataError(f"no training picture has its eight projections ({reasons}); {where}")
    wrong = [f"{file}: {reason}" for file, training, reason in lines if reason and (training or reason != ABSENT)]
    if wrong and layout.study.on_missing_mesh == "stop":
        raise DataError(
            f"{len(wrong)} pictures have no usable projections ({some_of(wrong)}); {where}. "
            "on_missing_mesh=leave_out draws no views of them"
        )


def _write_list(path: Path, index: pd.DataFrame, reasons: dict[int, str]) -> None:
    """Write which pictures are left out, and why; no file when there are none."""
    if reasons:
        lines = index.iloc[list(reasons)].assign(reason=list(reasons.values()))
        write_text(path, lines.to_csv(index=False, columns=["file", "split", "reason"]))


def _is_intact(store: Path, identity: str) -> bool:
    """Whether a store holds what it should, down to the bytes."""
    try:
        facts = read_json(store / "store.json")
    except RunError:  # not there, or broken
        return False
    if facts.get("fingerprint") != identity:
        return False
    there = {name: (store / name).is_file() and hash_file(store / name) for name in ARRAYS}
    broken = [name for name, found in there.items() if found != facts["files"][name]["sha256"]]
    if broken:
        print(f"{store}: {', '.join(broken)} missing or damaged (other checksum than recorded); decoding anew")
    return not broken


def _tell(store: Path) -> None:
    """Print how many pictures are left out, and of how many no view can be drawn."""
    for name, text in (
        (QUARANTINE, "cannot be used and are left out"),
        (WITHOUT_MESH, "have no usable projections: they are clustered and evaluated, but no view of them is drawn"),
    ):
        if (store / name).is_file():
            training = pd.read_csv(store / name)["split"] == "train"
            print(f"{training.sum()} training and {(~training).sum()} test pictures {text}; see {store / name}")
