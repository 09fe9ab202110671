"""A clustering in six panels: distances and ε, sizes, purity, who is split, and two maps of the feature space."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcl_core.figures.style import BRIGHT, COLOURS, GREY, MARKERS, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers, where
from gcl_core.measure.clustered import HIGHLIGHTED

EXPLAINED = (
    f"The two maps show the same pictures (t-SNE of the features). Those of {HIGHLIGHTED} people chosen at random have "
    "a colour and a marker: one for each person on the left and, given anew, one for each of their pseudo labels on "
    "the right, where black crosses are outliers, those of these pictures that are in no cluster. Pictures of "
    "everybody else are grey."
)


@styled()
def clustering_figure(pictures: pd.DataFrame, distances: pd.DataFrame, split: pd.DataFrame, *, eps: float) -> Figure:
    """Return six panels: distances with ε, cluster sizes, purity, who is split, and two t-SNE maps.

    Of the records `clustered_pictures` and `clustered_distances`, and `split_of_people`. The maps show the same
    pictures: some people in colour, by identity and by pseudo label (crosses: outliers).
    """
    figure = new_figure(PAGE, 4.4)
    panels = figure.subplots(2, 3)
    labels, identities = pictures["label"].to_numpy(), pictures["pid"].to_numpy()
    _distance_panel(panels[0, 0], distances, eps)
    draw_sizes(panels[0, 1], labels, identities)
    _split_panel(panels[0, 2], split)
    _purity_panel(panels[1, 0], labels, identities)
    on_map = np.flatnonzero(pictures["x"].notna())
    places, shown = pictures[["x", "y"]].to_numpy()[on_map], pictures["coloured"].to_numpy()[on_map]
    draw_map(panels[1, 1], places, shown, identities[on_map], "t-SNE, colour: person")
    draw_map(panels[1, 2], places, shown, labels[on_map], "the same, colour: pseudo label")
    return figure


def _distance_panel(axes: Axes, distances: pd.DataFrame, eps: float) -> None:
    for kind, label, colour, line in (
        ("same", "same person", COLOURS[0], "-"),
        ("different", "different", COLOURS[1], "--"),
    ):
        own = where(distances, kind=kind)
        low, pairs = numbers(own, "low"), numbers(own, "pairs")
        looks: Any = {"histtype": "step", "color": colour, "linestyle": line, "linewidth": 1.2, "label": label}
        axes.hist(low, [*low, 1.0], weights=pairs, **looks)
    axes.axvline(eps, ymax=0.85, color="black", linewidth=0.8)
    axes.set(title="pairs nearer than 1", xlabel=f"Jaccard distance (line: ε = {eps:.3f})", ylabel="pairs")
    axes.set_yscale("log")
    axes.set_ylim(top=8 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper center", ncols=2, columnspacing=1)


def draw_sizes(axes: Axes, labels: Int64[np.ndarray, " n"], identities: Int64[np.ndarray, " n"]) -> None:
    """Draw the sizes of clusters beside the true numbers of pictures per person, each the largest first."""
    found = np.bincount(labels[labels >= 0])
    true = np.unique(identities, return_counts=True)[1]
    for sizes, label, colour, line in ((found, "clusters", COLOURS[2], "-"), (true, "people", GREY, "--")):
        sizes, dot = np.sort(sizes)[::-1], "o" if len(sizes) == 1 else None  # one step has no length
        places = np.arange(1, len(sizes) + 1)
        axes.step(places, sizes, where="mid", color=colour, linestyle=line, marker=dot, label=label)
    axes.set(title="sizes, largest first", xlabel="cluster or person", ylabel="pictures")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _split_panel(axes: Axes, split: pd.DataFrame) -> None:
    title = str(split.columns[0])
    axes.bar(split[title], split["together"].fillna(0), color=COLOURS[0], width=0.7)
    for place, (share, pairs) in enumerate(zip(split["together"], split["pairs"], strict=True)):
        text = f"{share:.2f}" if pairs else "no pair"
        axes.annotate(
            text, (place, share if pairs else 0), (0, 2), textcoords="offset points", ha="center", fontsize=6.5
        )
    axes.set(title="pairs of one person in one cluster", xlabel=title, ylabel="share of pairs", ylim=(0, 1.1))


def _purity_panel(axes: Axes, labels: Int64[np.ndarray, " n"], identities: Int64[np.ndarray, " n"]) -> None:
    members = labels >= 0
    table = pd.crosstab(labels[members], identities[members])
    purity = (table.max(axis=1) / table.sum(axis=1)).to_numpy() if len(table) else np.zeros(0)
    axes.hist(purity, np.linspace(0, 1, 21).tolist(), color=COLOURS[2])
    axes.set(title="purity of clusters", xlabel="share of the cluster's main person", ylabel="clusters", xlim=(0, 1.02))
    if not len(purity):
        axes.set_ylim(0, 1)


def draw_map(axes: Axes, places: np.ndarray, shown: np.ndarray, groups: np.ndarray, title: str) -> None:
    """Draw a map: pictures that are `shown` have a colour and marker a group, those of group -1 are crosses."""
    axes.scatter(*places[~shown].T, s=3, color="0.85", linewidths=0)
    named = [group for group in np.unique(groups[shown]) if group >= 0 or "label" not in title]
    for place, group in enumerate(named):
        chosen = shown & (groups == group)
        marker = MARKERS[(place // len(BRIGHT) + place) % len(MARKERS)]
        axes.scatter(*places[chosen].T, s=9, color=BRIGHT[place % len(BRIGHT)], marker=marker, linewidths=0)
    outliers = shown & (groups < 0)
    axes.scatter(*places[outliers].T, s=9, color="black", marker="x", linewidths=0.6)
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
