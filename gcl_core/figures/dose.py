"""How good views must be to help: a plot of the gain over TDA against the quality of the views given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.figures.style import GREY, PAGE, VARIANTS, new_figure, styled
from gcl_core.measure.evidence import PSNR
from gcl_core.tables.claim_words import titles
from gcl_core.tables.claims import shown_interval
from gcl_core.tables.dose import GAIN, NOT_PLANNED, placed

APART = 0.05  # of the axis' width: labels stand at least so far from each other
BESIDE = 0.012  # and so do points


def dose_caption(table: pd.DataFrame, words: str) -> str:
    """Return the caption of the figure of a `dose_table`; `words` say of which profile and seeds it is."""
    lines = placed(table)
    low, _, right, high = _ends(lines)
    shares = [(min(line[PSNR], right) - low) / (high - low) for line in lines]
    moved = "; points of nearly the same quality are moved a little to the right of each other"
    told = moved if not np.allclose(_spread(shares, BESIDE), shares) else ""
    return f"Gain in mAP over TDA by the quality of the views given, with 95 % intervals, {words}{told}."


@styled()
def dose_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the gain in mAP over PSNR of the views given, from `dose_table`, with both intervals, each point labelled.

    A hollow point was not planned. True views stand at the right, at infinity, beyond a break of the axis. Rungs
    without a PSNR or a gain are left out; those with nearly the same PSNR are moved apart a little.
    """
    lines = placed(table)
    low, last, right, high = _ends(lines)
    figure = new_figure(PAGE, 3.1)
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=0.8)
    named: dict[str, Line2D] = {}
    infinite, span = high > right, high - low
    places = [low + span * each for each in _spread([(min(line[PSNR], right) - low) / span for line in lines], BESIDE)]
    for line, place in zip(lines, places, strict=True):
        colour, gain = VARIANTS.get(line["rung"], GREY), line[GAIN]
        for kind, width, cap in (("seeds", 0.8, 2), ("queries", 2.4, 0)):
            bar: dict[str, Any] = {"ecolor": colour, "elinewidth": width, "capsize": cap, "alpha": 0.6, "fmt": "none"}
            if ends := shown_interval(line, kind):
                axes.errorbar([place], [gain], [[gain - ends[0]], [ends[1] - gain]], **bar)
                named[f"95 % interval over {kind}"] = Line2D([], [], color=GREY, linewidth=width)
        fill = "white" if line["verdict"] == NOT_PLANNED else colour  # hollow, as all that decides nothing
        if line["verdict"] == NOT_PLANNED:
            named["hollow: not planned"] = Line2D([], [], color=GREY, marker="o", mfc="white", linestyle="")
        named_so = titles(study).get(line["rung"], line["rung"])
        axes.plot([place], [gain], "o", color=colour, mfc=fill, zorder=3, label=named_so)
    ticks = {tick: f"{tick:g}" for tick in MaxNLocator(5, integer=True).tick_values(low, high) if low <= tick <= high}
    if infinite:
        ticks = {tick: text for tick, text in ticks.items() if tick <= last} | {right: "∞"}
        _break(axes, (last + right) / 2, 0.006 * span)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set(xlabel="PSNR of the person in the views given (dB)", ylabel="gain in mAP over TDA (points)")
    axes.set_xlim(low, high)
    axes.margins(y=0.08)
    labels = [str(line.get_label()) for line in axes.lines if line.get_marker() == "o"]
    above = _spread([(place - low) / span for place in places], APART)
    for label, place, foot in zip(labels, places, above, strict=True):
        arrow = {"arrowstyle": "-", "color": "0.7", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (place, 1), (foot, 1.06), ("data", "axes fraction"), "axes fraction", arrowprops=arrow)
        axes.annotate(label, (foot, 1.07), xycoords="axes fraction", rotation=30, ha="left", va="bottom", fontsize=6.5)
    if named:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3)
    return figure


def _ends(lines: Sequence[Mapping[str, Any]]) -> tuple[float, float, float, float]:
    """Return of the axis: where it begins, where its numbers end, where infinity is drawn, where it ends."""
    finite = [line[PSNR] for line in lines if np.isfinite(line[PSNR])] or [0.0]
    low, last = min(finite) - 1, max(finite) + 1
    right = last + max(2.0, 0.2 * (last - low))
    return low, last, right, right + 1 if len(finite) < len(lines) else last


def _break(axes: Axes, place: float, half: float) -> None:
    """Break the axis at a place: a gap between two strokes."""
    across = axes.get_xaxis_transform()
    axes.plot(
        [place - half, place + half], [0, 0], color="white", linewidth=3, transform=across, clip_on=False, zorder=5
    )
    for end in (place - half, place + half):
        ends = [end - 0.6 * half, end + 0.6 * half]
        axes.plot(ends, [-0.02, 0.02], color="black", linewidth=0.8, transform=across, clip_on=False, zorder=6)


def _spread(places: list[float], apart: float) -> list[float]:
    """Return places, which are in order, moved to the right as far as they must be to stand so far apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max([place, *(moved[-1:] and [moved[-1] + apart])]))
    return moved
