"""Figure 2: the number of clusters over the epochs of joint training, beside the number of people."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import GREY, PAGE, look, new_figure, styled
from gcl_core.measure.artifacts import numbers, where
from gcl_core.tables.cluster_count import PUBLISHED, published_shares


@styled()
def cluster_count_figure(study: Study, table: pd.DataFrame, identities: int) -> Figure:
    """Return the curves of cluster number, ARI and NMI over epochs, mean and range over seeds.

    A solid line marks the true number of people, dotted ones in the runs' colours the published plateaus as shares of
    the true number: on Market-1501 that is where they were published.
    """
    figure = new_figure(PAGE, 2.3)
    panels = figure.subplots(1, 3)
    counts = panels[0]
    for run in dict.fromkeys(table["run"]):
        for axes, column in zip(panels, ("clusters", "ari", "nmi"), strict=True):
            _curve(axes, study, where(table, run=run), column)
        if run in PUBLISHED:
            share = published_shares()[run]
            style = {"color": look(study, run)["color"], "linewidth": 0.9, "linestyle": (0, (1, 2))}
            counts.axhline(share * identities, **style)
            _mark(counts, share * identities, f"published {PUBLISHED[run]}: {share:.2f}", GREY)
    counts.axhline(identities, color="black", linewidth=0.9)
    _mark(counts, float(identities), f"people: {identities}", "black")
    counts.margins(y=0.12)
    titles = ("clusters found", "agreement with people: ARI", "agreement with people: NMI")
    for axes, title, ylabel in zip(panels, titles, ("clusters", "ARI", "NMI"), strict=True):
        axes.set(title=title, xlabel="epoch (clustering before it)", ylabel=ylabel, xticks=_ticks(table))
    handles, labels = counts.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _curve(axes: Axes, study: Study, lines: pd.DataFrame, column: str) -> None:
    epochs = sorted(set(lines["epoch"]))
    values = [numbers(where(lines, epoch=epoch), column) for epoch in epochs]
    axes.plot(epochs, [value.mean() for value in values], **look(study, str(lines["run"].iloc[0])))
    low, high = [value.min() for value in values], [value.max() for value in values]
    axes.fill_between(epochs, low, high, color=axes.lines[-1].get_color(), alpha=0.18, linewidth=0)


def _mark(axes: Axes, height: float, text: str, colour: str) -> None:
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (2, 0)}
    axes.annotate(text, (1, height), va="center", fontsize=6, color=colour, **place)


def _ticks(table: pd.DataFrame) -> list[int]:
    last = int(numbers(table, "epoch").max())
    return list(range(1, last + 1, max(1, round(last / 10))))
