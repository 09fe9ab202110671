"""How good views must be to help: a plot of the gain over TDA against the quality of the views given."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.measure.evidence import PSNR
from gcl_core.tables.dose import placed
from gcl_core.tables.formats import NOT_RUN


@styled()
def dose_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the gain in mAP over PSNR of the views given, from `dose_table`, with both intervals; GCL's place marked.

    True views stand at the right, at infinity. Rungs without a PSNR or a gain are left out.
    """
    lines = placed(table)
    finite = [line[PSNR] for line in lines if np.isfinite(line[PSNR])] or [0.0]
    low, high = min(finite) - 1, max(finite) + 1
    right = high + max(2.0, 0.2 * (high - low))  # where infinity is drawn
    figure = new_figure(COLUMN, 2.7)
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=0.8)
    dose: dict[str, Any] = {"color": GREY, "marker": "s", "label": "views of given quality"}
    marks = {
        "copy": {**dose, "marker": "X", "label": "copies, no new view"},
        "true_views": {**dose, "marker": "^", "label": "true views"},
        "drawn_once": {**look(study, "gcl"), "mfc": "none", "label": "views drawn once"},
        "gcl": look(study, "gcl"),
    }
    named: dict[str, Any] = {}  # one entry for all rungs of a kind
    for line in lines:
        place, style = min(line[PSNR], right), {**marks.get(line["rung"], dose), "linestyle": ""}
        gain = line["gain in mAP"]
        for kind, width, cap in (("seeds", 0.8, 2), ("queries", 2.4, 0)):
            ends = [[gain - line[f"low over {kind}"]], [line[f"high over {kind}"] - gain]]
            bar = {"ecolor": style["color"], "elinewidth": width, "capsize": cap, "alpha": 0.6, "fmt": "none"}
            if np.isfinite(ends).all():
                named[f"95 % over {kind}"] = axes.errorbar([place], [gain], ends, **bar)
        named[style["label"]] = axes.plot([place], [gain], zorder=3, **style)[0]
    ticks = {tick: f"{tick:g}" for tick in MaxNLocator(5, integer=True).tick_values(low, high) if low <= tick <= high}
    if any(np.isinf(line[PSNR]) for line in lines):
        ticks[right], high = "∞", right + 1
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set(xlabel="PSNR of the person in the views given (dB)", ylabel="gain in mAP over TDA (points)")
    axes.set_xlim(low, high)
    axes.margins(y=0.08)
    if lines:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=2)
    else:
        axes.annotate(NOT_RUN, (0.5, 0.6), xycoords="axes fraction", ha="center")
    return figure
