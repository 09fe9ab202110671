"""Drawn pictures as files: PNG loses nothing, JPEG is Pillow's, the same each time."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from gcl_core.evaluation import encoding as module
from gcl_core.evaluation.encoding import ROUND_TRIPS, jpeg_round_trip, png_round_trip
from gcl_core.seeding import numpy_rng


@pytest.fixture
def pictures() -> np.ndarray:
    """Noise with a flat region: what JPEG keeps and what it does not."""
    noise = numpy_rng(0, "encoding test").integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    noise[:, 32:] = 128
    return noise


def test_jpeg_changes_pixels_and_png_does_not(pictures: np.ndarray):
    before = pictures.copy()
    png, jpeg = ROUND_TRIPS["png"](pictures), ROUND_TRIPS["jpeg75"](pictures)
    assert np.array_equal(png, before)
    assert jpeg.shape == before.shape
    assert (jpeg[:, :32] != before[:, :32]).mean() > 0.5
    assert np.abs(jpeg[:, 40:].astype(int) - 128).max() <= 1  # away from the noise a flat region stays flat
    assert np.array_equal(pictures, before)


def test_a_round_trip_is_that_of_files(pictures: np.ndarray, tmp_path: Path):
    read = {}
    for ending in ("png", "jpg"):  # as the release writes: no options, the ending decides
        for place, picture in enumerate(pictures):
            PIL.Image.fromarray(picture).save(tmp_path / f"{place}.{ending}")
        files = [PIL.Image.open(tmp_path / f"{place}.{ending}") for place in range(len(pictures))]
        read[ending] = np.stack([np.asarray(file.convert("RGB")) for file in files])
    assert np.array_equal(png_round_trip(pictures), read["png"])
    assert np.array_equal(jpeg_round_trip(pictures), read["jpg"])


def test_jpeg_is_the_same_each_time_and_whatever_stands_beside(pictures: np.ndarray):
    once = jpeg_round_trip(pictures)
    assert np.array_equal(once, jpeg_round_trip(pictures))
    assert np.array_equal(once[1:2], jpeg_round_trip(pictures[1:2]))
    turned = np.ascontiguousarray(pictures[..., ::-1])[..., ::-1]  # the same pixels, laid out otherwise
    assert np.array_equal(once, jpeg_round_trip(turned))


def test_lower_quality_strays_further(pictures: np.ndarray):
    errors = [np.abs(jpeg_round_trip(pictures, quality=q) - pictures.astype(int)).mean() for q in (95, 75, 30)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_no_picture_is_no_fault():
    assert jpeg_round_trip(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("name", ["png", "jpeg75"])
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 8, 8, 3)),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 3, 8, 8), "u1"),
    ],
)
def test_pictures_of_another_kind_are_refused_with_what_is_expected(name: Any, wrong: np.ndarray):
    unchecked = getattr(ROUND_TRIPS[name], "__wrapped__", ROUND_TRIPS[name])  # without the tests' check of shapes
    with pytest.raises(ValueError, match=r"expected 8-bit RGB, uint8 of \(n, h, w, 3\)"):
        unchecked(wrong)


@pytest.mark.parametrize("quality", [0, 96, 100])
def test_a_quality_outside_the_range_is_refused(pictures: np.ndarray, quality: int):
    with pytest.raises(ValueError, match=f"quality {quality}"):
        module.jpeg_round_trip(pictures, quality=quality)
