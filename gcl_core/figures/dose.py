"""How good views must be to help: a plot of the gain over TDA against the quality of the views given."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.figures.style import GREY, PAGE, VARIANTS, new_figure, styled
from gcl_core.measure.evidence import PSNR
from gcl_core.tables.claim_words import titles
from gcl_core.tables.dose import GAIN, placed

APART = 0.05  # of the axis' width: labels stand at least so far from each other


@styled()
def dose_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the gain in mAP over PSNR of the views given, from `dose_table`, with both intervals, each point labelled.

    True views stand at the right, at infinity. Rungs without a PSNR or a gain are left out.
    """
    lines = placed(table)
    finite = [line[PSNR] for line in lines if np.isfinite(line[PSNR])] or [0.0]
    low, high = min(finite) - 1, max(finite) + 1
    right = high + max(2.0, 0.2 * (high - low))  # where infinity is drawn
    figure = new_figure(PAGE, 3.1)
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=0.8)
    named: dict[str, Line2D] = {}
    places = [min(line[PSNR], right) for line in lines]
    for line, place in zip(lines, places, strict=True):
        colour, gain = VARIANTS.get(line["rung"], GREY), line[GAIN]
        for kind, width, cap in (("seeds", 0.8, 2), ("queries", 2.4, 0)):
            ends = [[gain - line[f"low over {kind}"]], [line[f"high over {kind}"] - gain]]
            bar: dict[str, Any] = {"ecolor": colour, "elinewidth": width, "capsize": cap, "alpha": 0.6, "fmt": "none"}
            if np.isfinite(ends).all():
                axes.errorbar([place], [gain], ends, **bar)
                named[f"95 % interval over {kind}"] = Line2D([], [], color=GREY, linewidth=width)
        axes.plot([place], [gain], "o", color=colour, zorder=3, label=titles(study).get(line["rung"], line["rung"]))
    ticks = {tick: f"{tick:g}" for tick in MaxNLocator(5, integer=True).tick_values(low, high) if low <= tick <= high}
    if any(np.isinf(line[PSNR]) for line in lines):
        ticks[right], high = "∞", right + 1
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set(xlabel="PSNR of the person in the views given (dB)", ylabel="gain in mAP over TDA (points)")
    axes.set_xlim(low, high)
    axes.margins(y=0.08)
    labels = [str(line.get_label()) for line in axes.lines if line.get_marker() == "o"]
    above = _spread([(place - low) / (high - low) for place in places])
    for label, place, foot in zip(labels, places, above, strict=True):
        arrow = {"arrowstyle": "-", "color": "0.7", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (place, 1), (foot, 1.06), ("data", "axes fraction"), "axes fraction", arrowprops=arrow)
        axes.annotate(label, (foot, 1.07), xycoords="axes fraction", rotation=30, ha="left", va="bottom", fontsize=6.5)
    if named:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=2)
    return figure


def _spread(places: list[float]) -> list[float]:
    """Return places, which are in order, moved to the right as far as they must be to stand apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max([place, *(moved[-1:] and [moved[-1] + APART])]))
    return moved
