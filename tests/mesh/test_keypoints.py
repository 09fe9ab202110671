"""Reading keypoints: what counts, and what is refused."""

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import Keypoints, Person, read_coco, write_coco
from gcl_core.mesh.stick_figure import POINTS

Change = Callable[[float, float], tuple[float, float]]  # of a point's column and row


def _table() -> dict[str, Any]:
    """Two pictures; the first has two people, of whom the second is the surer one."""
    images = [{"id": 7, "file_name": "query/a.jpg", "width": 64, "height": 128}]
    images.append({"id": 9, "file_name": "query/b.jpg", "width": 128, "height": 256})
    annotations = [
        {"image_id": image, "keypoints": [x for place in range(17) for x in (place + shift, 2 * place + 1, place % 3)]}
        | {"score": score}
        for image, shift, score in ((7, 10, 0.4), (7, 20, 0.9), (9, 30, 0.5))
    ]
    return {"images": images, "annotations": annotations, "categories": []}


def _write(path: Path, table: Any) -> Path:
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["k.json", "k.json.gz", "K.JSON.GZ"])
def test_the_surest_person_of_each_picture_is_read(tmp_path: Path, name: str, packed: bool):
    path = _write(tmp_path / name, _table())
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = read_coco(path)
    by_name = dict(zip(found.files, range(2), strict=True))
    assert set(by_name) == {"query/a.jpg", "query/b.jpg"}
    a, b = by_name["query/a.jpg"], by_name["query/b.jpg"]
    assert found.points[a, 4].tolist() == [24, 9]
    assert found.points[b, 4].tolist() == [34, 9]
    assert found.heights[[a, b]].tolist() == [128, 256]
    assert found.widths[[a, b]].tolist() == [64, 128]
    np.testing.assert_allclose(found.weights[a, :4], [0, 0.3, 1, 0])  # v = 0, 1, 2, 0
    assert np.isnan(found.depths).all()


def _spoilt(place: str) -> Any:
    table = copy.deepcopy(_table())
    match place:
        case "list":
            return [1, 2]
        case "no images":
            del table["images"]
        case "16 points":
            table["annotations"][2]["keypoints"] = [1, 1, 2] * 16
        case "text":
            table["annotations"][0]["keypoints"][4] = "left"
        case "nan":
            table["annotations"][2]["keypoints"][4] = float("nan")
        case "confidence":
            table["annotations"][2]["keypoints"][5] = 0.73
        case "no object":
            table["annotations"][1] = [7, 1, 2]
        case "stranger":
            table["annotations"][0]["image_id"] = 8
        case "text for numbers":
            table["annotations"][0]["image_id"] = "7"
        case "numbers for text":
            for image in table["images"]:
                image["id"] = str(image["id"])
        case "twice":
            table["images"][1]["file_name"] = "query/a.jpg"
        case "no height":
            del table["images"][0]["height"]
        case "flat":
            table["images"][1]["height"] = 0
        case "no width":
            table["images"][1]["width"] = None
        case "endless picture":
            table["images"][1]["width"] = 1e9
        case "no name":
            table["images"][1]["file_name"] = ""
        case "nested":
            values = table["annotations"][2]["keypoints"]
            table["annotations"][2]["keypoints"] = [values[3 * place : 3 * place + 3] for place in range(17)]
        case "null point":
            table["annotations"][2]["keypoints"][4] = None
        case "endless number":
            table["annotations"][2]["keypoints"][4] = 10**400
        case "no annotations":
            table["annotations"] = []
        case "no points at all":
            for note in table["annotations"]:
                note["keypoints"] = []
        case "annotations are no list":
            table["annotations"] = {"7": []}
        case "score null":
            table["annotations"][0]["score"] = None
        case "score nan":
            table["annotations"][2]["score"] = float("nan")
        case "score text":
            table["annotations"][0]["score"] = "0.9"
        case "score list":
            table["annotations"][0]["score"] = [0.9]
        case "score true":
            table["annotations"][0]["score"] = True
        case "area infinite":
            table["annotations"][0]["area"] = float("inf")
        case "crowd":
            table["annotations"][0]["iscrowd"] = "no"
        case "shares":
            table["annotations"][2]["keypoints"] = [x for _ in range(17) for x in (0.4, 0.7, 2)]
        case "shares about the middle":
            table["annotations"][2]["keypoints"] = [x for place in range(17) for x in (-0.4, place / 9 - 0.9, 2)]
    return table


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("list", "expected an object"),
        ("no images", "`images`"),
        ("16 points", r"query/b\.jpg: keypoints have the shape \(48,\); expected 17 times column, row"),
        ("text", r"query/a\.jpg: keypoints is no array of numbers"),
        ("nan", r"query/b\.jpg: keypoints holds 1 NaN or infinite numbers, first at \[4\]"),
        ("confidence", r"query/b\.jpg: v must be 0, 1 or 2"),
        ("no object", "entry 1 of `annotations` is .* expected an object"),
        ("stranger", "names image 8, which is not among `images`$"),
        (
            "text for numbers",
            "names image '7', .* among `images`: ids are numbers there and text here; write them alike",
        ),
        ("numbers for text", "names image 7, .* among `images`: ids are text there and a number here"),
        ("twice", "twice"),
        ("no height", r"query/a\.jpg: height is null; expected the picture's size in pixels"),
        ("flat", r"query/b\.jpg: height is 0; expected"),
        ("no width", r"query/b\.jpg: width is null"),
        ("endless picture", r"query/b\.jpg: width is 1000000000\.0"),
        ("no name", "`file_name` ''"),
        ("nested", r"query/b\.jpg: keypoints have the shape \(17, 3\); expected .* one flat list of 51 numbers"),
        ("null point", r"query/b\.jpg: keypoints is no array of numbers \(it holds null\)"),
        ("endless number", r"query/b\.jpg: keypoints is no array of numbers"),
        ("no annotations", r"nobody in it has a point \(no annotation\); expected `keypoints`: 17 times"),
        ("no points at all", r"nobody in it has a point \(3 boxes without points\)"),
        ("annotations are no list", "`annotations` is .* expected a list of objects"),
        ("score null", r"query/a\.jpg: score is null; expected a finite number; leave `score` out"),
        ("score nan", r"query/b\.jpg: score is nan"),
        ("score text", r"query/a\.jpg: score is '0\.9'"),
        ("score list", r"query/a\.jpg: score is \[0\.9\]"),
        ("score true", r"query/a\.jpg: score is True"),
        ("area infinite", r"query/a\.jpg: area is inf"),
        ("crowd", r"query/a\.jpg: iscrowd is 'no'; expected 0 or 1"),
        ("shares", r"query/b\.jpg: all points lie within 1\.5 pixels of the corner.*multiply columns"),
        ("shares about the middle", r"query/b\.jpg: all points lie within 1\.5 pixels of the corner"),
    ],
)
def test_what_is_no_keypoint_file_is_told(tmp_path: Path, place: str, told: str):
    with pytest.raises(MeshError, match=told) as caught:
        read_coco(_write(tmp_path / "k.json", _spoilt(place)))
    assert "k.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
@pytest.mark.parametrize("name", ["k.json", "k.json.gz"])
def test_a_broken_or_missing_file_is_told(tmp_path: Path, content: bytes | None, name: str):
    if content is not None:
        (tmp_path / name).write_bytes(gzip.compress(b"{}")[:-6] if name.endswith("gz") and content else content)
    with pytest.raises(MeshError, match="cannot be read as JSON"):
        read_coco(tmp_path / name)


def _one(*notes: dict[str, Any], width: int = 64, height: int = 128) -> dict[str, Any]:
    """A file of one picture with some annotations."""
    images = [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}]
    return {"images": images, "annotations": [{"image_id": 1, **note} for note in notes]}


def _person(v: int = 2, column: float = 20, **facts: Any) -> dict[str, Any]:
    return {"keypoints": [x for place in range(17) for x in (column, 10 + 5 * place, v)], **facts}


@pytest.mark.parametrize(
    ("change", "weights", "note"),
    [
        ("all v = 1", [1] * 17, "v = 1 is read as labelled"),
        ("v = 1 and 0", [0, 0, *[1] * 15], "v = 1 is read as labelled"),
        ("one v = 2", [1, *[0.3] * 16], ""),
        ("a bystander has v = 2", [0.3] * 17, ""),
        ("a point that was not found has v = 2", [0, *[1] * 16], "v = 1 is read as labelled"),
    ],
)
def test_a_file_that_never_says_v_2_trusts_v_1_and_says_so(tmp_path: Path, change: str, weights: list, note: str):
    person = _person(v=1, score=0.9)
    notes = [person]
    match change:
        case "v = 1 and 0":
            person["keypoints"][2], person["keypoints"][5] = 0, 0
        case "one v = 2":
            person["keypoints"][2] = 2
        case "a point that was not found has v = 2":
            person["keypoints"][:3] = 0, 0, 2
        case "a bystander has v = 2":
            notes.append(_person(v=2, score=0.1))
    found = read_coco(_write(tmp_path / "k.json", _one(*notes)))
    np.testing.assert_allclose(found.weights[0], weights)
    assert note in " ".join(found.notes)
    assert bool(found.notes) == bool(note)


@pytest.mark.parametrize(
    "other",
    [
        {"iscrowd": 1, "area": 9000, "keypoints": [5, 5, 2] * 17},  # a crowd with points
        {"iscrowd": 1, "area": 9000, "segmentation": {"counts": [1], "size": [1, 1]}},
        {"area": 9000, "keypoints": [0] * 51, "num_keypoints": 0},  # only a box was drawn
        {"area": 9000, "bbox": [0, 0, 60, 120]},
        {"area": 9000, "keypoints": []},
        {"area": 9000, "keypoints": None},
        {"area": 9000, "keypoints": [0, 0, 2] * 17},  # nothing was found of it
        {"area": 9000, "score": -1, "keypoints": [5, 5, 2] * 17},
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_crowds_boxes_and_people_without_points_are_no_candidates(tmp_path: Path, other: dict, first: bool):
    person = _person(area=100)
    notes = (other, person) if first else (person, other)
    found = read_coco(_write(tmp_path / "k.json", _one(*notes)))
    assert found.points[0, :, 0].tolist() == [20] * 17
    assert ("no candidates" in " ".join(found.notes)) == ("score" not in other)


@pytest.mark.parametrize(
    ("place", "there"),
    [
        ((0, 0), False),
        ((-1, -1), False),
        ((1e-4, -0.0), False),
        ((64, 300), False),  # below the picture by more than its height
        ((-65, 10), False),
        ((129, 10), False),
        ((1e30, 5), False),
        ((-1e300, 5), False),
        ((-10, 10), True),  # outside, as where a crop cuts a body
        ((0, 60), True),
        ((30, 250), True),
    ],
)
@pytest.mark.parametrize("v", [1, 2])
def test_points_at_the_origin_or_far_outside_are_not_labelled(tmp_path: Path, place, there: bool, v: int):
    person = _person()
    person["keypoints"][9:12] = [*place, v]
    found = read_coco(_write(tmp_path / "k.json", _one(person)))
    assert (found.weights[0, 3] > 0) == there
    assert np.isfinite(found.points).all()
    assert ("1 points of 1 pictures are taken as not found" in " ".join(found.notes)) == (not there)
    assert (np.delete(found.weights[0], 3) == 1).all()


def _crowd(people: int) -> Keypoints:
    """Return so many standing people, one a picture of 64 x 128 pixels."""
    points = np.linspace((20, 10), (40, 115), 17)
    shifts = np.arange(people)[:, None, None]
    sides = np.ones(people, dtype=np.float32)
    return Keypoints(
        files=tuple(f"train/{number}.jpg" for number in range(people)),
        heights=128 * sides,
        widths=64 * sides,
        points=(points + shifts).astype(np.float32),
        weights=np.ones((people, 17), dtype=np.float32),
        depths=np.full((people, 17), np.nan, dtype=np.float32),
    )


def _written(path: Path, people: Keypoints, change: Change, changed: int) -> Path:
    """Write them, the points of the first `changed` as `change` gives them of column and row."""
    written = {}
    for number, (file, points) in enumerate(zip(people.files, people.points.tolist(), strict=True)):
        moved = [change(*point) if number < changed else point for point in points]
        written[file] = Person(64, 128, [value for point in moved for value in (*point, 2)], 0.5)
    write_coco(path, written)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda column, row: (row, column), r"9 of 12 people lie on their side; are columns and rows swapped"),
        (lambda column, row: (column, 128 - row), r"9 of 12 people stand on their heads; are rows counted from"),
    ],
)
def test_axes_other_than_those_of_pictures_are_refused(tmp_path: Path, change: Change, told: str):
    people = _crowd(12)
    with pytest.raises(MeshError, match=told):
        read_coco(_written(tmp_path / "k.json", people, change, 9))
    assert len(read_coco(_written(tmp_path / "some.json", people, change, 6)).files) == 12
    assert len(read_coco(_written(tmp_path / "few.json", _crowd(7), change, 7)).files) == 7


def test_points_of_another_order_are_refused_by_their_names(tmp_path: Path):
    posetrack = ["nose", "head_bottom", "head_top", "left_ear", "right_ear", *POINTS[5:]]
    table = _table() | {"categories": [{"name": "box"}, {"name": "person", "keypoints": posetrack}]}
    told = r"point 2 of the category 'person' is 'head_bottom', in COCO it is 'left_eye'; write .*or leave out"
    with pytest.raises(MeshError, match=told):
        read_coco(_write(tmp_path / "posetrack.json", table))


def test_names_of_points_may_be_spelt_otherwise(tmp_path: Path):
    spelt = [name.replace("_", " ").title() for name in POINTS]
    table = _table() | {"categories": [{"name": "person", "keypoints": spelt}]}
    assert len(read_coco(_write(tmp_path / "k.json", table)).files) == 2


def test_what_is_written_reads_back(tmp_path: Path):
    values = [float(number) for place in range(17) for number in (place + 1, place + 1.5)]
    triples = [x for place in range(17) for x in (values[2 * place], values[2 * place + 1], 1 + place % 2)]
    people = {"query/a.jpg": Person(64, 128, triples, 0.8), "train/b.jpg": Person(32, 64, triples, 0.7)}
    write_coco(tmp_path / "k.json", people)
    found = read_coco(tmp_path / "k.json")
    assert found.files == tuple(people)
    assert found.heights.tolist() == [128, 64]
    assert found.points[0].ravel().tolist() == values
    assert found.weights[0, :2].tolist() == pytest.approx([0.3, 1.0])
