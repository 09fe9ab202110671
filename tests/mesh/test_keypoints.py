"""Reading keypoints: what counts, and what is refused."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import BLAZEPOSE, Person, add_depths, read_coco, write_coco
from gcl_core.mesh.stick_figure import POINTS


def _table() -> dict[str, Any]:
    """Two pictures; the first has two people, of whom the second is the surer one."""
    images = [{"id": 7, "file_name": "query/a.jpg", "width": 64, "height": 128}]
    images.append({"id": 9, "file_name": "query/b.jpg", "width": 128, "height": 256})
    annotations = [
        {"image_id": image, "keypoints": [x for place in range(17) for x in (place + shift, 2 * place, place % 3)]}
        | {"score": score}
        for image, shift, score in ((7, 100, 0.4), (7, 200, 0.9), (9, 300, 0.5))
    ]
    return {"images": images, "annotations": annotations, "categories": []}


def _write(path: Path, table: Any) -> Path:
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_the_surest_person_of_each_picture_is_read(tmp_path: Path, packed: bool):
    path = _write(tmp_path / "k.json", _table())
    if packed:
        path = tmp_path / "k.json.gz"
        path.write_bytes(gzip.compress(json.dumps(_table()).encode()))
    found = read_coco(path)
    by_name = dict(zip(found.files, range(2), strict=True))
    assert set(by_name) == {"query/a.jpg", "query/b.jpg"}
    a, b = by_name["query/a.jpg"], by_name["query/b.jpg"]
    assert found.points[a, 3].tolist() == [203, 6]
    assert found.points[b, 3].tolist() == [303, 6]
    assert found.heights[[a, b]].tolist() == [128, 256]
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
        case "twice":
            table["images"][1]["file_name"] = "query/a.jpg"
        case "no height":
            del table["images"][0]["height"]
        case "flat":
            table["images"][1]["height"] = 0
    return table


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("list", "expected an object"),
        ("no images", "`images`"),
        ("16 points", "expected 17 times"),
        ("text", "garbles"),
        ("nan", "no finite number"),
        ("confidence", "v must be 0, 1 or 2"),
        ("no object", "garbles"),
        ("stranger", "image 8"),
        ("twice", "twice"),
        ("no height", "height"),
        ("flat", "height 0"),
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


def test_depths_are_added_by_name_and_stay_unknown_where_none_are(tmp_path: Path):
    world = np.random.default_rng(0).normal(size=(3, 33, 4)).astype(np.float16)
    np.savez(tmp_path / "b.npz", files=["query/x.jpg", "query/b.jpg", "query/y.jpg"], world=world)
    found = add_depths(read_coco(_write(tmp_path / "k.json", _table())), tmp_path / "b.npz")
    b = found.files.index("query/b.jpg")
    np.testing.assert_array_equal(found.depths[b], world[1, list(BLAZEPOSE), 2].astype(np.float32))
    assert np.isnan(found.depths[1 - b]).all()
    assert len(BLAZEPOSE) == len(POINTS)
    for name, content in (("c.npz", {"files": ["a"]}), ("d.npz", {"files": ["a"], "world": world})):
        np.savez(tmp_path / name, **content)  # pyright: ignore[reportArgumentType]
        with pytest.raises(MeshError, match=name):
            add_depths(found, tmp_path / name)
    (tmp_path / "e.npz").write_bytes(b"PK")
    with pytest.raises(MeshError, match=r"e\.npz is no file of 3D keypoints"):
        add_depths(found, tmp_path / "e.npz")


def test_what_is_written_reads_back(tmp_path: Path):
    values = [float(number) for place in range(17) for number in (place, place + 0.5)]
    triples = [x for place in range(17) for x in (values[2 * place], values[2 * place + 1], 1 + place % 2)]
    people = {"query/a.jpg": Person(64, 128, triples, 0.8), "train/b.jpg": Person(32, 64, triples, 0.7)}
    write_coco(tmp_path / "k.json", people)
    found = read_coco(tmp_path / "k.json")
    assert found.files == tuple(people)
    assert found.heights.tolist() == [128, 64]
    assert found.points[0].ravel().tolist() == values
    assert found.weights[0, :2].tolist() == pytest.approx([0.3, 1.0])
