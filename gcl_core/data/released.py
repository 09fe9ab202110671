"""Mesh projections made by others, as the authors released theirs: read, and refused when they are of another kind."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from gcl_core.data.pictures import BadPictureError, decode
from gcl_core.mesh.errors import MeshError

RATIO = 2.0  # height to width (§1.3)
RATIO_TOLERANCE = 0.05
WHITE = 235  # and above: the ground, with what JPEG makes of it
LEAST_WHITE_BORDER = 0.9  # of the left, right and upper edge; feet may stand on the lower one
FIGURE_SHARE = (0.01, 0.95)  # of all pixels
MOST_COLOUR = 12.0  # mean difference of a figure's colour channels that JPEG leaves in grey
WANTED = "expected a light-grey body on white, whole in the frame, twice as high as wide"


class BadProjectionError(MeshError):
    """A mesh projection is not usable; the text says which file, what was seen and what is expected."""


def read_projection(path: Path, height: int, width: int) -> UInt8[np.ndarray, "{height} {width}"]:
    """Read one projection as 8-bit grey at height × width, bicubic, white ground 255 (§1.3).

    Raises BadProjectionError: unreadable, neither 2:1 nor of the ratio asked for, coloured, no white ground, no figure.
    """
    try:
        picture, _ = decode(path)
    except BadPictureError as error:
        raise BadProjectionError(str(error)) from error
    tall = picture.height / picture.width
    if all(abs(tall / ratio - 1) > RATIO_TOLERANCE for ratio in (RATIO, height / width)):
        raise BadProjectionError(
            f"{path} has {picture.width} x {picture.height} pixels; {WANTED}. Square renders, such as HMR's own of "
            "224 x 224, must be rendered again for the picture's frame"
        )
    grey = picture.convert("L")
    values = np.asarray(grey)
    figure = values < WHITE
    border = np.concatenate([figure[:, 0], figure[:, -1], figure[0]])
    if (white := 1 - border.mean()) < LEAST_WHITE_BORDER:
        raise BadProjectionError(f"{path}: only {white:.0%} of the left, right and upper edge is white; {WANTED}")
    if not FIGURE_SHARE[0] <= (share := figure.mean()) <= FIGURE_SHARE[1]:
        raise BadProjectionError(f"{path}: {share:.1%} of the pixels are darker than the ground; {WANTED}")
    if picture.mode == "RGB" and (colour := _colour(picture, figure)) > MOST_COLOUR:
        raise BadProjectionError(
            f"{path}: the figure is coloured (its channels differ by {colour:.0f} of 255 on average); {WANTED}. HMR's "
            "renderer draws in light blue unless told otherwise"
        )
    return np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC))


def _colour(picture: Image.Image, figure: Bool[np.ndarray, "h w"]) -> float:
    """Return the mean, over the figure's pixels, of the largest difference between colour channels."""
    red, green, blue = np.asarray(picture)[figure].T
    darkest, lightest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    return float((lightest - darkest).mean())
