"""One picture file: whether it can be used, what must be converted, its pixels (§5.3)."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from gcl_core.data.index import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")  # whatever the suffix; none that starts another program
LARGEST = 50_000_000  # pixels: a photograph, not a crop of a person; decoding it takes 150 MB a thread
SMALLEST = 8  # pixels per side
SHRINK = "a picture shows one person, cut out of the scene: cut or shrink it"
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
CONVERSIONS = {"1": "1-bit", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette", "I": "16-bit grey"}
BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)
warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters is said here, with the file's name
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class BadPictureError(DataError):
    """One picture is not usable; the text says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class PictureFacts:
    """What a picture file holds: pixels after its EXIF orientation, and how it is brought to RGB (None: it is RGB)."""

    width: int
    height: int
    conversion: str | None


def read_whole(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode one picture to RGB at its own size; else as `read_picture`."""
    return np.asarray(decode(path)[0].convert("RGB"))


def read_picture(path: Path, height: int, width: int, mode: str = "RGB") -> UInt8[np.ndarray, "h w *c"]:
    """Decode one picture to `mode` (RGB or L) at height × width, bicubic (§5.3), values 0…255.

    It is turned upright by its EXIF orientation; 16-bit grey is scaled to 8 bits, what is transparent becomes white.
    Raises BadPictureError: missing, empty, unreadable, truncated, not a picture, too large or too small.
    """
    picture, _ = decode(path)
    return np.asarray(picture.convert(mode).resize((width, height), Image.Resampling.BICUBIC))


def inspect_picture(path: Path) -> PictureFacts:
    """Decode a picture in full and say its size and how it is converted, as in "CMYK, EXIF orientation 6".

    Raises BadPictureError as `read_picture` does.
    """
    picture, conversion = decode(path)
    return PictureFacts(picture.width, picture.height, conversion)


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's width and height when it stands upright; of one that does, only the head is read.

    Raises BadPictureError as `read_picture` does, as far as it shows there.
    """
    with _opened(path) as picture:
        if picture.getexif().get(ORIENTATION, 1) != 1:
            ImageOps.exif_transpose(picture, in_place=True)
        return picture.size


def decode(path: Path) -> tuple[Image.Image, str | None]:
    """Return a picture upright, in mode RGB or L and free of transparency, and what was converted.

    Raises BadPictureError as `read_picture` does.
    """
    with _opened(path) as picture:
        turn = picture.getexif().get(ORIENTATION, 1)
        ImageOps.exif_transpose(picture, in_place=True)
        flat, conversion = _flatten(path, picture)
    turned = f"EXIF orientation {turn}" if turn in range(2, 9) else None
    return flat, ", ".join(word for word in (conversion, turned) if word) or None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yield a picture that is not decoded yet; what its decoder raises in the block becomes a BadPictureError."""
    try:
        _check_file(path)
        ImageFile.LOAD_TRUNCATED_IMAGES = False  # some libraries set it: half a picture would pass as a grey one
        PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # what other programs note in a sound PNG
        with Image.open(path, formats=FORMATS) as picture:
            _check_size(path, picture.width, picture.height)
            yield picture
    except BadPictureError:
        raise
    except FileNotFoundError as error:
        if path.is_symlink():
            raise BadPictureError(
                f"{path} is a link to {os.readlink(path)}, which is not there; mount or fetch that, or remove the link"
            ) from error
        raise BadPictureError(f"{path} is missing; restore it, or remove the entry that names it") from error
    except PermissionError as error:
        raise BadPictureError(f"{path} may not be read (permission denied); give yourself the right to read") from error
    except Image.UnidentifiedImageError as error:
        raise BadPictureError(
            f"{path} cannot be read as a picture: its content is none of {', '.join(FORMATS)}; "
            "replace it with a sound copy"
        ) from error
    except BOMB as error:
        raise BadPictureError(f"{path} is too large: {error}; {SHRINK}") from error
    except BROKEN as error:  # all that decoders raise at broken bytes
        raise BadPictureError(f"{path} cannot be read as a picture ({error}); replace it with a sound copy") from error


def _check_file(path: Path) -> None:
    facts = path.stat()
    if S_ISDIR(facts.st_mode):
        raise BadPictureError(f"{path} is a folder, not a picture; move it out of the folder of pictures")
    if not S_ISREG(facts.st_mode):
        raise BadPictureError(f"{path} is no ordinary file; replace it with a picture")
    if facts.st_size == 0:
        raise BadPictureError(f"{path} is empty (0 bytes); replace it with a sound copy")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > LARGEST:
        raise BadPictureError(
            f"{path} is too large: {width} x {height} pixels, at most {LARGEST // 1_000_000} million are read; {SHRINK}"
        )
    if min(width, height) < SMALLEST:
        raise BadPictureError(
            f"{path} is too small: {width} x {height} pixels, a side must have {SMALLEST}; replace it or take it out"
        )


def _flatten(path: Path, picture: Image.Image) -> tuple[Image.Image, str | None]:
    """Return the picture in mode RGB or L, transparency over white, and what was converted (None: it was RGB)."""
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture.copy(), None
    if picture.mode.startswith("I"):  # I;16 and its byte orders; I is 32 bits wide
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise BadPictureError(f"{path} has grey values beyond 16 bits; save it with 8 bits a channel")
        if picture.mode == "I" and picture.format != "PNG" and values.max() < 256:
            raise BadPictureError(
                f"{path} has grey values of 32 bits and none above 255, so it may be of 8 bits or nearly black; "
                "save it with 8 bits a channel"
            )
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)), CONVERSIONS["I"]
    if picture.mode == "F":
        raise BadPictureError(f"{path} has floating-point values; save it with 8 bits a channel")
    conversion = CONVERSIONS.get(picture.mode, None if picture.mode.startswith("RGB") else picture.mode)
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        flat = Image.alpha_composite(white, colours).convert("RGB")
        return flat, f"{conversion} with transparency" if conversion else "transparency"
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB"), conversion
