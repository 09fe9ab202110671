"""Clusterers side by side: where each sees clusters, and how good their pairs are."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.figures.style import COLOURS, MARKERS, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers
from gcl_core.measure.clusterers import RADII

VIVID = tuple(colour for colour in COLOURS if colour != "#949494")  # grey is for outliers


@styled()
def clusterer_figure(pictures: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Return maps of the same pictures (t-SNE) coloured by person and by each clusterer's labels, and pair agreement.

    Of the record `clustered_pictures` and `clusterer_table`.
    Colours and markers repeat; grey crosses are outliers. The last panel has a letter for each clusterer.
    """
    figure = new_figure(PAGE, 3.9)
    panels = figure.subplots(2, 4).ravel()
    rows = np.flatnonzero(pictures["x"].notna())
    places = pictures[["x", "y"]].to_numpy()[rows]
    people = np.unique(pictures["pid"], return_inverse=True)[1]
    _map_panel(panels[0], places, people[rows], f"people: {people.max() + 1}\n")
    letters = [chr(ord("A") + place) for place in range(len(table))]
    for axes, letter, line in zip(panels[1:], letters, table.to_dict("records"), strict=False):
        facts = f"{line['clusters']} clusters, ARI {line['ARI']:.2f}"
        _map_panel(
            axes, places, pictures[line["clusterer"]].to_numpy()[rows], f"{letter}  {line['clusterer']}\n{facts}"
        )
    _pair_panel(panels[len(table) + 1], letters, table)
    for axes in panels[len(table) + 2 :]:
        axes.set_axis_off()
    return figure


def _map_panel(axes: Axes, places: np.ndarray, groups: np.ndarray, title: str) -> None:
    axes.scatter(*places[groups < 0].T, s=4, color="0.6", marker="x", linewidths=0.4)
    looks = groups % (len(VIVID) * len(MARKERS))
    for look in np.unique(looks[groups >= 0]):
        chosen = (groups >= 0) & (looks == look)
        marker = MARKERS[look // len(VIVID)]
        axes.scatter(*places[chosen].T, s=4, color=VIVID[look % len(VIVID)], marker=marker, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=6.5)
    axes.spines[:].set_visible(True)


def _pair_panel(axes: Axes, letters: list[str], table: pd.DataFrame) -> None:
    recall, precision = numbers(table, "pair recall"), numbers(table, "pair precision")
    axes.plot(recall, precision, "o", color=COLOURS[0])
    for place, letter in enumerate(letters):
        side = 1 if place < len(RADII) else -1  # DBSCAN's letters to the right, so that near points stay readable
        where = (recall[place], precision[place])
        axes.annotate(letter, where, (5 * side, 0), textcoords="offset points", ha="center", va="center", fontsize=6.5)
    axes.margins(0.15)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines["right"].set_visible(True)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel="pair recall", ylabel="pair precision")
    axes.set_title("agreement of pairs\n", fontsize=6.5)
