"""The report on a dataset's folder: counts by hand, every remark it can make, and its size on a screen."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcl_core.data import report as module
from gcl_core.data.index import DataError
from gcl_core.data.report import report_data
from gcl_core.mesh.projection import YAWS

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
FILES = [
    *(f"{TRAIN}/{name}" for name in ("0001_c1_a.jpg", "0001_c2_a.jpg", "0002_c3_a.jpg")),
    *(f"{QUERY}/{name}" for name in ("0005_c1_a.jpg", "0006_c2_a.jpg")),
    *(
        f"{GALLERY}/{name}"
        for name in ("0005_c2_a.jpg", "0006_c2_b.jpg", "0000_c1_a.jpg", "0000_c4_a.jpg", "-1_c1_a.jpg")
    ),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set of ten different pictures: 0005 is found by another camera, 0006 is not."""
    for number, file in enumerate(FILES):
        _picture(tmp_path / "set" / file, number)
    return tmp_path / "set"


def _picture(path: Path, number: int, size: tuple[int, int] = (16, 32), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, quality=95)


def _line(text: str, label: str) -> str:
    """The lines of one fact, joined."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(label))
    rest = [line.strip() for line in lines[first + 1 :]]
    more = next(number for number, line in enumerate(lines[first + 1 :]) if not line.startswith("    "))
    return " ".join([" ".join(lines[first].split()), *rest[:more]])


def test_counts_a_split(root: Path):
    report = report_data("market1501", root)
    table = report.table().set_index("split")
    assert table.drop(columns=["published pictures", "published identities"]).to_numpy().tolist() == [
        # pictures, identities, cameras, distractors, junk, unusable
        [3, 2, 3, 0, 0, 0],
        [2, 2, 2, 0, 0, 0],
        [4, 2, 3, 2, 1, 0],
    ]
    assert table["published pictures"].tolist() == [12936, 3368, 15913]
    assert table["published identities"].tolist() == [751, 750, 750]
    assert report.errors == []
    assert report.text().splitlines()[-1] == "no errors"


def test_a_table_is_reported_like_the_names(root: Path):
    by_name = report_data("folder", root)
    lines = [
        f"{file},{file.split('/')[1].split('_')[0]},{file.split('_c')[1][0]},{split}"
        for folder, split in ((TRAIN, "train"), (QUERY, "query"), (GALLERY, "gallery"))
        for file in FILES
        if file.startswith(f"{folder}/")
    ]
    (root / "pictures.csv").write_text("\n".join(["file,pid,camid,split", *lines]))
    assert report_data("folder", root) == by_name


def test_other_counts_than_the_published_ones_are_marked_not_errors(root: Path, monkeypatch):
    published = {"train": (3, 2), "query": (2, 2), "gallery": (5, 2)}
    monkeypatch.setitem(module.PUBLISHED, "market1501", published)
    report = report_data("market1501", root)
    assert _line(report.text(), "gallery").split()[1:3] == ["4*", "5"]
    assert report.text().count("*") == 2  # and its explanation
    assert "* not the published number" in report.text()
    assert report.errors == []
    monkeypatch.setitem(published, "gallery", (4, 2))
    assert "*" not in report.text()


def test_nothing_is_published_on_ones_own_folder(root: Path):
    report = report_data("folder", root)
    assert report.table()["published pictures"].isna().tolist() == [True] * 3
    assert " ".join(_line(report.text(), "train").split()) == "train 3 - 2 - 3 0 0 0"


def test_distractors_of_the_training_are_people(root: Path):
    _picture(root / TRAIN / "0000_c1_t.jpg", 50)
    assert report_data("folder", root).table()["identities"].tolist() == [3, 2, 2]


def test_sizes_and_conversions(root: Path):
    _picture(root / TRAIN / "0003_c1_a.jpg", 51, size=(8, 20))
    _picture(root / TRAIN / "0003_c1_b.jpg", 52, size=(40, 90), mode="CMYK")
    _picture(root / TRAIN / "0003_c1_c.png", 53, mode="L")
    _picture(root / TRAIN / "0003_c1_d.png", 54, mode="L")
    text = report_data("folder", root).text()
    assert _line(text, "sizes") == "sizes smallest 8 x 20, median 16 x 32, largest 40 x 90 (width x height)"
    assert _line(text, "converted") == "converted 1 CMYK, 2 grey"


def test_unusable_pictures_are_errors_and_long_lists_are_cut(root: Path):
    for number in range(5):
        (root / QUERY / f"0005_c1_{number}.jpg").write_bytes(b"" if number else b"no picture")
    (root / GALLERY / "-1_c1_a.jpg").write_bytes(b"")  # junk is not used
    report = report_data("folder", root)
    assert report.table()["unusable"].tolist() == [0, 5, 0]
    assert [error.partition(" ")[0] for error in report.errors] == [
        str(root / QUERY / f"0005_c1_{number}.jpg") for number in range(5)
    ]
    text = report.text()
    assert _line(text, "error").startswith("error query/0005_c1_0.jpg cannot be read as a picture: its content is none")
    assert text.splitlines()[-1] == "errors: 5, 3 of them shown"
    assert text.count("is empty (0 bytes)") == 2


def test_equal_files_across_splits_and_identities(root: Path):
    shutil.copy(root / FILES[0], root / TRAIN / "0001_c1_b.jpg")  # harmless
    shutil.copy(root / FILES[1], root / TRAIN / "0002_c3_b.jpg")  # two people
    shutil.copy(root / FILES[4], root / GALLERY / "0006_c3_b.jpg")  # two splits
    for name in ("0008_c1_a.jpg", "0008_c1_b.jpg"):  # broken files are equal in nothing but their fault
        (root / TRAIN / name).write_bytes(b"")
    report = report_data("folder", root)
    assert [[picture.file for picture in group] for group in report.duplicates] == [  # the gravest first
        [f"{QUERY}/0006_c2_a.jpg", f"{GALLERY}/0006_c3_b.jpg"],
        [f"{TRAIN}/0001_c2_a.jpg", f"{TRAIN}/0002_c3_b.jpg"],
        [f"{TRAIN}/0001_c1_a.jpg", f"{TRAIN}/0001_c1_b.jpg"],
    ]
    words = _line(report.text(), "duplicates")
    assert words.startswith("duplicates 3 groups of files of equal bytes, 1 across splits, 1 across identities: ")
    assert f"{QUERY}/0006_c2_a.jpg = {GALLERY}/0006_c3_b.jpg" in words


def test_msmt17_numbers_of_training_and_test_are_different_people(tmp_path: Path):
    lists = {"train": "train", "val": "train", "query": "test", "gallery": "test"}
    for number, (name, side) in enumerate(lists.items()):
        file = f"0000/0000_{number:03d}_0{number + 1}_x_0.jpg"
        _picture(tmp_path / side / file, 1 if name == "gallery" else number)  # the picture of val again in the gallery
        (tmp_path / f"list_{name}.txt").write_text(f"{file} 0\n")
    report = report_data("msmt17", tmp_path)
    assert report.table()["pictures"].tolist() == [2, 1, 1]
    assert report.table()["published pictures"].tolist() == [32621, 11659, 82161]
    assert report.lone_queries == []  # 0 in both lists is no distractor
    assert "1 across splits, 1 across identities" in report.text()


def test_queries_without_a_match_are_counted(root: Path):
    report = report_data("folder", root)
    assert report.lone_queries == [f"{QUERY}/0006_c2_a.jpg"]  # only its own camera has 0006
    assert _line(report.text(), "queries") == f"queries 1 without a match by another camera: {QUERY}/0006_c2_a.jpg"
    assert report.errors == []


def test_a_test_without_any_match_is_an_error(root: Path):
    (root / GALLERY / "0005_c2_a.jpg").rename(root / GALLERY / "0005_c1_z.jpg")
    report = report_data("folder", root)
    assert report.errors == [
        f"{root}: no query has a match in the gallery by another camera; nothing can be tested",
    ]
    assert report.text().splitlines()[-1] == "errors: 1"


def test_other_files_are_counted(root: Path):
    (root / GALLERY / "Thumbs.db").write_bytes(b"")
    (root / "readme.txt").write_text("beside the picture folders: nobody's business")
    words = _line(report_data("folder", root).text(), "ignored")
    assert words == f"ignored 1 other files in the picture folders: {GALLERY}/Thumbs.db"


@pytest.mark.parametrize("place", ["meshes", "elsewhere"])
def test_meshes_are_counted_by_side(root: Path, place: str):
    mesh_root = root / place

    def projections(side: str, name: str, yaws: tuple[int, ...]) -> None:
        for yaw in yaws:
            path = mesh_root / side / ("render" if yaw == 0 else f"render_{yaw}") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    projections("train", "0001_c1_a.jpg", YAWS)
    projections("train", "0001_c2_a.jpg", YAWS[1:])
    projections("test", "0005_c1_a.jpg", YAWS)
    projections("test", "0005_c2_a.jpg", YAWS)
    projections("test", "0001_c2_a.jpg", (0,))  # of a training picture
    projections("test", "-1_c1_a.jpg", YAWS)  # of junk: counted neither here nor there
    report = report_data("folder", root, None if place == "meshes" else mesh_root)
    text = report.text()
    assert _line(text, "train meshes") == ("train meshes 1 pictures with all 8, 1 with none, 1 partly: 0001_c2_a.jpg")
    assert _line(text, "test meshes") == (
        "test meshes 2 pictures with all 8, 4 with none, 0 partly; 1 names that no picture has (0001_c2_a.jpg)"
    )
    assert report.errors == []


def test_no_meshes(root: Path):
    text = report_data("folder", root).text()
    assert "".join(_line(text, "train meshes").split()) == f"trainmeshesnonein{root}/meshes"


def test_the_report_fits_on_a_screen(root: Path, tmp_path: Path):
    long = "x" * 150
    crowded = tmp_path / "-".join(["far"] * 30) / "-".join(["away"] * 30)
    shutil.copytree(root, crowded)
    for number in range(9):
        shutil.copy(root / FILES[0], crowded / TRAIN / f"{number + 100:04d}_c1_{long}.jpg")
        _picture(crowded / QUERY / f"{number + 200:04d}_c1_{long}.jpg", number + 60)
        (crowded / TRAIN / f"{number + 300:04d}_c1_{long}.jpg").write_bytes(b"")
        (crowded / TRAIN / f"{number}{long}\x1b[31m\udcff.txt").write_bytes(b"")
    text = report_data("market1501", crowded).text()
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "…" in text
    assert "\x1b" not in text  # what a terminal would obey
    text.encode()


def test_a_folder_that_cannot_be_listed_is_told_as_in_a_study(root: Path):
    with pytest.raises(DataError, match=rf"data_root={root} looks right"):
        report_data("market1501", root.parent)
