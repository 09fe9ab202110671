"""What stands behind a person: the picture, where the person was filled from the surroundings, widely in the middle."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from gcl_core.surface.loops import grow, halve, spread


def background(
    picture: UInt8[np.ndarray, "h w 3"], person: Bool[np.ndarray, "h w"], margin: float
) -> Float32[np.ndarray, "h w 3"]:
    """Return a picture without its person, grown by `margin` pixels; mid-grey where the person is all there is.

    Each pixel of the hole has the mean colour of the smallest block of known pixels around it, of blocks of 2, 4, 8 ...
    pixels, interpolated between blocks.
    """
    known = ~grow(person, margin)
    levels = [(picture.astype(np.float32), known.astype(np.float32))]
    while (levels[-1][1] < 1).any() and max(levels[-1][1].shape) > 1:
        levels.append(halve(*levels[-1]))
    if not known.any():
        levels[-1][0][:] = 127.5
    for (colours, weights), (coarse, _) in zip(levels[-2::-1], levels[:0:-1], strict=True):
        spread(coarse, colours, weights)
    return levels[0][0]
