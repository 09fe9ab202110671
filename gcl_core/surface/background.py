"""What stands behind a person: the picture, where the person was filled from the surroundings, widely in the middle."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import binary_propagation

from gcl_core.surface.loops import grow, halve, spread

REACH = 6 / 64  # picture heights from the body within which clothes, bags and the errors of a fit lie
UNLIKE = 60.0  # of 0..255, over three channels: what differs less from the background is background


def background(
    picture: UInt8[np.ndarray, "h w 3"], person: Bool[np.ndarray, "h w"], margin: float
) -> Float32[np.ndarray, "h w 3"]:
    """Return a picture without its person, of which `person` is the body, grown as `outline` does.

    Each pixel of the hole has the mean colour of the smallest block of known pixels around it, of blocks of 2, 4, 8 ...
    pixels, interpolated between blocks; it is mid-grey where the person is all there is.
    """
    return _filled(picture, ~outline(picture, person, margin))


def outline(
    picture: UInt8[np.ndarray, "h w 3"], person: Bool[np.ndarray, "h w"], margin: float
) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of a person: those of the body, grown by `margin` pixels, and what hangs together with it.

    What hangs together lies within REACH, differs from the background that is seen beyond by UNLIKE, and by at most
    half as much from the nearest of the body: skirts, bags, hair, and limbs that a fit has missed.
    """
    near, wide = grow(person, margin), grow(person, REACH * len(picture))
    if wide.all():  # nothing is known to be background
        return near
    colours = picture.astype(np.float32)
    beyond, body = (np.square(colours - _filled(picture, known)).sum(axis=2) for known in (~wide, person))
    return binary_propagation(near, mask=near | (wide & (4 * body < beyond) & (beyond > UNLIKE**2)))


def _filled(picture: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    levels = [(picture.astype(np.float32), known.astype(np.float32))]
    while (levels[-1][1] < 1).any() and max(levels[-1][1].shape) > 1:
        levels.append(halve(*levels[-1]))
    if not known.any():
        levels[-1][0][:] = 127.5
    for (colours, weights), (coarse, _) in zip(levels[-2::-1], levels[:0:-1], strict=True):
        spread(coarse, colours, weights)
    return levels[0][0]
