"""Projections of others: read as published, and refused with the reason when they are of another kind."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gcl_core.data.released import BadProjectionError, read_projection
from gcl_core.seeding import numpy_rng

GREY, BLUE = (150, 150, 150), (140, 165, 190)


def render(
    size: tuple[int, int] = (64, 128),
    *,
    figure: tuple[int, int, int] = GREY,
    ground: tuple[int, int, int] = (255, 255, 255),
    box: tuple[float, float, float, float] = (0.3, 0.1, 0.7, 0.9),
) -> Image.Image:
    """Return an ellipse on a ground; `box` in shares of width and height."""
    picture = Image.new("RGB", size, ground)
    corners = [share * length for share, length in zip(box, (*size, *size), strict=True)]
    ImageDraw.Draw(picture).ellipse(corners, fill=figure)
    return picture


def test_pixels_are_the_files_in_grey_resized_bicubic(tmp_path: Path):
    picture = render()
    shade = numpy_rng(0, "projection").integers(100, 200, (128, 64, 1)).repeat(3, axis=-1)
    picture = Image.fromarray(np.where(np.asarray(picture) == 150, shade, 255).astype(np.uint8))
    picture.save(tmp_path / "mesh.png")
    expected = np.asarray(picture.convert("L").resize((48, 96), Image.Resampling.BICUBIC))
    assert np.array_equal(read_projection(tmp_path / "mesh.png", 96, 48), expected)


def test_grey_rgb_palette_and_transparent_files_give_the_same(tmp_path: Path):
    picture = render()
    transparent = picture.convert("RGBA")
    transparent.putalpha(Image.fromarray((np.asarray(picture.convert("L")) < 255).astype(np.uint8) * 255))
    kinds = {"rgb": picture, "grey": picture.convert("L"), "palette": picture.quantize(4), "clear": transparent}
    for name, kind in kinds.items():
        kind.save(tmp_path / f"{name}.png")
        values = read_projection(tmp_path / f"{name}.png", 128, 64)
        assert values.dtype == np.uint8
        assert np.array_equal(values, np.asarray(picture.convert("L"))), name


@pytest.mark.parametrize("quality", [30, 75, 98])
def test_jpeg_noise_is_no_fault(tmp_path: Path, quality: int):
    render().save(tmp_path / "mesh.jpg", quality=quality)
    values = read_projection(tmp_path / "mesh.jpg", 256, 128)
    assert abs(int(values[128, 64]) - 150) < 5
    assert values[0, 0] > 250


def test_feet_may_stand_on_the_lower_edge_and_an_arm_may_touch_the_side(tmp_path: Path):
    picture = render(box=(0.2, 0.1, 0.8, 1.2))
    ImageDraw.Draw(picture).rectangle((0, 40, 32, 50), fill=GREY)
    picture.save(tmp_path / "mesh.png")
    assert read_projection(tmp_path / "mesh.png", 128, 64).min() == 150


def test_the_studys_own_ratio_is_as_good_as_two_to_one(tmp_path: Path):
    render((64, 192)).save(tmp_path / "mesh.png")
    render((64, 130)).save(tmp_path / "nearly.png")
    assert read_projection(tmp_path / "mesh.png", 96, 32).shape == (96, 32)
    assert read_projection(tmp_path / "nearly.png", 96, 32).shape == (96, 32)


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (
            render((224, 224), figure=BLUE),
            r"224 x 224 pixels; expected .* twice as high as wide.*HMR's own of 224 x 224",
        ),
        (render((128, 64)), "128 x 64 pixels"),
        (render((64, 140)), "64 x 140 pixels"),
        (render(figure=BLUE), r"coloured \(its channels differ by 50 of 255 on average\).*light blue"),
        (render(ground=(0, 0, 0)), "only 0% of the left, right and upper edge is white"),
        (render(ground=(90, 120, 60)), "only 0% of the left, right and upper edge is white"),
        (render(box=(-0.5, -0.5, 1.5, 1.5)), "upper edge is white"),
        (render(figure=(255, 255, 255)), r"0\.0% of the pixels are darker"),
        (render(box=(0.5, 0.5, 0.55, 0.55)), r"0\.\d% of the pixels are darker"),
    ],
)
def test_another_kind_of_picture_is_refused_with_the_reason(tmp_path: Path, picture: Image.Image, told: str):
    picture.save(tmp_path / "mesh.png")
    with pytest.raises(BadProjectionError, match=rf"mesh\.png.*{told}"):
        read_projection(tmp_path / "mesh.png", 128, 64)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (b"no picture", "cannot be read as a picture"),
        ("truncated", "cannot be read as a picture .*truncated"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | str | None, told: str):
    path = tmp_path / "mesh.png"
    if content == "truncated":
        render().save(path)
        path.write_bytes(path.read_bytes()[:200])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(BadProjectionError, match=rf"mesh\.png {told}"):
        read_projection(path, 128, 64)


def test_sixteen_bits_are_scaled_and_eight_in_their_place_are_no_projection(tmp_path: Path):
    grey = np.asarray(render().convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "scaled.png")
    np.testing.assert_array_equal(read_projection(tmp_path / "scaled.png", 128, 64), grey)
    Image.fromarray(grey.astype(np.uint16)).save(tmp_path / "mesh.png")  # 255 of 65,535 is black
    with pytest.raises(BadProjectionError, match=r"mesh\.png: only 0% .* is white"):
        read_projection(tmp_path / "mesh.png", 128, 64)
