"""Accuracy on the three datasets in one picture: who was where, by what was read where, and ours where it was run."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers, where
from gcl_core.measure.published import DATASETS, UNSUPERVISED
from gcl_core.tables.accuracy import THIRD_PARTY_MARK
from gcl_core.tables.formats import NOT_RUN
from gcl_core.tables.three_datasets import CELLS

LOOKS = {  # source → its name in the legend, colour, marker, whether filled
    "published, verified": ("published, read in its source", GREY, "o", True),
    "published, third-party": (f"{THIRD_PARTY_MARK} transcribed elsewhere", GREY, "o", False),
    "ours": ("ours", COLOURS[0], "D", True),
}


@styled()
def dataset_accuracy_figure(table: pd.DataFrame) -> Figure:
    """Return mAP (%) without labels from `dataset_accuracy_table`: a panel a dataset, a row a method.

    Hollow marks are transcriptions on somebody else's page. Where ours has not been run, that is written in its row.
    """
    lines = where(table, setting=UNSUPERVISED)
    figure = new_figure(PAGE, 0.8 + 0.16 * len(lines))
    panels = figure.subplots(1, len(DATASETS), sharey=True, sharex=True)
    for axes, (dataset, name) in zip(panels, DATASETS.items(), strict=True):
        cells = lines[CELLS[dataset, "map"]]
        values = numbers(lines.assign(value=cells.where(cells != NOT_RUN).astype(float)), "value")
        for place, (source, value, cell) in enumerate(zip(lines["source"], values, cells, strict=True)):
            _, colour, marker, filled = LOOKS[source]
            if np.isfinite(value):
                axes.plot(value, place, marker=marker, color=colour, mfc=colour if filled else "white")
                axes.annotate(
                    f"{value:.1f}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=6
                )
            elif cell == NOT_RUN:
                axes.annotate(NOT_RUN, (2, place), va="center", fontsize=6, color=LOOKS["ours"][1])
        axes.set(title=name, xlabel="mAP (%)", xlim=(0, 100))
        axes.grid(visible=True, axis="both")
    panels[0].set_yticks(range(len(lines)), lines["method"])
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=colour if filled else "white", linestyle="")
        for _, colour, marker, filled in LOOKS.values()
    ]
    figure.legend(handles, [name for name, *_ in LOOKS.values()], loc="outside lower center", ncols=len(LOOKS))
    return figure
