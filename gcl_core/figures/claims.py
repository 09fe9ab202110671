"""The claims in one picture: every effect on mAP with both of its intervals, beside the line of no effect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.evidence import MAP
from gcl_core.tables.claims import COMPUTE, OURS, decides
from gcl_core.tables.formats import NOT_RUN

LOOKS = {"reproduced": (COLOURS[2], "^"), "not reproduced": (COLOURS[3], "v"), "inconclusive": (COLOURS[0], "o")}
PLAIN = (GREY, "s")  # a row without a verdict


@styled()
def claims_figure(table: pd.DataFrame) -> Figure:
    """Return every effect on mAP of `claims_table` (points): a mark, thick interval over queries, thin over seeds.

    Filled marks decide a claim, hollow ones stand beside it. C8, whose place is the dose figure, and other metrics,
    which have other units, are left out. Without any effect the figure says `not run`.
    """
    lines = [line for line in table.to_dict("records") if _shown(line)]
    figure = new_figure(PAGE, 1.0 + 0.16 * max(3, len(lines)))
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for place, line in enumerate(lines):
        colour, marker = LOOKS.get(line["verdict"], PLAIN)
        for kind, width in (("seeds", 0.8), ("queries", 2.4)):
            ends = [line[f"low over {kind}"], line[f"high over {kind}"]]
            if np.isfinite(ends).all():
                axes.plot(ends, [place, place], color=colour, linewidth=width, alpha=0.6, solid_capstyle="butt")
        axes.plot(
            line["effect"], place, marker=marker, color=colour, mfc=colour if decides(line) else "white", markersize=4
        )
    axes.set_yticks(range(len(lines)), [_name(line) for line in lines])
    axes.set_ylim(max(2.5, len(lines) - 0.5), -0.5)
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
    names = [*marks, "beside the claim", "95 % over queries", "95 % over seeds"]
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def _shown(line: Mapping[str, Any]) -> bool:
    return line["metric"].startswith(MAP) and line["claim"] != "C8" and line["effect"] != NOT_RUN


def _name(line: Mapping[str, Any]) -> str:
    """Return a row's name: claim, comparison without its mark, and the metric where it is not plain mAP."""
    compared = line["compared"].removesuffix(OURS).removesuffix(COMPUTE)
    return f"{line['claim']}  {compared}" + ("" if line["metric"] == MAP else f", {line['metric'].split(', ')[1]}")
