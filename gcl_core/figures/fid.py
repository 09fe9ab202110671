"""FID of drawn views by their angle, ours beside the published values."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.measure.artifacts import where
from gcl_core.measure.published import published_fid
from gcl_core.measure.view_fid import mean_over_views
from gcl_core.mesh.projection import NOVEL
from gcl_core.tables.fid import ENCODINGS, Results

EXPLAINED = (
    "Ours are means over the seeds; thin lines, where there are several, single ones. The axis does not start at 0."
)
THIN: Any = {"linewidth": 0.5, "alpha": 0.6, "zorder": 1.5}


@styled()
def fid_figure(study: Study, table: pd.DataFrame, results: Results | None = None) -> Figure:
    """Return FID per view relative to its own mean over the views: shapes that can be compared across datasets.

    From `fid_table`; ours are in the headline's encoding, means over seeds. Where there are several, thin lines are the
    single ones of `results`, of which the table was made.
    """
    figure = new_figure(COLUMN, 2.6)
    axes = figure.subplots()
    curves = {f"published, {dataset}": values for dataset, values in published_fid().items()}
    looks: list[dict[str, Any]] = [{"color": GREY, "linestyle": dashes} for dashes in ("-", "--", ":")]
    variants = {variant.title: name for name, variant in study.variants.items()}
    ours = where(table, source="ours", measure="FID", encoding=ENCODINGS[study.evaluation.encoding])
    for line in ours.to_dict("records"):
        curves[f"ours, {line['method']}"] = {yaw: line[f"{yaw}°"] for yaw in NOVEL}
        looks.append(look(study, variants[line["method"]]))
    for (label, values), style in zip(curves.items(), looks, strict=True):
        mean = mean_over_views(values)
        axes.plot(NOVEL, [values[yaw] / mean for yaw in NOVEL], **{**style, "label": label})
    several = {name: seeds for name, seeds in (results or {}).items() if len(seeds) > 1}
    for name, result in ((name, result) for name, seeds in several.items() for result in seeds):
        own = {yaw: result["views"][study.evaluation.encoding][str(yaw)]["fid"] for yaw in NOVEL}
        mean, style = mean_over_views(own), look(study, name)
        thin = {"color": style["color"], "linestyle": style["linestyle"], **THIN}
        axes.plot(NOVEL, [own[yaw] / mean for yaw in NOVEL], **thin)
    axes.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="yaw of the drawn view (degrees)", ylabel="FID / its mean over the views", xticks=NOVEL)
    handles, labels = axes.get_legend_handles_labels()
    if several:
        handles, labels = [*handles, Line2D([], [], color=GREY, **THIN)], [*labels, "ours, one seed"]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=6, columnspacing=1, handlelength=2.5)
    return figure
