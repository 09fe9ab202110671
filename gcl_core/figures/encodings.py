"""What the file format makes of drawn views before FID sees them (D19): lossless, as JPEG, and what differs."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.encoding import QUALITY, jpeg_round_trip
from gcl_core.figures.galleries import Person
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import draw_people

GAIN = 8  # the difference is shown that many times as strong


def measured_views(layout: Layout, people: PersonSet, rows: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 7 h w 3"]:
    """Return what the first of `evaluation.fid_variants` draws of `rows`, seed 0; raises RunError as `draw_people`."""
    return draw_people(layout, people, layout.study.evaluation.fid_variants[0], 0, rows)


def encoding_gallery(
    people: PersonSet, rows: Int64[np.ndarray, " n"], drawn: UInt8[np.ndarray, "n v h w 3"]
) -> list[Person]:
    """Return a gallery's people: the seven drawn views of `rows` lossless, read back from JPEG, and the difference."""
    gallery: list[Person] = []
    for row, views in zip(rows, drawn, strict=True):
        read = jpeg_round_trip(views)
        strong = np.minimum(GAIN * _difference(views, read), 255).astype(np.uint8)
        lossless: Sequence[np.ndarray | None] = [people.pictures[row], *views]
        gallery.append(
            {"as PNG": lossless, f"as JPEG {QUALITY}": [None, *read], f"{GAIN} x the difference": [None, *strong]}
        )
    return gallery


def encoding_reading(drawn: UInt8[np.ndarray, "n v h w 3"]) -> str:
    """Return in words by how many grey levels JPEG moves the drawn views of the gallery."""
    views = drawn.reshape(-1, *drawn.shape[2:])
    moved = _difference(views, jpeg_round_trip(views))
    mean, tenth, most = moved.mean(), np.quantile(moved, 0.9), moved.max()
    return (
        f"JPEG of quality {QUALITY} moves the {len(views)} views above by {mean:.1f} of 255 grey levels on average, a "
        f"tenth of their values by {tenth:.0f} and more, at worst by {most}. The pictures of the real datasets come as "
        "JPEG; drawn ones do only where they are measured as released."
    )


def _difference(one: np.ndarray, other: np.ndarray) -> Int64[np.ndarray, "..."]:
    return np.abs(one.astype(np.int64) - other)
