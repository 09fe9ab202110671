"""mAP over the epochs of stage 3, and how far each variant is ahead of TDA and of copies by then."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from gcl_core.config import Study
from gcl_core.figures.style import PAGE, VARIANTS, look, new_figure, styled
from gcl_core.measure.artifacts import numbers, where
from gcl_core.tables.by_epoch import CONTROLS, columns_against

MARKED = 8  # epochs at most, of those that were measured
EXPLAINED = "Means over seeds; the band is GCL's 95 % interval over seeds, where there are three or more."


@styled()
def by_epoch_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the curves of `by_epoch_table`: mAP of every variant, and its difference from TDA and from copies.

    Blurred true views and changed settings are left out, for there are many of them; so is what trains on true
    identities, far above all others. The axes mark epochs that were measured, and no others.
    """
    drawn = [
        name
        for name in dict.fromkeys(table["variant"])
        if study.variants[name].purpose not in ("dose", "setting")
        and study.of_variant(name).clustering.method != "identities"
    ]
    controls = [name for name in CONTROLS if columns_against(name)[0] in table]
    panels = {"mAP": "mAP (%)"}
    panels |= {columns_against(name)[0]: f"mAP minus that of {CONTROLS[name]} (points)" for name in controls}
    figure = new_figure(PAGE, 2.3 + 0.13 * -(-len(drawn) // 3))
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    measured = sorted({float(epoch) for epoch in numbers(table.loc[table["variant"].isin(drawn)], "epoch")})
    for axes, (column, title) in zip(grid, panels.items(), strict=True):
        for name in drawn:
            lines = where(table, variant=name)
            lines = lines.iloc[np.flatnonzero(np.isfinite(numbers(lines, column)))]
            axes.plot(numbers(lines, "epoch"), numbers(lines, column), **look(study, name))
        axes.set(title=title, xlabel="epoch of stage 3")
        axes.xaxis.set_major_locator(FixedLocator(measured[:: -(-len(measured) // MARKED)]))
    lines = where(table, variant="gcl")
    for axes, control in zip(grid[1:], controls, strict=True):
        axes.axhline(0, color="black", linewidth=0.8)
        ends = [numbers(lines, end) for end in columns_against(control)[1:]]
        axes.fill_between(numbers(lines, "epoch"), *ends, color=VARIANTS["gcl"], alpha=0.15, linewidth=0)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=3)
    return figure
