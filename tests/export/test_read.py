"""Loading and verifying: our loader and Hugging Face's agree, and every changed, lost or added file is named."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from gcl_core.export.choice import Choice
from gcl_core.export.read import load_views, verify_views
from gcl_core.export.write import export_views
from gcl_core.files import RunError
from gcl_core.layout import Layout


@pytest.fixture
def folder(layout: Layout, tmp_path: Path) -> Path:
    return export_views(layout, tmp_path / "views", Choice(people=(3, 4), yaws=(45, 180)))


@pytest.mark.parametrize("naming", ["nv", "market"])
def test_both_loaders_give_every_picture_with_its_line(layout: Layout, tmp_path: Path, naming: str):
    folder = export_views(layout, tmp_path / "views", Choice(people=(3, 4), yaws=(45, 180), naming=naming))
    views = load_views(folder)
    pictures = views.pictures(views.manifest)
    (split,) = load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache")).values()
    assert len(split) == len(views.manifest) == 6
    columns = [name for name in views.manifest.columns if name != "file"]
    assert set(split.column_names) == {"image", *columns}
    lines: dict[Any, Any] = {(line["source"], line["yaw"]): line for line in map(dict, split)}
    for line, picture in zip(views.manifest.to_dict("records"), pictures, strict=True):
        theirs = lines[line["source"], line["yaw"]]
        assert np.array_equal(np.asarray(theirs["image"]), picture)
        assert {name: theirs[name] for name in columns} == {name: line[name] for name in columns}


ENDINGS = [
    ("test_00", "train_00", "val_00", "tuesday_00"),
    ("validation", "eval-1", "dev.2", "testing"),
    ("valid_train_test", "training 3", "evaluation", "00"),
    ("contest", "strain", "interval", "00"),  # words that only hold one of theirs
]


@pytest.mark.parametrize("endings", ENDINGS)
@pytest.mark.parametrize(
    ("split", "naming"), [("train", "nv"), ("query", "nv"), ("query", "market"), ("gallery", "market")]
)
def test_names_that_hold_the_name_of_a_split_lose_nothing(
    study_of: Callable[..., Layout], tmp_path: Path, split: str, naming: str, endings: Sequence[str]
):
    """The loader takes such words for its own splits, and drops the rest; also in the name of the folder itself."""
    layout = study_of(tmp_path / "study", endings=endings)
    folder = export_views(layout, tmp_path / "val test" / "my_test", Choice(yaws=(45, 180), split=split, naming=naming))
    manifest = load_views(folder).manifest
    parts = load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    (found,) = parts.values()
    assert list(parts) == ["train" if split == "train" else "test"]
    assert set(found.column_names) == {"image", *manifest.columns} - {"file"}
    assert sorted(zip(found["source"], found["yaw"], found["sha256"], strict=True)) == sorted(
        zip(manifest["source"], manifest["yaw"], manifest["sha256"], strict=True)
    )


def test_views_of_a_picture_stand_in_the_order_of_yaws(folder: Path):
    views = load_views(folder)
    source = "bounding_box_train/0004_c2s1_00.jpg"
    found = views.of([source])[0]
    for place, yaw in enumerate((45, 180)):
        with Image.open(folder / f"train/nv/{yaw}/0004_c2s1_00.png") as picture:
            assert np.array_equal(found[place], np.asarray(picture))
    with pytest.raises(RunError, match=r"no views of bounding_box_train/0004_c1s1_00.jpg"):
        views.of(["bounding_box_train/0004_c1s1_00.jpg"])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum on this machine")
def test_sha256sum_finds_every_file_as_it_was_written(folder: Path):
    answer = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.count(": OK") == verify_views(folder) == 6 + 5


def test_changed_lost_and_added_files_are_named(folder: Path):
    (folder / "manifest.csv").write_text("file\n")
    (folder / "train/nv/45/0003_c1s1_00.png").unlink()
    (folder / "train/nv/180/stranger.png").write_bytes(b"")
    with pytest.raises(RunError) as told:
        verify_views(folder)
    assert "Changed: manifest.csv; missing: train/nv/45/0003_c1s1_00.png; extra: train/nv/180/stranger.png." in str(
        told.value
    )


def test_a_changed_pixel_is_found_even_when_the_sums_are_made_anew(folder: Path):
    path, name = folder / "train/nv/45/0003_c1s1_00.png", "train/nv/45/0003_c1s1_00.png"
    before, data = path.read_bytes(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=f"Changed: {name}"):
        verify_views(folder)
    sums = (folder / "SHA256SUMS").read_text()
    old, new = (hashlib.sha256(each).hexdigest() for each in (before, data))
    (folder / "SHA256SUMS").write_text(sums.replace(old, new))
    with pytest.raises(RunError, match=f"Changed: {name}"):
        verify_views(folder)


def test_a_folder_without_an_export_is_told_from_a_damaged_one(folder: Path, tmp_path: Path):
    with pytest.raises(RunError, match="holds no finished export"):
        verify_views(tmp_path)
    for content, words in (("nonsense\n", "a line is not"), ("", "it has no line")):
        (folder / "SHA256SUMS").write_text(content)
        with pytest.raises(RunError, match=f"SHA256SUMS is damaged: {words}"):
            verify_views(folder)


@pytest.mark.parametrize("left", [None, 0, 4, 1000])
def test_a_manifest_that_is_gone_or_cut_is_named(left: int | None, folder: Path):
    path = folder / "manifest.parquet"
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[:left])
    with pytest.raises(RunError, match=r"manifest\.parquet is damaged or lost \(.*export it anew into another folder"):
        load_views(folder)
    if left is not None:
        sums = (folder / "SHA256SUMS").read_text()
        old, new = (hashlib.sha256(each).hexdigest() for each in (content, content[:left]))
        (folder / "SHA256SUMS").write_text(sums.replace(old, new))
        with pytest.raises(RunError, match=r"manifest\.parquet is damaged or lost"):
            verify_views(folder)


def test_the_sample_of_synthetic_people_is_whole_small_and_loads(repository: Path):
    sample = repository / "samples" / "novel_views"
    files = verify_views(sample)
    views = load_views(sample)
    assert files == len(views.manifest) + 5
    assert views.pictures(views.manifest).std() > 10  # not blank
    assert '"dataset": "synthetic"' in (sample / "recipe.json").read_text()
    assert sum(path.stat().st_size for path in sample.rglob("*") if path.is_file()) < 250_000
