"""The copies of a picture: CamStyle files found, verified and drawn; augmentation without them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from gcl_core.config import AugmentationSettings, JvtcSettings
from gcl_core.data.batches import imagenet_normalize
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet
from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.camera_styles import CameraStyles, Copies, draw_cameras, styles_fingerprint

CPU = torch.device("cpu")
STILL = JvtcSettings(copies=3, flip=0.0, erase=0.0)  # copies as they are
CAMERAS = (1, 2, 4)


def make_people() -> PersonSet:
    """Two pictures of each of three cameras, one test picture of a fourth; picture i is grey level 10·i."""
    names = [f"bounding_box_train/0001_c{camera}s1_{number:06d}_00.jpg" for camera in CAMERAS for number in (1, 2)]
    names.append("query/0002_c7s1_000001_00.jpg")
    index = pd.DataFrame({"file": names, "pid": 1, "camid": [1, 1, 2, 2, 4, 4, 7], "split": ["train"] * 6 + ["query"]})
    pictures = np.repeat(10 * np.arange(7, dtype=np.uint8), 64 * 32 * 3).reshape(7, 64, 32, 3)
    return PersonSet(index, pictures, np.zeros((7, 8, 64, 32), np.uint8), "test")


def grey_of(row: int, camera: int) -> int:
    return 100 + 10 * row + camera


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """CamStyle's files for `make_people`: each of one grey, smaller than the prepared pictures."""
    people = make_people()
    for row in people.rows("train"):
        stem, own = Path(people.index["file"].iloc[row]).stem, people.index["camid"].iloc[row]
        for camera in set(CAMERAS) - {own}:
            picture = Image.new("RGB", (16, 32), (grey_of(int(row), camera),) * 3)
            picture.save(tmp_path / f"{stem}_fake_{own}to{camera}.png")
    return tmp_path


def test_every_style_is_read_at_working_size_and_the_own_camera_is_the_original(folder: Path):
    people = make_people()
    styles = CameraStyles(folder, people)
    assert styles.cameras.tolist() == list(CAMERAS)
    found = styles.read(np.array([3, 0]), np.array([[4, 2], [1, 2]]))
    assert found.shape == (2, 2, 64, 32, 3)
    assert found[:, :, 0, 0, 0].tolist() == [[grey_of(3, 4), 30], [0, grey_of(0, 2)]]


def test_missing_styles_are_named(folder: Path):
    (folder / "0001_c2s1_000001_00_fake_2to4.png").unlink()
    with pytest.raises(
        DataError, match=r"1 camera styles .*missing: 0001_c2s1_000001_00_fake_2to4 .*expected 2 a pict"
    ):
        CameraStyles(folder, make_people())
    with pytest.raises(DataError, match=r"nowhere cannot be read .*_fake_1to2\.jpg"):
        CameraStyles(folder / "nowhere", make_people())


def test_styles_of_pictures_that_share_a_name_are_refused(folder: Path):
    people = make_people()
    people.index.loc[1, "file"] = "yard/0001_c1s1_000001_00.jpg"
    with pytest.raises(DataError, match=r"several training pictures share: 0001_c1s1_000001_00;"):
        CameraStyles(folder, people)


def test_drawn_copies_are_different_cameras_the_original_sometimes_among_them(folder: Path):
    settings = STILL.model_copy(update={"copies": 2, "camera_styles": folder})
    copies = Copies(make_people(), settings, AugmentationSettings())
    assert copies.note == "camera styles of 3 cameras"
    rows, seen = np.arange(6), set()
    for epoch in range(8):
        drawn = copies.draw(rows, rng(0, "test styles", epoch), CPU)
        greys = (drawn[:, :, 0, 5, 5] * 255).round().int().tolist()
        for row, pair in enumerate(greys):
            own = make_people().index["camid"].iloc[row]
            allowed = {camera: 10 * row if camera == own else grey_of(row, camera) for camera in CAMERAS}
            assert len(set(pair)) == 2
            assert set(pair) <= set(allowed.values())
            seen |= {(row, grey) for grey in pair}
    assert len(seen) == 18
    again = [copies.draw(rows, rng(0, "test styles", 0), CPU) for _ in range(2)]
    assert torch.equal(*again)


def test_all_styles_are_given_for_averages(folder: Path):
    copies = Copies(make_people(), JvtcSettings(copies=2, camera_styles=folder), AugmentationSettings())
    every = copies.every(np.array([2]), CPU)
    assert (every[0, :, 0, 0, 0] * 255).round().int().tolist() == [grey_of(2, 1), 20, grey_of(2, 4)]


def test_more_copies_than_cameras_are_refused(folder: Path):
    with pytest.raises(DataError, match=r"copies is 4, but the training pictures have only 3 cameras"):
        Copies(make_people(), JvtcSettings(copies=4, camera_styles=folder), AugmentationSettings())


def test_without_a_folder_the_augmentation_makes_the_copies():
    people = make_people()
    copies = Copies(people, STILL, AugmentationSettings(pad=0))
    assert "no CamStyle" in copies.note
    rows = np.array([5, 6])
    drawn = copies.draw(rows, rng(0, "test copies"), CPU)
    assert drawn.shape == (2, 3, 3, 64, 32)
    assert len(drawn[0].flatten(1).unique(dim=0)) == 3  # jittered, each by itself
    assert torch.equal(copies.every(rows, CPU)[:, 0] * 255, torch.from_numpy(people.pictures[rows]).permute(0, 3, 1, 2))


def test_flip_and_erasing_are_those_of_jvtc():
    settings = JvtcSettings(copies=1, flip=0.0, erase=1.0, erase_area=(0.1, 0.1), erase_aspect=(1.0, 1.0))
    copies = Copies(make_people(), settings, AugmentationSettings(pad=0, jitter=0, hue=0, erase=0))
    drawn = copies.draw(np.array([0]), rng(0, "test erase"), CPU)[0, 0]
    hole = (drawn > 0.3).all(dim=0)  # on black
    assert float(hole.float().mean()) == pytest.approx(0.1, abs=0.02)
    erased = imagenet_normalize(drawn[None])[0][:, hole]
    assert erased.mean(dim=1).tolist() == pytest.approx([0.485, 0.456, 0.406])  # after normalisation (§6.2)


def test_cameras_are_drawn_uniformly_without_repetition():
    drawn = draw_cameras(CAMERAS, 6000, 2, rng(0, "test cameras"))
    assert (drawn[:, 0] != drawn[:, 1]).all()
    for camera in CAMERAS:
        for column in (0, 1):
            assert abs((drawn[:, column] == camera).mean() - 1 / 3) < 0.03


def test_fingerprint_follows_the_files(folder: Path):
    before = styles_fingerprint(folder)
    (folder / "0001_c2s1_000001_00_fake_2to4.png").unlink()
    assert styles_fingerprint(folder) != before
