"""Table 1 of the supplement: FID per view, published beside ours, and the orderings it claims (§7.1)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.reporting.artifacts import spread
from gcl_core.reporting.published import published_fid
from gcl_core.reporting.style import COLUMN, GREY, look, new_figure, styled

NOVEL = (45, 90, 135, 180, 225, 270, 315)
FULL_RANK = 2048  # pictures for a full-rank covariance of Inception's features (§7.1.6)
Results = Mapping[str, list[dict[str, Any]]]  # variant → view_fid of each seed
Floor = Mapping[str, Mapping[str, Any]]  # real_floor


def values_by_yaw(seeds: list[dict[str, Any]], measure: str = "fid") -> dict[int, np.ndarray]:
    """Return a measure of a variant's `view_fid`: yaw → one value a seed."""
    yaws = sorted(int(yaw) for yaw in seeds[0]["views"])
    return {yaw: np.array([result["views"][str(yaw)][measure] for result in seeds]) for yaw in yaws}


def mean_by_yaw(seeds: list[dict[str, Any]], measure: str = "fid") -> dict[int, float]:
    """Return a measure of a variant's `view_fid`: yaw → mean over seeds."""
    return {yaw: float(values.mean()) for yaw, values in values_by_yaw(seeds, measure).items()}


def mean_over_views(values: Mapping[int, float]) -> float:
    """Return the mean over the seven novel views."""
    return float(np.mean([values[yaw] for yaw in NOVEL]))


def fid_table(study: Study, results: Results, floor: Floor) -> pd.DataFrame:
    """Return Table 1: published FID, ours per variant (mean and half range over seeds), KID, and the real floor.

    Column 0° is the reconstruction; `mean` is over the seven novel views. `pictures` says how many a view were drawn.
    """
    rows: list[dict[str, Any]] = [
        {"source": "published", "method": "GCL", "data": dataset, "measure": "FID", **_cells(values)}
        for dataset, values in published_fid().items()
    ]
    for measure, name, scale in (("fid", "FID", 1), ("kid", "1000 KID", 1000)):
        for variant, seeds in results.items():
            facts = {"source": "ours", "method": study.variants[variant].title, "data": study.dataset}
            facts |= {"pictures": seeds[0]["pictures"]}
            values = {yaw: scale * value for yaw, value in values_by_yaw(seeds, measure).items()}
            rows.append({**facts, "measure": name, **_cells({yaw: value.mean() for yaw, value in values.items()})})
            if len(seeds) > 1:
                cells = {f"{yaw}°": spread(value) for yaw, value in values.items()}
                cells["mean"] = spread(np.mean([values[yaw] for yaw in NOVEL], axis=0))
                rows.append({**facts, "measure": f"± {name}, {len(seeds)} seeds", **cells})
        for kind, title in (("halves", "real against other real"), ("gallery", "real gallery against real")):
            facts = {"source": "ours", "method": title, "data": study.dataset, "pictures": int(floor[kind]["pictures"])}
            rows.append({**facts, "measure": name, "mean": scale * floor[kind][measure]})
    columns = ["source", "method", "data", "measure", "pictures", *(f"{yaw}°" for yaw in (0, *NOVEL)), "mean"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pictures": "Int64"})


def _cells(values: Mapping[int, float]) -> dict[str, float]:
    return {**{f"{yaw}°": float(value) for yaw, value in values.items()}, "mean": mean_over_views(values)}


def ordering_checks(values: Mapping[int, float]) -> dict[str, bool]:
    """Return which orderings of the published table hold for one FID per novel yaw (45 ... 315 → FID).

    In all three published datasets the best three are {45, 180, 315}, best of all is 180 or 315, the worst is 90 and
    the second worst 270. Raises ValueError when a view is missing. Source: METHOD.md §7.1.
    """
    order = _best_first(values)
    return {
        "best three are 45°, 180°, 315°": set(order[:3]) == {45, 180, 315},
        "best is 180° or 315°": order[0] in (180, 315),
        "worst is 90°": order[-1] == 90,
        "second worst is 270°": order[-2] == 270,
    }


def _best_first(values: Mapping[int, float]) -> list[int]:
    missing = sorted(set(NOVEL) - set(values))
    if missing:
        raise ValueError(f"no FID for the views at {missing} degrees; the orderings need all seven")
    return sorted(NOVEL, key=lambda yaw: values[yaw])


def ordering_table(study: Study, results: Results) -> pd.DataFrame:
    """Return the orderings for each published dataset and each of our variants (mean over seeds), and the order."""
    sets = {("published", dataset): values for dataset, values in published_fid().items()}
    sets |= {("ours", study.variants[variant].title): mean_by_yaw(seeds) for variant, seeds in results.items()}
    rows = []
    for (source, name), values in sets.items():
        order = " ".join(f"{yaw}°" for yaw in _best_first(values))
        rows.append({"source": source, "of": name, **ordering_checks(values), "best to worst": order})
    return pd.DataFrame(rows)


@styled()
def fid_figure(study: Study, results: Results) -> Figure:
    """Return FID per view relative to its own mean over the views: shapes that can be compared across datasets."""
    figure = new_figure(COLUMN, 2.6)
    axes = figure.subplots()
    curves = {f"published, {dataset}": values for dataset, values in published_fid().items()}
    looks: list[dict[str, Any]] = [{"color": GREY, "linestyle": dashes} for dashes in ("-", "--", ":")]
    for variant, seeds in results.items():
        curves[f"ours, {study.variants[variant].title}"] = mean_by_yaw(seeds)
        looks.append(look(study, variant))
    for (label, values), style in zip(curves.items(), looks, strict=True):
        mean = mean_over_views(values)
        axes.plot(NOVEL, [values[yaw] / mean for yaw in NOVEL], **{**style, "label": label})
    axes.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="yaw of the drawn view (degrees)", ylabel="FID / its mean over the views", xticks=NOVEL)
    figure.legend(loc="outside lower center", ncols=2, fontsize=6, columnspacing=1, handlelength=2.5)
    return figure


def fid_reading(study: Study, results: Results, floor: Floor) -> str:
    """Return a paragraph that reads Table 1 from the numbers, with a warning when pictures are too few for FID."""
    pictures = next(iter(results.values()))[0]["pictures"]
    sentences = [f"FID over {pictures} drawn pictures a view, {study.seeds} seed{'s' if study.seeds > 1 else ''}."]
    for variant, seeds in results.items():
        values = mean_by_yaw(seeds)
        checks, order = ordering_checks(values), _best_first(values)
        failed = [name for name, holds in checks.items() if not holds]
        sentences.append(
            f"**{study.variants[variant].title}**: mean {mean_over_views(values):.1f}, best at {order[0]}° "
            f"({values[order[0]]:.1f}), worst at {order[-1]}° ({values[order[-1]]:.1f}), reconstruction "
            f"{values[0]:.1f}; {len(checks) - len(failed)} of {len(checks)} published orderings hold"
            + (f" (not: {'; '.join(failed)})." if failed else ".")
        )
    halves = floor["halves"]
    sentences.append(
        f"Real against real gives {halves['fid']:.1f} ({halves['pictures']} against {halves['reference']} pictures), "
        f"the gallery against the training set {floor['gallery']['fid']:.1f}: only what is above that is the drawing's."
    )
    if pictures < FULL_RANK:
        sentences.append(
            f"**Warning**: {pictures} pictures a view are fewer than {FULL_RANK}; FID is then biased upwards, so its "
            "level says nothing beside the published one. Compare views and variants with each other, or read KID."
        )
    return " ".join(sentences)
