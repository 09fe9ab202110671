"""Ranked lists of pictures of one's own: each query and the gallery pictures most similar to it."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gcl_core.data.pictures import read_picture
from gcl_core.figures.galleries import WHITE, canvas_figure, mark_columns
from gcl_core.figures.style import styled

COLUMNS = 10  # gallery pictures that a row shows
ROWS = 50  # queries that are drawn: more would make a picture that no viewer opens


@styled()
def search_figure(found: pd.DataFrame, *, height: int, width: int) -> Figure:
    """Return one row per query, of the first ROWS: the query, then the most similar pictures, cosine similarity below.

    `found` is what `rank_gallery` returns; pictures are drawn at `height` x `width` pixels. Nobody knows here who is
    who, so no frame says right or wrong.
    """
    queries = found["query"].unique()[:ROWS]
    shown = min(COLUMNS, int(found["rank"].to_numpy().max()))
    gap, between = max(2, width // 8), max(4, height // 5)
    lefts = [0, *(width + width // 2 + place * (width + gap) for place in range(shown))]
    tops = [place * (height + between) for place in range(len(queries))]
    canvas = np.full((tops[-1] + height + between, lefts[-1] + width + gap, 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.1)
    mark_columns(axes, [(width / 2, "query")])
    mark_columns(axes, [(left + width / 2, str(rank)) for rank, left in enumerate(lefts[1:], 1)])
    for query, top in zip(queries, tops, strict=True):
        lines = found[found["query"] == query].head(shown)
        files = [query, *lines["file"]]
        for file, left in zip(files, lefts, strict=False):
            canvas[top : top + height, left : left + width] = read_picture(Path(file), height, width)
        for left, similarity in zip(lefts[1:], lines["similarity"], strict=False):
            below = (left + width / 2, top + height)
            text = f"{similarity:.2f}"
            axes.annotate(text, below, (0, -2), textcoords="offset points", ha="center", va="top", fontsize=6)
    axes.images[0].set_data(canvas)
    return figure
