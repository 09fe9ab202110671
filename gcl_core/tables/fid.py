"""Table 1 of the supplement: FID per view, published beside ours, and the orderings it claims (§7.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from gcl_core.config import Study
from gcl_core.evaluation.encoding import Encoding
from gcl_core.measure.artifacts import spread
from gcl_core.measure.published import published_fid
from gcl_core.measure.view_fid import mean_over_views
from gcl_core.mesh.projection import NOVEL

WITHOUT_315 = "mean without 315°"  # the release never trains that view (D1)
ENCODINGS: dict[Encoding, str] = {"png": "PNG", "jpeg75": "JPEG 75"}  # of drawn pictures (D19)
VIEW_COLUMNS = [*(f"{yaw}°" for yaw in (0, *NOVEL)), "mean", WITHOUT_315]
FULL_RANK = 2048  # pictures for a full-rank covariance of Inception's features (§7.1.6)
MEASURES = {  # key of view_fid → name and scale
    "fid": ("FID", 1),
    "fid_matched": ("FID, equal N", 1),
    "kid": ("1000 KID", 1000),
    "kid_std": ("± 1000 KID, over subsets", 1000),
}
Results = Mapping[str, Sequence[dict[str, Any]]]  # variant → view_fid of each seed
Floor = Mapping[str, Mapping[str, Any]]  # real_floor


def values_by_yaw(
    seeds: Sequence[dict[str, Any]], encoding: Encoding, measure: str = "fid"
) -> dict[int, Float64[np.ndarray, " s"]]:
    """Return a measure of a variant's `view_fid` in one encoding: yaw → one value per seed."""
    yaws = sorted(int(yaw) for yaw in seeds[0]["views"][encoding])
    return {yaw: np.array([result["views"][encoding][str(yaw)][measure] for result in seeds]) for yaw in yaws}


def mean_by_yaw(seeds: Sequence[dict[str, Any]], encoding: Encoding) -> dict[int, float]:
    """Return FID of a variant's `view_fid` in one encoding: yaw → mean over seeds."""
    return {yaw: float(values.mean()) for yaw, values in values_by_yaw(seeds, encoding).items()}


def fid_table(study: Study, results: Results, floor: Floor) -> pd.DataFrame:
    """Return Table 1: published FID, ours per variant (mean and half range over seeds), KID, and the real floor.

    "FID, equal N" is against as many real pictures as drawn ones, and stands only where all real ones are more. KID is
    the mean over subsets, "± 1000 KID, over subsets" the standard deviation over them (of a view on average in the mean
    columns). `encoding` is that of the drawn pictures, the headline's first; the paper does not state its own. Column
    0° is the reconstruction; `mean` is over the seven novel views, the last column leaves out 315°, which the release
    never trains. `pictures` says how many a view were drawn. The floor is that of the first seed's people.
    """
    rows: list[dict[str, Any]] = [
        {"source": "published", "method": "GCL", "data": dataset, "measure": "FID", **view_cells(values)}
        for dataset, values in published_fid().items()
    ]
    own = " (seed 0)" if study.seeds > 1 and study.people.each_seed else ""
    for measure, (name, scale) in MEASURES.items():
        for variant, seeds in results.items():
            if measure == "fid_matched" and _equal(seeds[0]):
                continue
            for encoding in seeds[0]["views"]:
                facts = {"source": "ours", "method": study.variants[variant].title, "data": study.dataset}
                facts |= {"encoding": ENCODINGS[encoding], "pictures": seeds[0]["pictures"]}
                values = {yaw: scale * value for yaw, value in values_by_yaw(seeds, encoding, measure).items()}
                means = {yaw: float(value.mean()) for yaw, value in values.items()}
                rows.append({**facts, "measure": name, **view_cells(means)})
                if len(seeds) > 1 and measure != "kid_std":
                    rows.append({**facts, "measure": f"± {name}, {len(seeds)} seeds", **_spread_cells(values)})
        for kind, title in (("halves", "real against other real"), ("gallery", "real gallery against real")):
            if measure == "fid_matched" and _equal(floor[kind]):
                continue
            facts = {"source": "ours", "method": title + own, "data": study.dataset}
            facts |= {"pictures": int(floor[kind]["pictures"])}
            rows.append({**facts, "measure": name, "mean": scale * floor[kind][measure]})
    columns = ["source", "method", "data", "measure", "encoding", "pictures", *VIEW_COLUMNS]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pictures": "Int64"})


def view_cells(values: Mapping[int, float]) -> dict[str, float]:
    """Return a row's cells: one per view, and the two means."""
    means = {"mean": mean_over_views(values), WITHOUT_315: mean_over_views(values, leave_out=315)}
    return {**{f"{yaw}°": float(value) for yaw, value in values.items()}, **means}


def _equal(result: Mapping[str, Any]) -> bool:
    """Whether both sides have the same number of pictures, so that FID at equal N is FID itself."""
    return result["pictures"] == result["reference"]


def _spread_cells(values: Mapping[int, np.ndarray]) -> dict[str, float]:
    cells = {f"{yaw}°": spread(value) for yaw, value in values.items()}
    cells["mean"] = spread(np.mean([values[yaw] for yaw in NOVEL], axis=0))
    return {**cells, WITHOUT_315: spread(np.mean([values[yaw] for yaw in NOVEL[:-1]], axis=0))}


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
    """Return the orderings for each published dataset and each of our variants and encodings, and the order itself.

    Ours are those of the means over seeds.
    """
    rows = [{"source": "published", "of": name, **order_cells(values)} for name, values in published_fid().items()]
    for variant, seeds in results.items():
        for encoding in seeds[0]["views"]:
            facts = {"source": "ours", "of": study.variants[variant].title, "encoding": ENCODINGS[encoding]}
            rows.append({**facts, **order_cells(mean_by_yaw(seeds, encoding))})
    return pd.DataFrame(rows).reindex(columns=["source", "of", "encoding", *list(rows[0])[2:]])


def order_cells(values: Mapping[int, float]) -> dict[str, Any]:
    """Return a row's cells: which orderings hold, and the views from best to worst."""
    return {**ordering_checks(values), "best to worst": " ".join(f"{yaw}°" for yaw in _best_first(values))}


def fid_reading(study: Study, results: Results, floor: Floor) -> str:
    """Return a paragraph that reads Table 1 from the numbers, with a warning when pictures are too few for FID."""
    pictures, headline = next(iter(results.values()))[0]["pictures"], study.evaluation.encoding
    sentences = [
        f"FID over {pictures} drawn pictures per view, {study.seeds} seed{'s' if study.seeds > 1 else ''}, drawn "
        f"pictures as {ENCODINGS[headline]} unless said."
    ]
    for variant, seeds in results.items():
        values = mean_by_yaw(seeds, headline)
        checks, order = ordering_checks(values), _best_first(values)
        failed = [name for name, holds in checks.items() if not holds]
        sentences.append(
            f"**{study.variants[variant].title}**: mean {mean_over_views(values):.1f} "
            f"({mean_over_views(values, leave_out=315):.1f} without 315°), best at {order[0]}° "
            f"({values[order[0]]:.1f}), worst at {order[-1]}° ({values[order[-1]]:.1f}), reconstruction "
            f"{values[0]:.1f}; {len(checks) - len(failed)} of {len(checks)} published orderings hold"
            + (f" (not: {'; '.join(failed)})." if failed else ".")
        )
        if set(ENCODINGS) <= set(seeds[0]["views"]):
            sentences.append(_encoding_sentence(seeds))
    halves = floor["halves"]
    sentences.append(
        f"Real against real gives {halves['fid']:.1f} ({halves['pictures']} against {halves['reference']} pictures), "
        f"the gallery against the training set {floor['gallery']['fid']:.1f}: the scale by which to read the others."
    )
    first, seeds = next(iter(results.items()))
    if not _equal(seeds[0]):
        matched = {yaw: float(value.mean()) for yaw, value in values_by_yaw(seeds, headline, "fid_matched").items()}
        sentences.append(
            f"Against {pictures} real pictures instead of {seeds[0]['reference']} the mean of "
            f"{study.variants[first].title} is {mean_over_views(matched):.1f}, of real against real "
            f"{halves['fid_matched']:.1f} ({halves['pictures']} on both sides)."
        )
    if pictures < FULL_RANK:
        sentences.append(
            f"**Warning**: {pictures} pictures per view are fewer than {FULL_RANK}; FID is then biased upwards, so its "
            "level says nothing beside the published one. Compare views and variants with each other, or read KID."
        )
    return " ".join(sentences)


def _encoding_sentence(seeds: Sequence[dict[str, Any]]) -> str:
    png, jpeg = mean_by_yaw(seeds, "png"), mean_by_yaw(seeds, "jpeg75")
    gaps = {yaw: jpeg[yaw] - png[yaw] for yaw in NOVEL}
    low, high = min(NOVEL, key=gaps.__getitem__), max(NOVEL, key=gaps.__getitem__)
    checks, same = ordering_checks(jpeg), ordering_checks(png) == ordering_checks(jpeg)
    return (
        f"As released, through JPEG of quality 75, its FID changes by {mean_over_views(gaps):+.2f} on average (JPEG - "
        f"PNG; {gaps[low]:+.2f} at {low}° to {gaps[high]:+.2f} at {high}°), and "
        f"{sum(checks.values())} of {len(checks)} published orderings hold, "
        + ("the same as in PNG." if same else "others than in PNG.")
    )
