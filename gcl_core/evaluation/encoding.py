"""What a file format makes of drawn pictures: PNG keeps every pixel, JPEG of quality 75 is the release's (D19)."""

import io
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import PIL.Image
from jaxtyping import UInt8

Encoding = Literal["png", "jpeg75"]
QUALITY = 75  # Pillow's default, which the release leaves as it is (D19)


def jpeg_round_trip(pictures: UInt8[np.ndarray, "n h w 3"], quality: int = QUALITY) -> UInt8[np.ndarray, "n h w 3"]:
    """Return 8-bit RGB pictures as they are read back from JPEG files that Pillow wrote; the input stays as it is.

    Raises ValueError for pictures of another type or shape, or a quality outside 1 ... 95.
    Source: METHOD.md §7.1.5, §8 D19.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"JPEG quality {quality}: expected 1 ... 95; above, Pillow leaves parts of the encoding out")
    decoded = np.empty_like(_checked(pictures))
    for place, picture in enumerate(pictures):  # threads do not help with pictures as small as these
        stream = io.BytesIO()
        PIL.Image.fromarray(picture).save(stream, format="JPEG", quality=quality)
        with PIL.Image.open(stream) as image:
            decoded[place] = image
    return decoded


def png_round_trip(pictures: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Return the pictures themselves: PNG is lossless. Raises ValueError as `jpeg_round_trip` does."""
    return _checked(pictures)


ROUND_TRIPS: Mapping[Encoding, Callable[[UInt8[np.ndarray, "n h w 3"]], UInt8[np.ndarray, "n h w 3"]]] = {
    "png": png_round_trip,
    "jpeg75": jpeg_round_trip,
}


def _checked(pictures: np.ndarray) -> np.ndarray:
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(
            f"pictures of type {pictures.dtype} and shape {pictures.shape}: expected 8-bit RGB, uint8 of (n, h, w, 3)"
        )
    return pictures
