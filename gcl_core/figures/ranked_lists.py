"""Ranked lists: some queries and whom an encoder finds for them, right and wrong answers framed apart."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.queries import NOBODY, Retrieval, ranked_gallery
from gcl_core.figures.galleries import WHITE, canvas_figure, mark_columns
from gcl_core.figures.style import COLOURS, styled

SHOWN = 10  # gallery pictures of a query
RIGHT = {"edgecolor": COLOURS[0], "linestyle": "-"}
WRONG = {"edgecolor": COLOURS[3], "linestyle": (0, (2, 1.2))}


def choose_queries(average_precision: Float[np.ndarray, " q"], count: int) -> Int64[np.ndarray, " n"]:
    """Return `count` queries: half with the lowest average precision, half around the median, lowest first.

    Of an odd number the larger half is of the lowest; equals stand in listing order; queries without a match (NaN) are
    none. Fewer when there are fewer.
    """
    matched = np.flatnonzero(np.isfinite(average_precision))
    order = matched[np.argsort(average_precision[matched], kind="stable")]
    lowest = (count + 1) // 2
    others = count - lowest
    middle = max(lowest, (len(order) - others) // 2)
    return np.concatenate([order[:lowest], order[middle : middle + others]])


@styled()
def ranked_lists_figure(
    people: PersonSet,
    found: Mapping[str, Retrieval],
    queries: Int64[np.ndarray, " n"],
    differences: Float[np.ndarray, "q g"] | None = None,
) -> Figure:
    """Return each query once and, by each encoder of `found` (title → retrieval), its first ten gallery pictures.

    Solid blue frames: the query's person; dashed orange ones: anybody else. Left of a row stand the encoder and its
    average precision (AP); below a picture, where `differences` are given, by how many degrees its view differs from
    the query's.
    """
    height, width = people.pictures.shape[1:3]
    gap, between = max(2, width // 3), max(4, height // 5)
    lefts = [0, *(width + width // 2 + place * (width + gap) for place in range(SHOWN))]
    rows = [(query, title) for query in queries for title in found]
    tops = [place * (height + between) + place // len(found) * between for place in range(len(rows))]
    canvas = np.full((tops[-1] + height + between, lefts[-1] + width + gap, 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.95)
    mark_columns(axes, [(left + width / 2, str(rank)) for rank, left in enumerate(lefts[1:], 1)])
    mark_columns(axes, [(width / 2, "query")])
    query_rows, gallery_rows = people.rows("query"), people.rows("gallery")
    below: Any = {"textcoords": "offset points", "va": "top", "fontsize": 6}
    for (query, title), top in zip(rows, tops, strict=True):
        retrieval = found[title]
        if title == next(iter(found)):
            canvas[top : top + height, :width] = people.pictures[query_rows[query]]
        text = f"{textwrap.fill(title, 14)}\nAP {retrieval.result.average_precision[query]:.3f}"
        axes.annotate(text, (0, top + height / 2), (-4, 0), textcoords="offset points", ha="right", va="center")
        if differences is not None:
            axes.annotate("view differs by", (lefts[1], top + height), (-3, -2), ha="right", **below)
        right, lines = retrieval.right(int(query)), ranked_gallery(retrieval, np.array([query]), SHOWN)[0]
        for left, line in zip(lefts[1:], lines[lines != NOBODY], strict=False):
            canvas[top : top + height, left : left + width] = people.pictures[gallery_rows[line]]
            draw_frame(axes, left, top, width, height, right=bool(right[line]))
            if differences is not None:
                told = f"{differences[query, line]:.0f}°"
                axes.annotate(told, (left + width / 2, top + height), (0, -2), ha="center", **below)
    axes.images[0].set_data(canvas)
    return figure


def draw_frame(axes: Axes, left: int, top: int, width: int, height: int, *, right: bool) -> None:
    """Frame the picture whose first pixel is (left, top), right or wrong; pixel centres are at whole numbers."""
    frame = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, linewidth=1.5, clip_on=False)
    frame.set(**(RIGHT if right else WRONG))
    axes.add_patch(frame)
