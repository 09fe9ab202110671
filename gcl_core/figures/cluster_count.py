"""Figure 2: the number of clusters over the epochs of joint training, beside the number of people."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.config import Study
from gcl_core.figures.style import GREY, PAGE, look, new_figure, styled
from gcl_core.measure.artifacts import numbers, where
from gcl_core.tables.cluster_count import PUBLISHED, published_shares

EXPLAINED = (
    "GCL trains with drawn views, TDA with traditional data augmentation. ARI and NMI: agreement of clusters with "
    "people, at most 1. Thick lines are means over seeds, thin ones, where there are several, single seeds; a seed "
    "trained several times counts by the mean of its trainings. Dotted: the paper's numbers on Market-1501, as shares "
    "of the people. The axes do not start at 0."
)


@styled()
def cluster_count_figure(study: Study, table: pd.DataFrame, identities: int) -> Figure:
    """Return the curves of cluster number, ARI and NMI over epochs: thick lines for means, thin ones for single seeds.

    A black line marks the true number of people, dotted ones in the runs' colours the published plateaus as shares of
    the true number: on Market-1501 that is where they were published. The axis of numbers is cut below all of these;
    ARI and NMI end at 1 and have one scale.
    """
    figure = new_figure(PAGE, 2.4)
    panels = figure.subplots(1, 3)
    counts = panels[0]
    for run in dict.fromkeys(table["run"]):
        for axes, column in zip(panels, ("clusters", "ari", "nmi"), strict=True):
            _curve(axes, study, where(table, run=run), column)
        if run in PUBLISHED:
            share = published_shares()[run]
            style = {"color": look(study, run)["color"], "linewidth": 0.9, "linestyle": (0, (1, 2))}
            counts.axhline(share * identities, **style)
            told = f"paper, {PUBLISHED[run]}: {share:.2f} of the people"
            _mark(counts, share * identities, told, table, 3 if share == max(published_shares().values()) else -3)
    counts.axhline(identities, color="black", linewidth=0.9)
    found, published = numbers(table, "clusters"), [share * identities for share in published_shares().values()]
    lowest, top = min(*published, found.min()), 1.1 * max(identities, found.max())
    bottom = lowest - 0.13 * (top - lowest)  # room for a text below the lowest line
    room = (identities - max(published)) / (top - bottom)  # below that line, for two texts
    _mark(counts, float(identities), f"people: {identities}", table, -3 if room > 0.18 else 3)
    counts.set_ylim(bottom, top)
    lowest = min(numbers(table, name).min() for name in ("ari", "nmi"))
    for axes in panels[1:]:
        axes.set_ylim(np.floor(10 * lowest) / 10, 1)
    titles = ("number of clusters", "agreement with people: ARI", "agreement with people: NMI")
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xlabel="epoch of joint training", xticks=_ticks(table))
    handles, labels = counts.get_legend_handles_labels()
    if len(set(table["seed"])) > 1:
        handles, labels = [*handles, Line2D([], [], color=GREY, linewidth=0.5)], [*labels, "one seed"]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _curve(axes: Axes, study: Study, lines: pd.DataFrame, column: str) -> None:
    epochs = sorted(set(lines["epoch"]))
    values = [numbers(where(lines, epoch=epoch), column) for epoch in epochs]
    style = look(study, str(lines["run"].iloc[0]))
    axes.plot(epochs, [value.mean() for value in values], **style)
    seeds = sorted(set(lines["seed"]))
    for own in (where(lines, seed=seed).sort_values("epoch") for seed in seeds[: len(seeds) * (len(seeds) > 1)]):
        thin = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 0.5, "alpha": 0.7}
        axes.plot(numbers(own, "epoch"), numbers(own, column), **thin)


def _mark(axes: Axes, height: float, text: str, table: pd.DataFrame, above: int) -> None:
    """Write a text so many points above a line, or below it, at the end where the curves are further from the line."""
    far = {
        end: np.abs(numbers(where(table, epoch=epoch), "clusters") - height).min()
        for end, epoch in (("left", table["epoch"].min()), ("right", table["epoch"].max()))
    }
    end = "left" if far["left"] > far["right"] else "right"
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (0, above)}
    x = 0.02 if end == "left" else 1
    axes.annotate(text, (x, height), ha=end, va="bottom" if above > 0 else "top", fontsize=6, **place)


def _ticks(table: pd.DataFrame) -> list[int]:
    last = int(numbers(table, "epoch").max())
    return list(range(1, last + 1, max(1, round(last / 10))))
