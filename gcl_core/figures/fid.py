"""FID of drawn views by their angle, ours beside the published values."""

from typing import Any

from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.measure.published import published_fid
from gcl_core.measure.view_fid import NOVEL, mean_over_views
from gcl_core.tables.fid import Results, mean_by_yaw


@styled()
def fid_figure(study: Study, results: Results) -> Figure:
    """Return FID per view relative to its own mean over the views: shapes that can be compared across datasets.

    Ours are in the headline's encoding.
    """
    figure = new_figure(COLUMN, 2.6)
    axes = figure.subplots()
    curves = {f"published, {dataset}": values for dataset, values in published_fid().items()}
    looks: list[dict[str, Any]] = [{"color": GREY, "linestyle": dashes} for dashes in ("-", "--", ":")]
    for variant, seeds in results.items():
        curves[f"ours, {study.variants[variant].title}"] = mean_by_yaw(seeds, study.evaluation.encoding)
        looks.append(look(study, variant))
    for (label, values), style in zip(curves.items(), looks, strict=True):
        mean = mean_over_views(values)
        axes.plot(NOVEL, [values[yaw] / mean for yaw in NOVEL], **{**style, "label": label})
    axes.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="yaw of the drawn view (degrees)", ylabel="FID / its mean over the views", xticks=NOVEL)
    figure.legend(loc="outside lower center", ncols=2, fontsize=6, columnspacing=1, handlelength=2.5)
    return figure
