"""Which picture a name means: the full name first, never a guess, and nothing left out without a word."""

from pathlib import Path

import pandas as pd
import pytest

from gcl_core.data.index import DataError
from gcl_core.data.names import match_names, mesh_names

WANTED = ["query/0001_c1.jpg", "bounding_box_test/0001_c2.jpg", "bounding_box_test/0002_c2.jpg"]


def _places(named: list[str], wanted: list[str]) -> dict[str, int]:
    return match_names(named, wanted, "k.json").places


def test_names_mean_pictures_by_path_or_by_base_name_or_by_stem():
    assert _places(WANTED, WANTED) == dict(zip(WANTED, range(3), strict=True))
    assert _places(["0002_c2.jpg", "0001_c1.jpg"], WANTED) == {WANTED[0]: 1, WANTED[2]: 0}
    assert _places(["0001_c2", "query/0001_c1"], WANTED) == {WANTED[0]: 1, WANTED[1]: 0}
    paths = ["/data/set/query/0001_c1.jpg", r"D:\set\bounding_box_test\0001_c2.png"]
    assert _places(paths, WANTED) == {WANTED[0]: 0, WANTED[1]: 1}
    assert _places(["0000/a.jpg"], ["train/0000/a.jpg", "train/0001/a.jpg"]) == {"train/0000/a.jpg": 0}
    assert _places(["/x/a.jpg"], ["a.jpg", "hall/b.jpg"]) == {"a.jpg": 0}
    assert _places(["Jos\u00e9.jpg"], ["Jose\u0301.jpg"]) == {"Jose\u0301.jpg": 0}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "wanted",
    [
        ["hall/1.jpg", "hall/1.png"],
        ["hall/1.jpg", "hall/1.JPG"],
        ["hall/1.jpg", "yard/1.jpg"],
        ["hall/1.jpg", "1.jpg"],
        ["hall/1.jpg", "hall/sub/1.jpg", "hall/1.jpeg"],
    ],
)
@pytest.mark.parametrize("before", ["", "/data/set/", "./"])
def test_full_names_tell_pictures_of_one_stem_apart(wanted: list[str], before: str, order: int):
    named = [before + name for name in wanted][::order]
    assert _places(named, wanted) == {file: named.index(before + file) for file in wanted}
    assert _places(named[1:], wanted) == {file: row for row, file in enumerate(wanted[::order][1:])}


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        (["7.jpg"], ["train/7.jpg", "test/7.jpg"]),
        (["7"], ["train/7.jpg", "train/7.png"]),
        (["train/7"], ["train/7.jpg", "train/7.JPG"]),
        (["train/7.jpeg"], ["train/7.jpg", "train/7.png"]),
        (["train/7.jpg", "7"], ["train/7.jpg", "train/7.png"]),
        (["/crops/7.jpg"], ["train/7.jpg", "test/7.jpg"]),
    ],
)
def test_a_name_that_could_mean_several_pictures_is_refused(named: list[str], wanted: list[str]):
    with pytest.raises(DataError, match=rf"k\.json: {named[-1]} could mean {wanted[0]}, {wanted[1]}"):
        match_names(named, wanted, "k.json")


@pytest.mark.parametrize(
    "named",
    [
        ["/old/query/0001_c1.jpg", "query/0001_c1.jpg"],
        ["query/0001_c1.jpg", "0001_c1.jpg"],
        ["query/0001_c1.jpg", "0001_c1"],
        ["0001_c1", "query/0001_c1.jpg"],
        ["0001_c1.jpg", "0001_c1.jpg"],
        ["0001_c1.png", "0001_c1.jpeg"],
        ["/a/0001_c1", "/a/0001_c1.png"],
        [r"query\0001_c1.jpg", "./query/0001_c1.jpg"],
    ],
)
def test_two_names_of_one_picture_are_refused(named: list[str]):
    with pytest.raises(DataError, match=r"both mean query/0001_c1\.jpg; keep one of the two"):
        match_names(named, WANTED, "k.json")


def test_names_that_mean_nothing_are_told_and_none_that_does_is_an_error():
    named = ["query/0001_c2.jpg", "0001_c1.jpg", "0003_c1.jpg", "query/0001_c1.png", "elsewhere/0001_c1.jpg", ""]
    found = match_names(named, WANTED, "k.json")
    assert found.places == {WANTED[0]: 1}
    assert found.strangers == (named[0], *named[2:])  # among them what differs from a picture named in full
    for none in ([], ["holiday.jpg"], ["query/0001_c2.jpg"], ["QUERY/0001_C1.JPG"], ["\ud800\n", "a" * 10000]):
        with pytest.raises(DataError, match=r"k\.json names none of the dataset's pictures") as told:
            match_names(none, WANTED, "k.json")
        assert len(str(told.value)) < 700
        assert str(told.value).isprintable()


def test_base_names_count_where_all_names_lie_in_one_folder_that_the_dataset_does_not_have():
    found = match_names(["out/img/0002_c2.jpg", "out/img/0001_c1.png", "out/img/9.jpg"], WANTED, "k.json")
    assert found.places == {WANTED[0]: 1, WANTED[2]: 0}
    assert found.copied_to == "out/img"
    assert "taken by their base names" in found.notes(Path("k.json"))[0]
    assert match_names(["out/img/0002_c2.jpg", WANTED[0]], WANTED, "k.json").places == {WANTED[0]: 1}
    with pytest.raises(DataError, match="names none"):
        match_names(["room0/0002_c2.jpg", "room1/0001_c1.jpg"], WANTED, "k.json")


def test_projections_bear_base_names_or_as_much_of_the_path_as_tells_them_apart():
    rows = [("hall/1.jpg", "train"), ("yard/1.jpg", "train"), ("yard/2.jpg", "train"), ("1.jpg", "query")]
    rows += [("a/x/3.jpg", "gallery"), ("b/x/3.jpg", "gallery"), ("3.jpg", "gallery")]
    index = pd.DataFrame(rows, columns=["file", "split"])
    told = {"hall/1.jpg": "hall/1.jpg", "yard/1.jpg": "yard/1.jpg", "yard/2.jpg": "2.jpg", "1.jpg": "1.jpg"}
    told |= {"a/x/3.jpg": "a/x/3.jpg", "b/x/3.jpg": "b/x/3.jpg", "3.jpg": "3.jpg"}
    assert mesh_names(index) == told
