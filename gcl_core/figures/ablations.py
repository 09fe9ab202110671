"""A picture of every variant's accuracy and clusters at its headline epoch."""

import pandas as pd
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.measure.artifacts import headline_epochs, numbers, where


@styled()
def ablation_figure(study: Study, records: pd.DataFrame) -> Figure:
    """Return mAP (%) and ARI of each variant's headline: one mark a seed, a bar at the mean, a line at the start."""
    heads = headline_epochs(study, records)
    figure = new_figure(COLUMN, 0.7 + 0.24 * len(study.variants))
    panels = figure.subplots(1, 2, sharey=True)
    places = {variant: -place for place, variant in enumerate(study.variants)}
    for axes, column, scale in zip(panels, ("map", "ari"), (100, 1), strict=True):
        for variant, place in places.items():
            values = scale * numbers(where(heads, stage=variant), column)
            style = look(study, variant)
            axes.plot(values, [place] * len(values), linestyle="", marker=style["marker"], color=style["color"])
            axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=style["color"])
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.15)
    start = 100 * numbers(where(records, stage="gcl", epoch=0), "map").mean()
    panels[0].axvline(start, color=GREY, linewidth=0.8, linestyle="--")
    panels[0].annotate("start", (start, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=6)
    panels[0].set(xlabel="mAP (%)", yticks=list(places.values()), ylim=(-len(places) + 0.4, 0.6))
    panels[0].set_yticklabels([study.variants[variant].title for variant in places])
    panels[1].set(xlabel="ARI")
    return figure
