"""Keypoints as pose estimators write them: COCO JSON of 17 points per person.

COCO JSON: `images` (`id`, `file_name`, `width`, `height`) and `annotations` (`image_id`, `keypoints` as 17 times
column, row, v). v = 2 says that the estimator trusts a point, 1 that it guessed it (occluded), 0 that it has none. A
file of results, in which no point has v = 2, is read with v = 1 as trusted. Points at (0, 0) or (-1, -1), which
estimators write for what they did not find, and points outside of their picture by more than its size count as v = 0.

Of several people in one picture the one with the highest `score` counts, then the largest `area`; crowd regions and
people without any point are no candidates.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from gcl_core.files import write_json
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.numbers import read_number, read_numbers, show, text_of
from gcl_core.mesh.stick_figure import POINTS

TRUST = np.array([0.0, 0.3, 1.0], dtype=np.float32)  # how far a point with v = 0, 1, 2 is believed
NOT_FOUND = ((0.0, 0.0), (-1.0, -1.0))  # where estimators put points that they did not find
LARGEST = 1e5  # pixels along a picture's side
GZIP = b"\x1f\x8b"  # how a gzipped file begins, whatever its name; no JSON does
SHARES = 1.5  # no person is so few pixels large: coordinates below are shares of the picture
MANY = 8  # of so many people, more than half are upright: of 10,678 in street pictures, 98 % were
UPPER, LOWER = slice(0, 7), slice(11, 17)  # of POINTS: face and shoulders; hips, knees and ankles

WANTED = "17 times column, row (pixels), v (0, 1 or 2) in one flat list of 51 numbers"
SIZE = f"the picture's size in pixels, above 0 and up to {LARGEST:g}"


@dataclass(frozen=True)
class Keypoints:
    """One person's POINTS in each of n pictures."""

    files: tuple[str, ...]  # as the estimator named the pictures
    heights: Float32[np.ndarray, " n"]  # of the pictures in which the points are given, pixels
    widths: Float32[np.ndarray, " n"]  # of the same; NaN where unknown
    points: Float32[np.ndarray, "n 17 2"]  # column, row in pixels
    weights: Float32[np.ndarray, "n 17"]  # 1 trusted, 0.3 guessed, 0 not there
    depths: Float32[np.ndarray, "n 17"]  # metres behind the hips' middle; NaN where unknown
    notes: tuple[str, ...] = ()  # how the file was read, where that is not as its numbers say

    def take(self, places: Sequence[int], files: Sequence[str]) -> "Keypoints":
        """Return those at `places`, in that order, under other names."""
        at = np.asarray(places, dtype=np.int64)
        return replace(
            self,
            files=tuple(files),
            heights=self.heights[at],
            widths=self.widths[at],
            points=self.points[at],
            weights=self.weights[at],
            depths=self.depths[at],
        )


class Person(NamedTuple):
    """One person in one picture: the picture's size in pixels, 17 times column, row, v, and how sure it is."""

    width: int
    height: int
    values: Sequence[float]
    score: float


class _Picture(NamedTuple):
    name: str
    width: float
    height: float


class _Candidate(NamedTuple):
    """One person of the file who has points."""

    rank: tuple[float, float]  # score, area
    values: Float[np.ndarray, "17 3"]  # column, row, v
    trusts: bool  # whether it has v = 2 anywhere
    displaced: int  # points that had v > 0 where no point can be


def read_coco(path: Path) -> Keypoints:
    """Read COCO keypoint JSON, plain or gzipped; its docstring above says what counts.

    Raises MeshError, with the picture's name: not such a file, other than 17 points per person, a number that is not
    finite or not of the size that a picture or a score has, coordinates that are shares and no pixels, people who lie
    or stand on their heads, a picture named twice, an annotation without picture, nobody with a point, categories whose
    17 points are not COCO's.
    """
    table = _read_json(path)
    if not isinstance(table, dict) or not {"images", "annotations"} <= set(table):
        raise MeshError(f"{path} is no COCO keypoint file: expected an object with `images` and `annotations`")
    _check_order(table.get("categories"), path)
    pictures = _pictures(table["images"], path)
    found: dict[Hashable, _Candidate] = {}
    passed, trusts = Counter[str](), False
    for number, note in enumerate(_records(table["annotations"], "annotations", path)):
        key = note.get("image_id")
        if not isinstance(key, Hashable) or key not in pictures:
            raise MeshError(
                f"{path}: annotation {number} names image {show(key)}, which is not among `images`"
                f"{_other_kind(key, pictures)}"
            )
        person = _candidate(note, pictures[key], f"{path}: {text_of(pictures[key].name)}", passed)
        if person is None:
            continue
        trusts |= person.trusts
        if key not in found or person.rank > found[key].rank:
            found[key] = person
    said = ", ".join(f"{count} {what}" for what, count in passed.items())
    if not found:
        raise MeshError(f"{path}: nobody in it has a point ({said or 'no annotation'}); expected `keypoints`: {WANTED}")
    kept = [key for key in pictures if key in found]
    values = np.array([found[key].values for key in kept])
    _check_upright(values, path)
    displaced = [found[key].displaced for key in kept]
    notes = ()
    if not trusts:
        notes += ("no point of the file has v = 2, as in files of results: v = 1 is read as labelled",)
    if any(displaced):
        notes += (
            f"{sum(displaced)} points of {np.count_nonzero(displaced)} pictures are taken as not found, whatever their "
            "v: they lie at (0, 0) or (-1, -1), or outside of the picture by more than its size",
        )
    if passed:
        notes += (f"no candidates for the person: {said}",)
    return Keypoints(
        files=tuple(pictures[key].name for key in kept),
        heights=np.array([pictures[key].height for key in kept], dtype=np.float32),
        widths=np.array([pictures[key].width for key in kept], dtype=np.float32),
        points=values[..., :2].astype(np.float32),
        weights=(TRUST if trusts else np.array([0, 1, 1], dtype=np.float32))[values[..., 2].astype(int)],
        depths=np.full(values.shape[:2], np.nan, dtype=np.float32),
        notes=notes,
    )


def write_coco(path: Path, people: Mapping[str, Person]) -> None:
    """Write COCO keypoint JSON of one person a picture, by the picture's path below the dataset's root."""
    images = [
        {"id": number, "file_name": file, "width": person.width, "height": person.height}
        for number, (file, person) in enumerate(people.items())
    ]
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "keypoints": list(person.values),
            "num_keypoints": sum(v > 0 for v in person.values[2::3]),
            "score": person.score,
        }
        for number, person in enumerate(people.values())
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(POINTS)}]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _check_order(categories: Any, path: Path) -> None:
    """Refuse a file whose categories name 17 points that are not COCO's, as those of PoseTrack and of animals are."""
    for category in categories if isinstance(categories, list) else ():
        names = category.get("keypoints") if isinstance(category, Mapping) else None
        if not isinstance(names, list) or len(names) != len(POINTS):
            continue
        for number, (name, expected) in enumerate(zip(names, POINTS, strict=True), 1):
            if "".join(filter(str.isalpha, str(name).lower())) != expected.replace("_", ""):
                raise MeshError(
                    f"{path}: point {number} of the category {show(category.get('name'))} is {show(name)}, in COCO it "
                    f"is {expected!r}; write the points in COCO's order, or leave out the category's `keypoints` where "
                    f"only their names differ: {', '.join(POINTS)}"
                )


def _pictures(listed: Any, path: Path) -> dict[Hashable, _Picture]:
    """Return the pictures of a file by their id."""
    pictures: dict[Hashable, _Picture] = {}
    names: set[str] = set()
    for number, line in enumerate(_records(listed, "images", path)):
        key, name = line.get("id"), line.get("file_name")
        if not isinstance(name, str) or not name:
            raise MeshError(f"{path}: image {number} has the `file_name` {show(name)}; expected the picture's path")
        if not isinstance(key, Hashable) or key is None:
            raise MeshError(f"{path}: {text_of(name)} has the `id` {show(key)}; expected a number of its own")
        if key in pictures or name in names:
            raise MeshError(
                f"{path}: {text_of(name)} or its id {show(key)} is named twice in `images`; each picture must stand "
                "there once"
            )
        where = f"{path}: {text_of(name)}"
        width, height = (read_number(line.get(side), where, side, SIZE, 0.5, LARGEST) for side in ("width", "height"))
        names.add(name)
        pictures[key] = _Picture(name, width, height)
    return pictures


def _other_kind(key: Any, pictures: Mapping[Hashable, _Picture]) -> str:
    """Return what to add to an error about an id where those of `images` are numbers and it is text, or the reverse."""
    for here, kind, there, others in (("text", str, "numbers", int | float), ("a number", int | float, "text", str)):
        if isinstance(key, kind) and pictures and all(isinstance(each, others) for each in pictures):
            return f": ids are {there} there and {here} here; write them alike, without quotes in both or with"
    return ""


def _candidate(note: Mapping[str, Any], picture: _Picture, where: str, passed: Counter[str]) -> _Candidate | None:
    """Return the person of an annotation; None for a crowd or a person without points, who are counted in `passed`."""
    score, area = (
        read_number(
            note.get(key, 0), where, key, f"a finite number; leave `{key}` out where there is none", -1e12, 1e12
        )
        for key in ("score", "area")
    )
    if note.get("iscrowd", 0) not in (0, 1):
        raise MeshError(f"{where}: iscrowd is {show(note['iscrowd'])}; expected 0 or 1")
    if note.get("iscrowd"):
        passed["crowd regions"] += 1
        return None
    given = note.get("keypoints")
    if given is None or given == []:
        passed["boxes without points"] += 1
        return None
    values = read_numbers(given, where, "keypoints", WANTED, most=np.inf)
    if values.shape != (3 * len(POINTS),):
        raise MeshError(f"{where}: keypoints have the shape {values.shape}; expected {WANTED}")
    values = values.reshape(len(POINTS), 3)
    if len(wrong := values[~np.isin(values[:, 2], (0, 1, 2)), 2]):
        raise MeshError(f"{where}: v must be 0, 1 or 2, found {wrong[0]:g}; a confidence belongs into `score`")
    labelled = values[:, 2] > 0
    strange = labelled & _displaced(values[:, :2], picture)
    seen = labelled & ~strange
    if not seen.any():
        passed["people without a point in the picture" if strange.any() else "people without a labelled point"] += 1
        return None
    if seen.sum() > 2 and np.abs(values[seen, :2]).max() <= SHARES:
        raise MeshError(
            f"{where}: all points lie within {SHARES} pixels of the corner, as shares of a picture do; expected "
            f"{WANTED}: multiply columns by the picture's width and rows by its height"
        )
    trusts = bool((values[seen, 2] == 2).any())
    values[~seen] = 0
    return _Candidate((score, area), values, trusts, int(strange.sum()))


def _displaced(points: Float[np.ndarray, "17 2"], picture: _Picture) -> Bool[np.ndarray, " 17"]:
    """Say of each point whether it lies where estimators put what they did not find, or far outside of the picture."""
    size = np.array([picture.width, picture.height])
    outside = (points < -size) | (points > 2 * size)
    return outside.any(axis=1) | np.any(
        [np.isclose(points, place, rtol=0, atol=0.01).all(axis=1) for place in NOT_FOUND], axis=0
    )


def _check_upright(values: Float[np.ndarray, "n 17 3"], path: Path) -> None:
    """Refuse a file most of whose people lie or stand on their heads: its axes are not those of pictures."""
    seen = values[..., 2] > 0
    both = seen[:, UPPER].any(axis=1) & seen[:, LOWER].any(axis=1)
    points = np.where(seen[..., None], values[..., :2], np.nan)[both]
    across, down = (np.nanmean(points[:, LOWER], axis=1) - np.nanmean(points[:, UPPER], axis=1)).T
    lying, upturned = int(np.sum(np.abs(across) >= np.abs(down))), int(np.sum(-down > np.abs(across)))
    if len(points) < MANY or lying + upturned <= len(points) / 2:
        return
    what, advice = "lie on their side", "are columns and rows swapped, or the pictures turned?"
    if upturned > lying:
        what, advice = "stand on their heads", "are rows counted from the bottom?"
    raise MeshError(
        f"{path}: by their points, {max(lying, upturned)} of {len(points)} people {what}; {advice} Expected {WANTED}, "
        "rows counted from the picture's top"
    )


def _records(listed: Any, what: str, path: Path) -> Iterator[dict[str, Any]]:
    if not isinstance(listed, list):
        raise MeshError(f"{path}: `{what}` is {show(listed)}; expected a list of objects")
    for number, record in enumerate(listed):
        if not isinstance(record, dict):
            raise MeshError(f"{path}: entry {number} of `{what}` is {show(record)}; expected an object")
        yield record


def _read_json(path: Path) -> Any:
    try:
        data = path.read_bytes()
        return json.loads((gzip.decompress(data) if data.startswith(GZIP) else data).decode("utf-8-sig"))
    except (OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
        raise MeshError(f"{path} cannot be read as JSON ({error}); give the pose estimator's COCO file") from error
