"""Single pictures: correct conversions, by hand-made pixels, and every kind of unusable file."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from gcl_core.data.pictures import BadPictureError, PictureFacts, inspect_picture, picture_size, read_picture

HEIGHT, WIDTH = 24, 16


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _whole(path: Path, mode: str = "RGB") -> np.ndarray:
    """Read at the picture's own size, where resizing changes nothing."""
    facts = inspect_picture(path)
    return read_picture(path, facts.height, facts.width, mode)


def _png(width: int, height: int) -> bytes:
    """A PNG whose header promises a size and whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
    )


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png"])
@pytest.mark.parametrize("stored", ["RGB", "L"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_pictures_are_only_decoded_and_resized(tmp_path: Path, suffix: str, stored: str, mode: str):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_noise(HEIGHT, WIDTH, 3)).convert(stored).save(path)
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert(mode).resize((10, 30), Image.Resampling.BICUBIC))
    found = read_picture(path, 30, 10, mode)
    assert found.dtype == np.uint8
    assert found.tobytes() == expected.tobytes()
    assert inspect_picture(path) == PictureFacts(WIDTH, HEIGHT, "grey" if stored == "L" else None)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),  # the camera lay on its side: turn clockwise
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, upright, suffix: str):
    pixels, path, exif = _noise(HEIGHT, WIDTH, 3), tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    expected = upright(pixels)
    np.testing.assert_array_equal(_whole(path), expected)
    assert inspect_picture(path) == PictureFacts(
        expected.shape[1], expected.shape[0], f"EXIF orientation {orientation}"
    )
    assert picture_size(path) == (expected.shape[1], expected.shape[0])


def test_the_size_of_an_upright_picture_is_read_without_its_pixels(tmp_path: Path):
    Image.fromarray(_noise(240, 160, 3)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    assert picture_size(tmp_path / "a.jpg") == (160, 240)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(BadPictureError, match=r"a\.jpg cannot be read as a picture"):
        picture_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["PNG", "TIFF of 32 bits"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, kind: str):
    values, path = np.zeros((8, 8), dtype=np.uint16), tmp_path / "a.png"
    values[0] = [0, 128, 129, 257, 514, 128 * 257, 65534, 65535]
    Image.fromarray(values if kind == "PNG" else values.astype(np.int32)).save(path, format=kind.split()[0])
    assert list(_whole(path, "L")[0]) == [0, 0, 1, 1, 2, 128, 255, 255]
    assert list(_whole(path)[0, 5]) == [128, 128, 128]
    assert inspect_picture(path).conversion == "16-bit grey"


@pytest.mark.parametrize("values", [np.full((9, 9), 65536, np.int32), np.full((9, 9), -1, np.int32)])
def test_grey_beyond_16_bits_is_refused(tmp_path: Path, values: np.ndarray):
    Image.fromarray(values).save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(BadPictureError, match=r"a\.png has grey values beyond 16 bits; save it with 8 bits"):
        inspect_picture(tmp_path / "a.png")


def test_32_bit_grey_that_may_be_of_8_bits_is_refused(tmp_path: Path):
    Image.fromarray(np.full((9, 9), 255, np.int32)).save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(BadPictureError, match=r"a\.png has grey values of 32 bits and none above 255"):
        inspect_picture(tmp_path / "a.png")


def test_floating_point_pixels_are_refused(tmp_path: Path):
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(BadPictureError, match=r"a\.png has floating-point values"):
        read_picture(tmp_path / "a.png", 8, 8)


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_colours_and_its_transparent_entry(tmp_path: Path, transparent: bool):
    places = np.arange(100, dtype=np.uint8).reshape(10, 10) % 3
    picture, path = Image.fromarray(places, mode="P"), tmp_path / "a.png"
    picture.putpalette([200, 10, 20, 0, 0, 0, 30, 40, 250])
    picture.info |= {"transparency": 1} if transparent else {}
    picture.save(path)
    colours = np.array([[200, 10, 20], [255] * 3 if transparent else [0] * 3, [30, 40, 250]])
    np.testing.assert_array_equal(_whole(path), colours[places])
    assert inspect_picture(path).conversion == ("palette with transparency" if transparent else "palette")


@pytest.mark.parametrize(
    ("ink", "seen"), [((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255, 255, 255))]
)
def test_cmyk_jpeg_has_its_true_colours(tmp_path: Path, ink: tuple[int, ...], seen: tuple[int, ...]):
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (16, 16), ink).save(path)
    assert b"Adobe" in path.read_bytes()  # such files hold inverted values
    np.testing.assert_allclose(_whole(path).reshape(-1, 3) - np.array(seen), 0, atol=2)
    assert inspect_picture(path).conversion == "CMYK"


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str):
    pixels, path = np.zeros((9, 9, len(mode)), dtype=np.uint8), tmp_path / "a.png"
    pixels[..., :-1], pixels[:3, :, -1], pixels[3:6, :, -1] = 60, 255, 128  # then wholly transparent
    Image.fromarray(pixels, mode=mode).save(path)
    rows = _whole(path)[:, 0, 0].astype(int)
    assert list(rows[:3]) == [60] * 3
    np.testing.assert_allclose(rows[3:6], 60 * 128 / 255 + 127, atol=1)
    assert list(rows[6:]) == [255] * 3
    assert inspect_picture(path).conversion == ("transparency" if mode == "RGBA" else "grey with transparency")


def test_transparent_colour_of_an_rgb_png_becomes_white(tmp_path: Path):
    pixels = np.zeros((9, 9, 3), dtype=np.uint8)
    pixels[4:] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(10, 200, 30))
    assert np.unique(_whole(tmp_path / "a.png")[4:]).tolist() == [255]
    assert np.unique(_whole(tmp_path / "a.png")[:4]).tolist() == [0]


def test_1_bit_pictures_are_black_and_white(tmp_path: Path):
    bits = _noise(12, 12) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(_whole(tmp_path / "a.png", "L"), bits * np.uint8(255))
    assert inspect_picture(tmp_path / "a.png").conversion == "1-bit"


def _make_bad(kind: str, path: Path) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes among files here")
        os.mkfifo(path)
    elif kind == "postscript":
        Image.new("RGB", (99, 99)).save(path, format="EPS")  # Pillow would start another program to draw it
    elif kind == "too small":
        Image.new("RGB", (7, 300)).save(path)
    elif kind == "a dead link":
        path.symlink_to("annex/0002_c1.jpg")
    elif kind.startswith("truncated"):
        Image.fromarray(_noise(120, 60, 3)).save(path, format=kind.split()[1])
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind != "missing":
        contents = {"empty": b"", "text": b"not found\n"}
        contents |= {"too large": _png(9000, 9000), "a bomb": _png(60000, 60000)}
        path.write_bytes(contents[kind])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "is missing; restore it"),
        ("a dead link", r"is a link to annex/0002_c1\.jpg, which is not there; mount or fetch that"),
        ("empty", r"is empty \(0 bytes\)"),
        ("text", "cannot be read as a picture: its content is none of JPEG"),
        ("postscript", "cannot be read as a picture: its content is none of JPEG"),
        ("truncated JPEG", r"cannot be read as a picture \(image file is truncated"),
        ("truncated PNG", r"cannot be read as a picture \(image file is truncated"),
        ("folder", "is a folder, not a picture"),
        ("pipe", "is no ordinary file"),
        ("too small", "is too small: 7 x 300 pixels"),
        ("too large", "is too large: 9000 x 9000 pixels, at most 50 million"),  # by the header: its pixels are missing
        ("a bomb", "is too large"),
    ],
)
def test_unusable_files_are_named_and_explained(tmp_path: Path, kind: str, words: str):
    path = tmp_path / "0002_c1.jpg"
    _make_bad(kind, path)
    for read in (inspect_picture, lambda path: read_picture(path, 8, 8)):
        with pytest.raises(BadPictureError, match=rf"0002_c1\.jpg {words}"):
            read(path)


def test_what_other_programs_note_in_a_sound_picture_does_not_matter(tmp_path: Path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "x" * 3_000_000, zip=True)  # above Pillow's own limit of a megabyte
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png", pnginfo=notes)
    assert inspect_picture(tmp_path / "a.png") == PictureFacts(16, 24, None)


def test_pillow_itself_says_nothing_which_would_name_no_file(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(_png(9000, 12000))  # above the size at which it warns
    code = "from pathlib import Path\nfrom gcl_core.data.pictures import *\n"
    code += "try:\n    inspect_picture(Path('a.png'))\nexcept BadPictureError as error:\n    print(error)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert answer.stderr == ""
    assert answer.stdout.startswith("a.png is too large: 9000 x 12000 pixels")


def test_truncation_is_found_where_another_library_made_pillow_lenient(tmp_path: Path, monkeypatch):
    _make_bad("truncated JPEG", tmp_path / "a.jpg")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(BadPictureError, match="truncated"):
        inspect_picture(tmp_path / "a.jpg")


def test_a_picture_without_the_right_to_read_it(unprivileged):
    folder = Path(tempfile.mkdtemp())
    try:
        Image.new("RGB", (9, 9)).save(folder / "a.png")
        folder.chmod(0o755)
        (folder / "a.png").chmod(0)
        with unprivileged(), pytest.raises(BadPictureError, match=r"a\.png may not be read \(permission denied\)"):
            inspect_picture(folder / "a.png")
    finally:
        shutil.rmtree(folder)
