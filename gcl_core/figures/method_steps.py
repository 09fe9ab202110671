"""What a step of joint training looks like: pictures side by side, sizes of gradients, rows of the memory that move."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from gcl_core.figures.style import COLOURS, COLUMN, GREY, PAGE, new_figure, styled


@styled()
def pictures_figure(
    rows: Mapping[str, UInt8[np.ndarray, "n h w ..."]],
    *,
    beneath: Mapping[str, Sequence[str]] | None = None,
    above: Sequence[str] = (),
) -> Figure:
    """Return rows of pictures (RGB or grey), labelled on the left; column i of every row belongs together.

    `beneath` has a text for each picture of the rows that it names, `above` one for each column.
    """
    texts, first = beneath or {}, next(iter(rows.values()))
    height, width = first.shape[1:3]
    label, gap, header = 1.1, 0.05, 0.18 if above else 0.02  # inches
    wide = min((PAGE - label) / len(first) - gap, 0.5)
    tall = wide * height / width
    line = {name: 0.14 if name in texts else gap for name in rows}
    whole = header + len(rows) * tall + sum(line.values())
    page = label + len(first) * (wide + gap)
    figure, top = new_figure(page, whole), whole - header
    figure.set_layout_engine("none")
    for name, pictures in rows.items():
        top -= tall
        figure.text((label - 0.08) / page, (top + tall / 2) / whole, name, ha="right", va="center", fontsize=6.5)
        for place, shown in enumerate(pictures):
            left = label + place * (wide + gap)
            axes = figure.add_axes((left / page, top / whole, wide / page, tall / whole))
            axes.imshow(shown, cmap="gray", vmin=0, vmax=255, aspect="auto")
            axes.set_axis_off()
            if above and name == next(iter(rows)):
                axes.set_title(above[place], fontsize=6.5, pad=2)
            if name in texts:
                axes.annotate(
                    texts[name][place],
                    (0.5, 0),
                    (0, -1.5),
                    "axes fraction",
                    "offset points",
                    ha="center",
                    va="top",
                    fontsize=6,
                )
        top -= line[name]
    return figure


@styled()
def gradient_figure(norms: pd.DataFrame) -> Figure:
    """Return the lengths of gradients as a table of shades: a row per loss, a column per network; blank where 0."""
    figure = new_figure(PAGE * 0.8, 0.7 + 0.2 * len(norms))
    axes = figure.subplots()
    values = norms.to_numpy(dtype=np.float64)
    found = np.where(values > 0, values, np.nan)
    scale = LogNorm(np.nanmin(found), np.nanmax(found))
    axes.imshow(found, cmap="Blues", norm=scale, aspect="auto")
    axes.set_xticks(range(len(norms.columns)), [str(name).replace(", ", ",\n") for name in norms.columns])
    axes.set_yticks(range(len(norms)), norms.index)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        text = (f"{value:.0f}" if value >= 10 else f"{value:.2g}") if value > 0 else ""
        dark = value > 0 and scale(value) > 0.6
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="white" if dark else "black")
    return figure


@styled()
def memory_figure(before: Float[np.ndarray, "n d"], after: Float[np.ndarray, "n d"]) -> Figure:
    """Return the rows of a memory bank before a step, in their two main directions, and arrows for those that moved."""
    centre = before.mean(axis=0)
    _, _, directions = np.linalg.svd(before - centre, full_matrices=False)
    old, new = (rows @ directions[:2].T - centre @ directions[:2].T for rows in (before, after))
    moved = np.flatnonzero((before != after).any(axis=1))
    figure = new_figure(COLUMN * 1.3, COLUMN)
    axes = figure.subplots()
    axes.scatter(*old.T, s=5, color=GREY, alpha=0.5, linewidths=0, label="rows that stay")
    axes.scatter(*old[moved].T, s=14, color=COLOURS[0], label="before the step", zorder=3)
    axes.scatter(*new[moved].T, s=16, color=COLOURS[3], marker="D", label="after the step", zorder=3)
    for row in moved:
        axes.annotate("", new[row], old[row], arrowprops={"arrowstyle": "->", "linewidth": 0.8}, zorder=2)
    axes.set(xlabel="first principal direction", ylabel="second principal direction")
    axes.grid(visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncol=3, handletextpad=0.2, columnspacing=1)
    return figure
