"""A picture of every variant's accuracy and clusters at its headline epoch."""

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import COLOURS, COLUMN, GREY, new_figure, styled
from gcl_core.measure.artifacts import headline_epochs, numbers, start_of_training, where

STANDING_OUT = ("gcl", "tda")


@styled()
def ablation_figure(study: Study, records: pd.DataFrame, repeats: pd.DataFrame) -> Figure:
    """Return mAP (%) and ARI of each variant's headline, the highest mAP first: means in numbers, a mark per seed.

    A ring is one of several trainings of a seed (`repeats`, the record of that name), a bar the mean of several seeds,
    a dashed line where training starts. GCL and TDA, the two that the study compares, have bold names.
    """
    heads = headline_epochs(study, records)
    means = {name: numbers(where(heads, stage=name), "map").mean() for name in study.variants}
    several = repeats.loc[repeats.duplicated(["variant", "seed"], keep=False)]
    order = sorted(means, key=lambda name: -means[name])
    figure = new_figure(COLUMN, 0.75 + 0.2 * len(order))
    panels = figure.subplots(1, 2, sharey=True)
    starts = {"map": where(records, stage="gcl", epoch=0), "ari": start_of_training(records)}
    for axes, column, scale, digits in zip(panels, starts, (100, 1), (1, 2), strict=True):
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
            beside = (max([*values, *rings]), -place)
            text = f"{values.mean():.{digits}f}"
            behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # the dashed line goes no further
            axes.annotate(text, beside, (4, 0), textcoords="offset points", va="center", fontsize=6, bbox=behind)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        low, high = axes.get_xlim()
        axes.set_xlim(low - 0.05 * (high - low), high + 0.45 * (high - low))  # room for the numbers
    panels[0].set(xlabel="mAP (%)", ylim=(0.6 - len(order), 0.6))
    titles = [fill(study.variants[name].title, 40) for name in order]
    panels[0].set_yticks([-place for place in range(len(order))], titles)
    for name, label in zip(order, panels[0].get_yticklabels(), strict=True):
        label.set_fontweight("bold" if name in STANDING_OUT else "normal")
    panels[1].set(xlabel="ARI")
    return figure
