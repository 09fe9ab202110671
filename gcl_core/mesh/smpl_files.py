"""SMPL parameters as estimators of the HMR family write them: one file for a set of pictures, or a folder of files.

A set is one .npz or .pkl: either arrays whose first axis runs over N pictures, with their names beside them (`files`,
`imgname`, `image_name` or `file_name`), or a dict picture name -> its people (ROMP's video_results.npz, PHALP's .pkl).
A folder holds one .npz or .pkl for each picture, which has its name (`0002_c1.npz` or `0002_c1.jpg.npz`), also in
subfolders, or sets, or both as ROMP leaves them: a set that repeats what the pictures' own files say is passed over.
So are hidden files and folders, such as the `._0002_c1.npz` of a Mac. Linked subfolders are searched.
What describes a picture's people is in `smpl_people`; of several the best scored is taken, without scores the first.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gcl_core.files import files_below
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.numbers import read_numbers, text_of
from gcl_core.mesh.plain_files import SUFFIXES, read_names, read_plain
from gcl_core.mesh.smpl import SmplBodies, face_camera_axes
from gcl_core.mesh.smpl_people import (
    NESTS,
    PARTS,
    POSES,
    SCORES,
    SHAPES,
    SUBJECT,
    People,
    first_key,
    flatten,
    keys_text,
    read_people,
    unpack,
)

NAMES = ("files", "imgname", "image_name", "file_name")
VIDEO = "sequence_results"  # beside `results` where simple_romp names every picture .png, whatever it was
PICTURES = (".jpg", ".jpeg", ".png")
_SAME = 0.02  # largest difference between matrices that say the same, one of them in half precision


@dataclass(frozen=True)
class _Body:
    """One picture's person, and where it was read."""

    name: str
    source: Path
    own: bool  # whether the file is this picture's alone
    betas: Float[np.ndarray, " 10"]
    rotations: Float[np.ndarray, "24 3 3"]
    camera: Float[np.ndarray, " 3"]
    people: int  # in the picture; 0: nobody, and no body


def read_smpl(path: Path) -> SmplBodies:
    """Return one body a picture, sorted by name, from a set's file or a folder of files (this module's docstring).

    Bodies that stand on their head are read as axes with y up (smpl.face_camera_axes). Nothing in a file is run.
    Pictures without people, people tracked by number only, and several people in a picture are counted and told.

    Raises MeshError: nothing to read, a broken file, what `read_people` refuses, names missing, of another number than
    the bodies, or twice, nobody in any picture.
    """
    path = Path(path)
    try:
        found = _without_repeats(list(_read_folder(path))) if path.is_dir() else list(_read_set(read_plain(path), path))
    except RecursionError as error:
        raise MeshError(f"{path} holds lists or dicts nested too deeply; expected a dict of arrays") from error
    bodies = sorted((body for body in found if body.people), key=lambda body: body.name)
    if not bodies:
        raise MeshError(f"{path}: nobody was found in its {len(found)} pictures")
    twice = [name for name, count in Counter(body.name for body in bodies).items() if count > 1]
    if twice:
        sources = " and ".join(sorted({str(body.source) for body in bodies if body.name == twice[0]}))
        raise MeshError(
            f"{path}: {len(twice)} pictures are named twice, e.g. {text_of(twice[0])} in {sources}; keep one body of "
            "each, or give scores"
        )
    if empty := len(found) - len(bodies):
        print(f"{path}: {empty} pictures show nobody, as the estimator says")
    if crowded := sum(body.people > 1 for body in bodies):
        print(f"{path}: {crowded} pictures show several people; the one with the best score, else the first, is taken")
    betas = np.stack([body.betas for body in bodies]).astype(np.float32)
    rotations = np.stack([body.rotations for body in bodies]).astype(np.float32)
    cameras = np.stack([body.camera for body in bodies]).astype(np.float32)
    try:
        return face_camera_axes(SmplBodies(tuple(body.name for body in bodies), betas, rotations, cameras))
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error


def _read_folder(folder: Path) -> Iterator[_Body]:
    there = files_below(folder).values()
    files = sorted(file for file in there if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise MeshError(
            f"{folder} holds no {' or '.join(SUFFIXES)}; expected one file per picture, with its name, or a "
            "file of a set. Surfaces (.obj), which the demo of 4D-Humans saves, hold no pose"
        )
    for file in files:
        content = read_plain(file)
        if _is_tracks(content):
            print(f"{file}: passed over, it holds people by their track's number and not by picture")
        elif _is_set(content):
            yield from _read_set(content, file)
        else:
            name = file.relative_to(folder).with_suffix("").as_posix()
            yield _best(name, read_people(content, str(file)), file, own=True)


def _read_set(content: Any, path: Path) -> Iterator[_Body]:
    if _is_tracks(content):
        raise MeshError(
            f"{path} holds people by their track's number and not by picture; give the file, or the folder of files, "
            "that names the pictures"
        )
    pictures = _pictures(content)
    if pictures is not None:
        renamed = isinstance(content, Mapping) and VIDEO in content
        for name, people in zip(read_names(list(pictures), str(path)), pictures.values(), strict=True):
            name = name.removesuffix(".png") if renamed else name
            yield _best(name, read_people(people, f"{path}, {text_of(name)}"), path, own=False)
        return
    found = flatten(content, str(path))
    key = first_key(found, NAMES)
    if key is None:
        raise MeshError(
            f"{path} does not name its pictures: expected an array {', '.join(NAMES[:-1])} or {NAMES[-1]}, or a dict "
            f"picture name -> parameters; found {keys_text(found)}"
        )
    names = read_names(found[key], f"{path}: {key}")
    people = _read_rows(found, names, path)
    if len(names) != len(people.rotations):
        raise MeshError(f"{path}: {len(names)} names in {key} but {len(people.rotations)} bodies; both count pictures")
    rows: dict[str, list[int]] = {name: [] for name in names}
    for row in _with_smpl(found, len(names), path):
        rows[names[row]].append(row)
    scores = people.scores
    for name, places in rows.items():
        if not places:
            yield _nobody(name, path, own=False)
            continue
        best = places if scores is None else [max(places, key=scores.__getitem__)]
        for row in best:
            many = 1 if scores is None else len(places)
            yield _Body(name, path, False, people.betas[row], people.rotations[row], people.cameras[row], many)


def _read_rows(found: Mapping, names: list[str], path: Path) -> People:
    """Return the people of a set of arrays; where some pictures are wrong, the error names the first of them."""
    try:
        return read_people(found, str(path))
    except MeshError as error:
        of_all = error
    wrong = []
    for row, name in enumerate(names):
        try:
            read_people({key: _row(each, row, len(names)) for key, each in found.items()}, f"{path}, {text_of(name)}")
        except MeshError as error:
            wrong.append(error)
    raise wrong[0] if 0 < len(wrong) < len(names) else of_all


def _row(values: Any, row: int, count: int) -> Any:
    """Return what an array or list over `count` pictures says of one; anything else as it is."""
    over_pictures = (isinstance(values, list) or (isinstance(values, np.ndarray) and values.ndim)) and len(
        values
    ) == count
    return values[row] if over_pictures else values


def _with_smpl(found: Mapping, count: int, path: Path) -> list[int]:
    """Return which rows hold a body: SPIN's files say so in `has_smpl`, all do where that is not there."""
    if "has_smpl" not in found:
        return list(range(count))
    has = read_numbers(found["has_smpl"], str(path), "has_smpl", "[N], 0 or 1", most=1.0).ravel()
    if len(has) != count:
        raise MeshError(f"{path}: has_smpl holds {len(has)} numbers for {count} pictures")
    return np.flatnonzero(has).tolist()


def _without_repeats(found: list[_Body]) -> list[_Body]:
    """Return a folder's bodies without those of sets that say again what a picture's own file beside them says."""
    own = {(body.source.parent, _stem(body.name)): body for body in found if body.own}
    return [body for body in found if body.own or not _says_same(body, own.get((body.source.parent, _stem(body.name))))]


def _says_same(body: _Body, own: _Body | None) -> bool:
    return (
        own is not None
        and body.people == own.people
        and bool(np.abs(body.rotations - own.rotations).max(initial=0) < _SAME)
    )


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return next((base[: -len(end)] for end in PICTURES if base.lower().endswith(end)), base)


def _best(name: str, people: People, source: Path, *, own: bool) -> _Body:
    count = len(people.rotations)
    if not count:
        return _nobody(name, source, own=own)
    best = people.best()
    return _Body(name, source, own, people.betas[best], people.rotations[best], people.cameras[best], count)


def _nobody(name: str, source: Path, *, own: bool) -> _Body:
    return _Body(name, source, own, np.zeros(10), np.zeros((24, 3, 3)), np.full(3, np.nan), 0)


def _is_set(content: Any) -> bool:
    found = unpack(content)
    return _pictures(found) is not None or (isinstance(found, Mapping) and first_key(found, NAMES) is not None)


def _pictures(content: Any) -> Mapping | None:
    """Return a dict picture name -> people, which may lie under `results`; None where a file holds no such dict."""
    found = unpack(content)
    if not isinstance(found, Mapping):
        return None
    inner = unpack(found.get("results"))
    return next((each for each in (inner, found) if isinstance(each, Mapping) and _by_name(each)), None)


def _by_name(found: Mapping) -> bool:
    known = {*NESTS, *POSES, *PARTS, *SHAPES, *SCORES, *NAMES, VIDEO}
    return bool(found) and all(
        isinstance(key, str | bytes)
        and key not in known
        and not SUBJECT.fullmatch(str(key))
        and (isinstance(value, Mapping | list) or (isinstance(value, np.ndarray) and value.dtype == object))
        for key, value in found.items()
    )


def _is_tracks(content: Any) -> bool:
    """Whether a file holds people by the number of their track, as VIBE, PARE and ROMP (_ts_results) do for videos."""
    found = unpack(content)
    if isinstance(found, Mapping) and isinstance(inner := unpack(found.get("results")), Mapping):
        found = inner
    return (
        isinstance(found, Mapping)
        and bool(found)
        and all(isinstance(key, int | np.integer) and isinstance(unpack(each), Mapping) for key, each in found.items())
    )
