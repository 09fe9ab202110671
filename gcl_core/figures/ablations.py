"""A picture of every variant's accuracy and clusters at its headline epoch."""

from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.figures.style import COLOURS, COLUMN, GREY, new_figure, styled
from gcl_core.measure.artifacts import headline_epochs, numbers, start_of_training, where

STANDING_OUT = ("gcl", "tda")
EXPLAINED = (
    "The highest mAP is first. Numbers are means, marks single seeds, rings single trainings of a seed; dashed: where "
    "joint training starts. The axes do not start at 0. GCL trains with drawn views, TDA with traditional data "
    "augmentation; L_vi, L'_vi and L''_vi are the paper's three view-invariant losses."
)


@styled()
def ablation_figure(study: Study, records: pd.DataFrame, repeats: pd.DataFrame) -> Figure:
    """Return mAP (%) and ARI of each variant's headline, the highest mAP first: means in numbers, a mark per seed.

    A ring is one of several trainings of a seed (`repeats`, the record of that name), a bar the mean of several seeds,
    a dashed line where training starts. Numbers stand beside their panel, where no line crosses them. GCL and TDA, the
    two that the study compares, have bold names.
    """
    heads = headline_epochs(study, records)
    means = {name: numbers(where(heads, stage=name), "map").mean() for name in study.variants}
    several = repeats.loc[repeats.duplicated(["variant", "seed"], keep=False)]
    order = sorted(means, key=lambda name: -means[name])
    figure = new_figure(COLUMN, 0.75 + 0.2 * len(order))
    panels = figure.subplots(1, 2, sharey=True)
    starts = {"map": where(records, stage="gcl", epoch=0), "ari": start_of_training(records)}
    for axes, column, scale, digits, ticks in zip(panels, starts, (100, 1), (1, 3), (3, 2), strict=True):
        start = scale * numbers(starts[column], column).mean()
        axes.axvline(start, color=GREY, linewidth=0.8, linestyle="--")
        axes.annotate("start", (start, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=6)
        for place, variant in enumerate(order):
            values = scale * numbers(where(heads, stage=variant), column)
            rings = scale * numbers(where(several, variant=variant), column)
            axes.plot(
                rings,
                [-place] * len(rings),
                "o",
                color=COLOURS[0],
                markersize=3,
                markerfacecolor="none",
                markeredgewidth=0.4,
            )
            axes.plot(values, [-place] * len(values), "o", color=COLOURS[0], markersize=3, alpha=0.8)
            if len(values) > 1:
                axes.plot([values.mean()] * 2, [-place - 0.3, -place + 0.3], color=COLOURS[0])
            beside: Any = ((1, -place), (3, 0), ("axes fraction", "data"), "offset points")
            axes.annotate(f"{values.mean():.{digits}f}", *beside, va="center", fontsize=6)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    panels[0].set(xlabel="mAP (%)", ylim=(0.6 - len(order), 0.6))
    titles = [fill(study.variants[name].title, 40) for name in order]
    panels[0].set_yticks([-place for place in range(len(order))], titles)
    for name, label in zip(order, panels[0].get_yticklabels(), strict=True):
        label.set_fontweight("bold" if name in STANDING_OUT else "normal")
    panels[1].set(xlabel="ARI")
    return figure
