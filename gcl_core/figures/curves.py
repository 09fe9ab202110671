"""Training curves of one run: losses, accuracy and clusters per epoch, and a paragraph that reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.figures.style import COLOURS, DASHES, GREY, MARKERS, PAGE, new_figure, styled
from gcl_core.losses.names import GROUPS, TITLES
from gcl_core.measure.artifacts import numbers

ACCURACY = {"map": "mAP", "rank1": "rank-1"}


@styled()
def training_figure(records: pd.DataFrame, *, identities: int | None = None) -> Figure:
    """Return small panels of what a run recorded: its losses by kind, and accuracy and clusters where it has them.

    `identities` is the true number of people, drawn as a line beside the clusters. The dashed line in the accuracy
    panel is the start (epoch 0).
    """
    groups = {title: [name for name in names if _has(records, name)] for title, names in GROUPS.items()}
    panels: list[tuple[str, Sequence[str]]] = [(title, names) for title, names in groups.items() if names]
    if _has(records, "map"):
        panels.append(("accuracy on the test people", list(ACCURACY)))
    if _has(records, "clusters"):
        panels.append(("clustering", ["clusters", "outliers"]))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(PAGE if columns > 1 else PAGE / 2, 2.3 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, names) in zip(grid, panels, strict=False):
        scale = 100 if "map" in names else 1
        for place, name in enumerate(names):
            _line(axes, records, name, place, scale)
        if "map" in names:
            axes.axhline(100 * numbers(records, "map")[0], color=GREY, linewidth=0.8, linestyle="--")
            axes.set_ylabel("%")
        if "clusters" in names and identities is not None:
            axes.axhline(identities, color="black", linewidth=0.8, label=f"true people: {identities}")
        axes.set(title=title, xlabel="epoch")
        axes.margins(y=0.15)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, columnspacing=1, handlelength=2.5)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _has(records: pd.DataFrame, name: str) -> bool:
    return name in records and bool(np.isfinite(numbers(records, name)).any())


def _known(records: pd.DataFrame, name: str) -> pd.DataFrame:
    return records.iloc[np.flatnonzero(np.isfinite(numbers(records, name)))]


def _line(axes: Axes, records: pd.DataFrame, name: str, place: int, scale: int) -> None:
    known = _known(records, name)
    label = {**TITLES, **ACCURACY}.get(name, name)
    style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": DASHES[place]}
    axes.plot(numbers(known, "epoch"), scale * numbers(known, name), label=label, **style)


def training_reading(records: pd.DataFrame, *, identities: int | None = None) -> str:
    """Return sentences that read a run's curves: accuracy from start to end, clusters at the end, how losses moved."""
    sentences = []
    if _has(records, "map"):
        known = _known(records, "map")
        epochs, maps, rank1 = (
            scale * numbers(known, name) for name, scale in (("epoch", 1), ("map", 100), ("rank1", 100))
        )
        if len(maps) == 1:  # of a checkpoint taken over, of given weights, or as today's evaluation measures them
            sentences.append(f"mAP is {maps[0]:.1f} %, rank-1 {rank1[0]:.1f} %, after epoch {epochs[0]:.0f}.")
        else:
            best = 1 + int(maps[1:].argmax())
            sentences.append(
                f"mAP goes from {maps[0]:.1f} % at the start to {maps[-1]:.1f} % after epoch {epochs[-1]:.0f} "
                f"({maps[-1] / maps[0]:.2f} times), rank-1 from {rank1[0]:.1f} % to {rank1[-1]:.1f} %. (Best on test, "
                f"not a headline: {maps[best]:.1f} % in epoch {epochs[best]:.0f}.)"
            )
    if _has(records, "clusters"):
        last = _known(records, "clusters").to_dict("records")[-1]
        truth = f", where there are {identities} people" if identities is not None else ""
        sentences.append(
            f"The last clustering finds {last['clusters']:.0f} clusters and {last['outliers']:.0f} outliers{truth}; "
            f"ARI {last['ari']:.3f}, purity {last['purity']:.3f}."
        )
    moved = []
    for name, title in TITLES.items():
        if _has(records, name):
            values = numbers(_known(records, name), name)
            moved.append(f"{title} {values[0]:.3g} → {values[-1]:.3g}")
    if moved:
        sentences.append(f"Losses, first to last epoch: {', '.join(moved)}.")
    return " ".join(sentences)
