"""Clusterers side by side: where each sees clusters, and how good their pairs are."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers

OWN, OTHER = COLOURS[0], COLOURS[3]
LETTERS = [(6, 0), (6, 0), (6, 0), (-6, 0), (-6, 4), (-2, -7)]  # points from a mark to its letter


@styled()
def clusterer_figure(pictures: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Return maps of the same pictures (t-SNE), one by person and one per clusterer, and how well pairs agree.

    Of the record `clustered_pictures` and `clusterer_table`. A line joins each picture with the middle of its group on
    the map; its colour says whether it shows the person that most pictures of its cluster show. Grey crosses are
    outliers. The last panel has a letter for each clusterer.
    """
    figure = new_figure(PAGE, 4.2)
    panels = figure.subplots(2, 4).ravel()
    rows = np.flatnonzero(pictures["x"].notna())
    places = pictures[["x", "y"]].to_numpy()[rows]
    people = np.unique(pictures["pid"], return_inverse=True)[1]
    _map_panel(panels[0], places, people[rows], people[rows], f"the true people: {people.max() + 1}\n")
    letters = [chr(ord("A") + place) for place in range(len(table))]
    for axes, letter, line in zip(panels[1:], letters, table.to_dict("records"), strict=False):
        title = f"{letter}  {line['clusterer']}\n{line['clusters']} clusters, ARI {line['ARI']:.2f}"
        _map_panel(axes, places, pictures[line["clusterer"]].to_numpy()[rows], people[rows], title)
    _pair_panel(panels[len(table) + 1], letters, table)
    for axes in panels[len(table) + 2 :]:
        axes.set_axis_off()
    marks: dict[str, Any] = {
        "shows the person of most pictures in its cluster": {"color": OWN, "marker": "o"},
        "shows another person": {"color": OTHER, "marker": "o"},
        "outlier, in no cluster": {"color": "0.6", "marker": "x"},
    }
    handles = [Line2D([], [], linestyle="", markersize=3, **mark) for mark in marks.values()]
    handles.append(Line2D([], [], color="0.75", linewidth=0.5))
    words = [*marks, "to the middle of its cluster (first map: of its person)"]
    figure.legend(handles, words, loc="outside lower center", ncols=2, fontsize=6, columnspacing=2, handlelength=1.2)
    return figure


def _map_panel(axes: Axes, places: np.ndarray, groups: np.ndarray, people: np.ndarray, title: str) -> None:
    members = groups >= 0
    axes.scatter(*places[~members].T, s=4, color="0.6", marker="x", linewidths=0.4)
    for group in np.unique(groups[members]):
        own = groups == group
        middle = np.broadcast_to(places[own].mean(axis=0), places[own].shape)
        axes.add_collection(
            LineCollection(list(np.stack([places[own], middle], axis=1)), colors="0.75", linewidths=0.4)
        )
        most = np.bincount(people[own]).argmax()
        colours = [OWN if person == most else OTHER for person in people[own]]
        axes.scatter(*places[own].T, s=3, color=colours, linewidths=0, zorder=3)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=6.5)
    axes.spines[:].set_visible(True)


def _pair_panel(axes: Axes, letters: list[str], table: pd.DataFrame) -> None:
    recall, precision = numbers(table, "pair recall"), numbers(table, "pair precision")
    axes.plot(recall, precision, "o", color=GREY)
    for place, letter in enumerate(letters):
        where, beside = (recall[place], precision[place]), LETTERS[place % len(LETTERS)]
        axes.annotate(letter, where, beside, textcoords="offset points", ha="center", va="center", fontsize=6.5)
    axes.margins(0.2)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines["right"].set_visible(True)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel="pair recall", ylabel="pair precision")
    axes.set_title("agreement of pairs\n", fontsize=6.5)
