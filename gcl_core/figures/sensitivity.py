"""Curves of accuracy over the values of single settings."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers
from gcl_core.measure.evidence import PARAMETERS, UNCHANGED
from gcl_core.tables.formats import NOT_RUN
from gcl_core.tables.sensitivity import CURVES


@styled()
def sensitivity_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return mAP (%) over the values of each setting that was run, from `sensitivity_table`: a panel a setting.

    A line at the mean over seeds, a small mark a seed where there are several; a ring at the value that everything else
    is run with. Settings that no variant of the study changes have no panel.
    """
    run = table.iloc[np.flatnonzero(table["mAP"].to_numpy() != NOT_RUN)].set_index("variant")
    points = {parameter: _points(study, run, parameter) for parameter in CURVES}
    shown = {parameter: lines for parameter, lines in points.items() if len(lines) > 1}
    if not shown:
        raise ValueError("no setting has two values that were run: there is no curve to draw")
    figure = new_figure(PAGE, 1.9)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (parameter, lines) in zip(panels, shown.items(), strict=True):
        _curve(axes, lines, _setting(study, UNCHANGED, parameter))
        axes.set_xlabel(CURVES[parameter])
    panels[0].set_ylabel("mAP (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _setting(study: Study, variant: str, parameter: str) -> float | int:
    """Return the value of a setting that a variant is trained with; of several angles, how many."""
    value: Any = attrgetter(PARAMETERS[parameter])(study.of_variant(variant))
    return len(value) if isinstance(value, Sequence) else value


def _points(study: Study, run: pd.DataFrame, parameter: str) -> pd.DataFrame:
    """Return the runs that differ in one setting, in the order of its value, which is their index."""
    changing = {name for name, each in study.variants.items() if each.purpose == "setting"}
    changing = {name for name in changing if list(study.variants[name].changes) == [PARAMETERS[parameter]]}
    names = [name for name in run.index if name in {UNCHANGED, *changing}]
    values = [_setting(study, str(name), parameter) for name in names]
    return run.loc[names].set_axis(values).sort_index()


def _curve(axes: Axes, lines: pd.DataFrame, unchanged: float | int) -> None:
    """Draw a curve over the values themselves, on a logarithmic axis where the largest is four times the least."""
    places, seeds = lines.index.to_numpy(dtype=np.float64), lines.columns[:-2]
    if places[0] > 0 and places[-1] >= 4 * places[0]:
        axes.set_xscale("log")
        axes.minorticks_off()
    for place, name in enumerate(seeds if len(seeds) > 1 else ()):
        axes.plot(places, numbers(lines, name), ".", color=GREY, label="" if place else "one seed")
    means = numbers(lines, "mAP")
    axes.plot(places, means, marker="o", color=COLOURS[0], label="mean" if len(seeds) > 1 else "one seed")
    ring = lines.index.get_loc(unchanged)
    axes.plot(places[ring], means[ring], "o", markersize=8, mfc="none", color="black", label="as everywhere else")
    axes.set_xticks(places, [f"{value:g}" for value in places])
    axes.margins(x=0.15, y=0.1)
