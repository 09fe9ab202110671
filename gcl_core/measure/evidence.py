"""What finished runs are asked for a claim: what was measured of a variant, and the effect of one against another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.evaluation.effects import Effect, paired_effect, seed_effect
from gcl_core.measure.artifacts import numbers
from gcl_core.measure.view_fid import mean_over_views
from gcl_core.outputs import SURFACE
from gcl_core.seeding import numpy_rng
from gcl_core.settings.training import Purpose

CLUSTERS, ARI, MAP, RANK1 = "clusters off, % of people", "100 ARI", "mAP", "rank-1"
DISTANCE, FID, PSNR = "feature distance, % of that to others", "FID, mean of 7 views", "PSNR on the person (dB)"
FAR, NEAR, FAR_NEAR = "mAP, far views", "mAP, near views", "mAP, far - near views"
QUERIES = {  # metric of queries → its column, and the one taken away from it
    **{MAP: ("ap",), RANK1: ("rank1",)},
    **{FAR: ("ap_far",), NEAR: ("ap_near",), FAR_NEAR: ("ap_far", "ap_near")},
}
PARAMETERS = {  # what variants of purpose `setting` change, by the word for it in tables → the setting
    "angles": "angles",
    "alpha": "contrast.keep_old",
    "tau": "contrast.temperature",
    "negatives": "contrast.negatives",
    "rho": "clustering.rho",
}
UNCHANGED = "drawn_once"  # what variants of a parameter are compared with
UNPLANNED = (
    "surface_unturned",
)  # views whose comparison with TDA no protocol names: shown among the others, not judged


@dataclass(frozen=True)
class Measured:
    """What one data seed has of one variant; None for what was not measured.

    All but views are means over the variant's repeats on that seed.

    queries: columns pid, ap in [0, 1], rank1 (0 or 1), ap_far and ap_near: average precision among right pictures more
    than 60° away and among the others, NaN where a query has none. clusters_off, ari: at the end. fid: yaw (45 ...
    315) → FID. distance: of E_id features between picture and drawn view as a share of that to other people, since two
    feature spaces have no common unit. psnr: of the person in views against true ones, in dB; infinite for true views.
    purpose and changes: what the variant is for, and the settings that it changes.
    """

    queries: pd.DataFrame | None = None
    clusters_off: float | int | None = None
    ari: float | int | None = None
    fid: Mapping[int, float] | None = None
    distance: float | int | None = None
    psnr: float | int | None = None
    purpose: Purpose = "main"
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """One data seed: true number of training people; variant (gcl, tda, ...) → what was measured.

    `same_people`: whether the other seeds are trainings on the very same people, so that equal pids are one person.
    """

    people: int
    variants: Mapping[str, Measured]
    same_people: bool = False


def clusters_off(clusters: float | int, people: int) -> float:
    """Return how far a number of clusters is off, in % of the number of people; over seeds its mean is what counts."""
    return 100 * abs(clusters - people) / people


NUMBERS: Mapping[str, Callable[[Measured], float | int | None]] = {  # metric of one number per seed
    CLUSTERS: lambda got: got.clusters_off,
    ARI: lambda got: None if got.ari is None else 100 * got.ari,
    DISTANCE: lambda got: None if got.distance is None else 100 * got.distance,
    FID: lambda got: None if got.fid is None else mean_over_views(got.fid),
    PSNR: lambda got: got.psnr,
}


def value_of(each: Evidence, variant: str, metric: str) -> Any:
    """Return what a seed has of a variant: one number, a Series of points per query by pid, or None."""
    measured = each.variants.get(variant, Measured())
    if metric in NUMBERS:
        return NUMBERS[metric](measured)
    queries, (column, *away) = measured.queries, QUERIES[metric]
    if queries is None or not {column, *away} <= set(queries):
        return None
    values = 100 * (numbers(queries, column) - sum(numbers(queries, name) for name in away))
    return pd.Series(values, index=queries["pid"]) if np.isfinite(values).any() else None


def effect_of(evidence: Sequence[Evidence], ours: str, theirs: str, metric: str) -> Effect | None:
    """Return the effect ours - theirs over the seeds that have both, None where none has.

    Raises ValueError when the two variants of a seed have different queries.
    """
    pairs = [[value_of(each, name, metric) for name in (ours, theirs)] for each in evidence]
    known = [pair for pair in pairs if all(value is not None for value in pair)]
    if not known:
        return None
    first, second = zip(*known, strict=True)
    if metric in NUMBERS:
        return seed_effect(first, second)
    for one, other in known:
        if not one.index.equals(other.index):
            raise ValueError(
                f"the {len(one)} queries of {ours} and {len(other)} of {theirs} differ in their pids; expected one "
                "query list in one order: evaluate both on the test people of one data seed"
            )
    people = [values.index.to_numpy() for values in first]
    ours_, theirs_ = ([values.to_numpy() for values in side] for side in (first, second))
    same = all(each.same_people for each in evidence)
    return paired_effect(ours_, theirs_, people, same_people=same, rng=numpy_rng(0, "claims"))


def differences_of(evidence: Sequence[Evidence], ours: str, theirs: str, metric: str) -> list[float]:
    """Return ours - theirs of each seed that has both, for a metric of queries their mean over the queries."""
    pairs = [[value_of(each, name, metric) for name in (ours, theirs)] for each in evidence]
    return [float(np.nanmean(pair[0] - pair[1])) for pair in pairs if all(value is not None for value in pair)]


def family(evidence: Sequence[Evidence], parameter: str) -> list[str]:
    """Return the variants that change one of PARAMETERS, in order of first appearance."""
    changes = (PARAMETERS[parameter],)
    return _chosen(evidence, lambda got: got.purpose == "setting" and got.changes == changes)


def rungs(evidence: Sequence[Evidence]) -> list[str]:
    """Return the variants that differ in their views: none new, true ones blurred, drawn, carried over bodies, true."""
    doses = _chosen(evidence, lambda got: got.purpose == "dose")
    return ["copy", *doses, "drawn_once", "gcl", *SURFACE, "true_views"]


def _chosen(evidence: Sequence[Evidence], wanted: Callable[[Measured], bool]) -> list[str]:
    found = (name for each in evidence for name, got in each.variants.items() if wanted(got))
    return list(dict.fromkeys(found))
