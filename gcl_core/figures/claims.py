"""The claims in one picture: every effect on mAP with both of its intervals, beside the line of no effect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.evidence import MAP
from gcl_core.tables.claims import decides
from gcl_core.tables.formats import NOT_RUN

LOOKS = {
    "reproduced": (COLOURS[2], "^"),
    "contradicted": (COLOURS[3], "v"),
    "no difference of note": (COLOURS[1], "D"),
    "open": (COLOURS[0], "o"),
}
SIDES = {"above zero": LOOKS["reproduced"], "below zero": LOOKS["contradicted"]}  # hollow: ours, or a setting
PLAIN = (GREY, "s")  # a row without a verdict
WIDEST = 35  # points to each side: an interval over two seeds may reach far beyond what mAP can be


@styled()
def claims_figure(table: pd.DataFrame) -> Figure:
    """Return every effect on mAP of `claims_table` (points): a mark, thick interval over queries, thin over seeds.

    Filled marks decide a claim, hollow ones stand beside it or are ours. Other metrics, which have other units, are
    left out. Intervals are cut off at WIDEST. Without any effect the figure says `not run`.
    """
    lines = [line for line in table.to_dict("records") if _shown(line)]
    figure = new_figure(PAGE, 1.0 + 0.16 * max(3, len(lines)))
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for place, line in enumerate(lines):
        colour, marker = {**LOOKS, **SIDES}.get(line["verdict"], PLAIN)
        for kind, width in (("seeds", 0.8), ("queries", 2.4)):
            ends = [line[f"low over {kind}"], line[f"high over {kind}"]]
            if np.isfinite(ends).all():
                axes.plot(ends, [place, place], color=colour, linewidth=width, alpha=0.6, solid_capstyle="butt")
        axes.plot(
            line["effect"], place, marker=marker, color=colour, mfc=colour if decides(line) else "white", markersize=4
        )
    axes.set_yticks(range(len(lines)), [_name(line) for line in lines])
    axes.set_ylim(max(2.5, len(lines) - 0.5), -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -WIDEST), min(high, WIDEST))
    axes.set_xlabel("effect, in points of mAP")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    if not lines:
        axes.annotate(NOT_RUN, (0.5, 0.5), xycoords="axes fraction", ha="center")
        return figure
    marks = {"no verdict": PLAIN, **LOOKS}
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="") for colour, marker in marks.values()]
    handles += [Line2D([], [], color=GREY, marker="s", mfc="white", linestyle="")]
    handles += [Line2D([], [], color=GREY, linewidth=width) for width in (2.4, 0.8)]
    words = {"reproduced": "reproduced (ours: above zero)", "contradicted": "contradicted (ours: below zero)"}
    names = [words.get(mark, mark) for mark in marks]
    names += ["beside a claim, or ours", "95 % over queries", "95 % over seeds (decides)"]
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _shown(line: Mapping[str, Any]) -> bool:
    return line["metric"].startswith(MAP) and line["effect"] != NOT_RUN


def _name(line: Mapping[str, Any]) -> str:
    """Return a row's name: claim, comparison, and the metric where it is not plain mAP."""
    return f"{line['claim']}  {line['compared']}" + (
        "" if line["metric"] == MAP else f", {line['metric'].split(', ')[1]}"
    )
