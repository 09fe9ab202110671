"""Where the colour of each pixel of a carried view comes from: its names, and a picture of it that can be read back."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gcl_core.surface.views import BACKGROUND, FILLED, MIRRORED, SEEN

NAMES = {BACKGROUND: "background", FILLED: "filled", MIRRORED: "mirrored", SEEN: "seen"}
MEANINGS = {  # of the sources on the body
    SEEN: "the picture's own colour at that place of the body",
    MIRRORED: "the picture's own colour at the other side of the body",
    FILLED: "a guess from what is around it",
}
COLOURS = np.array(  # of each source, told apart by all eyes: the brighter, the less of a guess
    [[0, 0, 0], [86, 60, 130], [60, 150, 160], [250, 220, 60]], dtype=np.uint8
)


def sources_png(sources: UInt8[np.ndarray, "h w"]) -> bytes:
    """Return sources as a PNG: its values are the sources, its palette shows them in COLOURS."""
    picture, stream = Image.fromarray(sources, mode="P"), io.BytesIO()
    picture.putpalette(COLOURS.tobytes())
    picture.save(stream, format="png")
    return stream.getvalue()
