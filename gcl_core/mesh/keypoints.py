"""Keypoints as pose estimators write them: COCO JSON (17 points), and BlazePose's 33 points with depth.

COCO JSON: `images` (`id`, `file_name`, `width`, `height`) and `annotations` (`image_id`, `keypoints` as 17 times
column, row, v). v = 2 says that the estimator trusts a point, 1 that it guessed it (occluded), 0 that it has none. Of
several people in one picture the one with the highest `score` counts, then the largest `area`.
"""

import gzip
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from gcl_core.files import write_json
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.stick_figure import POINTS

TRUST = np.array([0.0, 0.3, 1.0], dtype=np.float32)  # how far a point with v = 0, 1, 2 is believed
# where POINTS stand among BlazePose's 33 landmarks
BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)


@dataclass(frozen=True)
class Keypoints:
    """One person's POINTS in each of n pictures."""

    files: tuple[str, ...]  # as the estimator named the pictures
    heights: Float32[np.ndarray, " n"]  # of the pictures in which the points are given, pixels
    points: Float32[np.ndarray, "n 17 2"]  # column, row in pixels
    weights: Float32[np.ndarray, "n 17"]  # 1 trusted, 0.3 guessed, 0 not there
    depths: Float32[np.ndarray, "n 17"]  # metres behind the hips' middle; NaN where unknown

    def take(self, places: Sequence[int], files: Sequence[str]) -> "Keypoints":
        """Return those at `places`, in that order, under other names."""
        at = np.asarray(places, dtype=np.int64)
        return Keypoints(tuple(files), self.heights[at], self.points[at], self.weights[at], self.depths[at])


class Person(NamedTuple):
    """One person in one picture: the picture's size in pixels, 17 times column, row, v, and how sure it is."""

    width: int
    height: int
    values: Sequence[float]
    score: float


def read_coco(path: Path) -> Keypoints:
    """Read COCO keypoint JSON, plain or gzipped.

    Raises MeshError: not such a file, other than 17 points a person, a number that is not finite, a picture named
    twice, an annotation without picture.
    """
    table = _read_json(path)
    if not isinstance(table, dict) or not {"images", "annotations"} <= set(table):
        raise MeshError(f"{path} is no COCO keypoint file: expected an object with `images` and `annotations`")
    try:
        pictures = {line["id"]: (str(line["file_name"]), float(line["height"])) for line in table["images"]}
        people = sorted(table["annotations"], key=_rank)
        best = {line["image_id"]: np.asarray(line["keypoints"], dtype=np.float32) for line in people}  # last one stays
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MeshError(
            f"{path}: an image or annotation lacks or garbles {error}; see COCO's keypoint format"
        ) from error
    if len({name for name, _ in pictures.values()}) < len(table["images"]):
        raise MeshError(f"{path} names a picture, or uses an id, twice in `images`; each picture must stand there once")
    if strange := [key for key in best if key not in pictures]:
        raise MeshError(f"{path}: annotations name image {strange[0]!r}, which is not among `images`")
    if wrong := [key for key, values in best.items() if values.shape != (3 * len(POINTS),)]:
        raise MeshError(
            f"{path}: image {wrong[0]!r} has {best[wrong[0]].size} keypoint numbers; expected 17 times column, row, v"
        )
    best = {key: best[key] for key in pictures if key in best}
    values = np.array([best[key] for key in best], dtype=np.float32).reshape(-1, len(POINTS), 3)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all((1, 2)))[0])
        raise MeshError(
            f"{path}: image {list(best)[row]!r} has a keypoint that is no finite number; write v = 0 instead"
        )
    if not np.isin(values[..., 2], (0, 1, 2)).all():
        raise MeshError(f"{path}: v must be 0, 1 or 2; a confidence belongs into `score`")
    heights = np.array([pictures[key][1] for key in best], dtype=np.float32)
    if not (heights > 0).all():
        raise MeshError(f"{path}: a picture of height 0 or less in `images`")
    return Keypoints(
        files=tuple(pictures[key][0] for key in best),
        heights=heights,
        points=values[..., :2],
        weights=TRUST[values[..., 2].astype(int)],
        depths=np.full(values.shape[:2], np.nan, dtype=np.float32),
    )


def add_depths(keypoints: Keypoints, path: Path) -> Keypoints:
    """Return keypoints with the depths of BlazePose's world landmarks: an `.npz` with `files` and `world`.

    `world` (n, 33, 4) holds metres right, down and away from the camera, hips' middle at the origin, and a visibility;
    NaN where nobody was found. Pictures that it does not name keep unknown depths. Raises MeshError for another file.
    """
    try:
        with np.load(path, allow_pickle=False) as table:
            names, world = [str(name) for name in table["files"]], np.asarray(table["world"], dtype=np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MeshError(
            f"{path} is no file of 3D keypoints ({error}); expected an .npz with `files` and `world`"
        ) from error
    if world.shape[1:] != (33, 4) or len(names) != len(world):
        raise MeshError(f"{path}: world has shape {world.shape} for {len(names)} files; expected (n, 33, 4)")
    rows = {name: row for row, name in enumerate(names)}
    depths = keypoints.depths.copy()
    for place, name in enumerate(keypoints.files):
        if name in rows:
            depths[place] = world[rows[name]][list(BLAZEPOSE), 2]
    return replace(keypoints, depths=depths)


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


def _rank(annotation: Mapping[str, Any]) -> tuple[float, float]:
    return float(annotation.get("score", 0)), float(annotation.get("area", 0))


def _read_json(path: Path) -> Any:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                return json.load(stream)
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, EOFError, ValueError) as error:
        raise MeshError(f"{path} cannot be read as JSON ({error}); give the pose estimator's COCO file") from error
