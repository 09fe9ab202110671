"""The paper's claims, one by one: what was measured for each, how sure it is, and what that says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from gcl_core.evaluation.effects import Effect, Interval, correlation_effect, p_value, rank_agreement
from gcl_core.evaluation.verdicts import FEWEST, Quantity, holm, side, verdict, verdict_of_all
from gcl_core.files import RunError
from gcl_core.losses.names import VIEW_INVARIANT
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import (
    ARI,
    CLUSTERS,
    DISTANCE,
    FAR,
    FAR_NEAR,
    FID,
    MAP,
    NEAR,
    PARAMETERS,
    PSNR,
    RANK1,
    UNCHANGED,
    Evidence,
    effect_of,
    family,
    rungs,
)
from gcl_core.measure.published import published_fid
from gcl_core.mesh.projection import NOVEL
from gcl_core.tables.formats import NOT_RUN, of_runs, read_table

RHO, POOLED = "Spearman's rho", "Spearman's rho, pooled"
CHANCE, REVERSE = "permutation p, pooled (%)", "permutation p of the reverse, pooled (%)"
CHANCE_LIMIT = 2.5  # %: where more orders agree as well, rho is no evidence for the published one
OURS = "ours"  # stands for the claim where a comparison is the study's own: no paper claims it
SETTINGS = "C7"  # the one claim that gets no verdict
SIDES = {"reproduced": "above zero", "contradicted": "below zero"}  # of one quantity, where several decide a claim
ORDER = "gcl, published order of views"  # what C3 compares
LIMITS = ("low over queries", "high over queries", "low over seeds", "high over seeds")
COLUMNS = ["claim", "compared", "metric", "effect", *LIMITS, "seeds", "verdict"]


@dataclass(frozen=True)
class Claim:
    """One claim: its key, in plain words, where the paper says it, and what decides it.

    `smallest` maps each metric that decides the claim to the smallest effect worth having; a quantity decides one
    claim only. A claim without metrics is given no verdict.
    """

    key: str
    sentence: str
    where: str
    smallest: Mapping[str, float | int]


_CLAIMS = (
    ("GCL's number of clusters is closer to that of people than TDA's", "Appendix C, Figure 2", {CLUSTERS: 1}),
    ("drawn views make a better contrast than TDA", "abstract; its numbers are not recovered", {MAP: 1}),
    ("45°, 180° and 315° are drawn best, 90° and 270° worst", "Appendix D, Table 1", {RHO: 0.5}),
    ("the three losses make better drawn views", "Appendix B, Figure 1", {DISTANCE: 5, FID: 1, PSNR: 0.5}),
    ("each of the three losses helps", "main paper's ablation, not recovered", {MAP: 1}),
    ("GCL gains more where views differ", "abstract and Appendix C: view-invariance", {FAR_NEAR: 1}),
    ("its settings are not critical", "main paper's study of them, not recovered", {}),
)
CLAIMS = {f"C{place}": Claim(f"C{place}", *each) for place, each in enumerate(_CLAIMS, start=1)}
SMALLEST_OWN = 1  # point of mAP or rank-1: comparisons of ours that lie within ± this show no difference of note
ARI_MARGIN = 1  # in hundredths: a closer number of clusters counts only where ARI is not lower by as much
COMPARISONS = (  # claim, ours, theirs, metric: claimed to be positive
    *(("C2", "gcl", "tda", metric) for metric in (MAP, RANK1)),
    *(("C4", "no_vi", "gcl", metric) for metric in (DISTANCE, FID)),
    ("C4", "gcl", "no_vi", PSNR),
    *(("C5", "gcl", f"no_{loss}", MAP) for loss in VIEW_INVARIANT),
    *(("C6", "gcl", "tda", metric) for metric in (FAR_NEAR, FAR, NEAR)),
)
_DECIDING = ("C1", "C3", *(claim for claim, _, _, metric in COMPARISONS if metric in CLAIMS[claim].smallest))
MAIN = (  # the main question of our own (S1): do views over the body's surface help?
    ("surface", "tda"),
    ("surface", "copy"),
    ("surface", "surface_unturned"),
)
OWN = (  # what no paper claims: first and second, on mAP and rank-1
    *MAIN,
    ("surface", "gcl"),
    ("surface", "drawn_once"),
    ("surface_cluster", "surface"),
    ("gcl", "tda_long"),
    ("gcl", "copy"),
    ("gcl", "drawn_once"),
    ("gcl_released", "gcl"),
    ("gcl_quiet", "gcl"),
    ("gcl_tda", "tda"),
    ("gcl_light", "tda"),
    ("drawn_once", "copy"),
    ("surface_30", "tda_30"),
    ("surface_30", "copy_30"),
)


def claims_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return every comparison that a claim rests on or that is ours: effect, 95 % intervals, seeds, and `judged`.

    `evidence` has one entry per data seed. An effect is the first of `compared` minus the second, save that errors
    (C1), distances and FID (C4) are turned so that what is claimed is positive; accuracy is in points. A comparison of
    which no seed has measured both sides has no row. C3: agreement of the FID of seven views with the published order.
    Raises ValueError when variants of a seed have different queries.
    """
    rows = [
        table_row("C1", "tda - gcl", CLUSTERS, effect_of(evidence, "tda", "gcl", CLUSTERS)),
        table_row("C1", "gcl - tda, not lower", ARI, effect_of(evidence, "gcl", "tda", ARI)),
        *_order_rows(evidence),
        *(_row(evidence, *comparison) for comparison in COMPARISONS),
        *(_row(evidence, SETTINGS, name, UNCHANGED, MAP) for each in PARAMETERS for name in family(evidence, each)),
        *(_row(evidence, OURS, ours, theirs, metric) for ours, theirs in OWN for metric in (MAP, RANK1)),
        *(_row(evidence, OURS, *pair, MAP) for pair in _against_tda(evidence) if pair not in OWN),
    ]
    types = {"seeds": "Int64", **dict.fromkeys(("effect", *LIMITS), "float64")}
    frame = pd.DataFrame(filter(None, rows), columns=COLUMNS).astype(types)
    return judged(frame.sort_values("claim", kind="stable").reset_index(drop=True))


def table_row(claim: str, compared: str, metric: str, effect: Effect | None) -> dict[str, Any] | None:
    """Return a row of the table without its verdict, None where there is no effect."""
    if effect is None:
        return None
    unknown = (np.nan, np.nan)
    limits = zip(LIMITS, (*(effect.over_queries or unknown), *(effect.over_seeds or unknown)), strict=True)
    row = {"claim": claim, "compared": compared, "metric": metric}
    return {**row, "effect": effect.mean, **dict(limits), "seeds": effect.seeds}


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a claims table with each row's verdict, which follows from the table alone.

    A row that decides a claim alone: `verdict`; one of several that do: the same, told by its side of zero. The mAP of
    a comparison of ours: the side on which its interval over seeds lies, with `holm` among MAIN and among all others.
    A setting (C7) and a row that stands beside these: blank.
    """
    run = frame.astype({"effect": "float64"})
    run = run.assign(verdict=[_row_verdict(run, line) for line in run.to_dict("records")])
    own = [
        (place, line)
        for place, line in enumerate(run.to_dict("records"))
        if (line["claim"], line["metric"]) == (OURS, MAP)
    ]
    for main in (True, False):
        asked = [(place, line) for place, line in own if (tuple(line["compared"].split(" - ")) in MAIN) == main]
        ps = holm([_p(line) for _, line in asked])
        for (place, line), p in zip(asked, ps, strict=True):
            run.loc[place, "verdict"] = side(over_seeds(line), int(line["seeds"]), SMALLEST_OWN, p)
    return run


def claim_verdict(frame: pd.DataFrame, key: str) -> str:
    """Return the verdict on one claim of `claims_table` from all the quantities that decide it.

    `not run` when none of them was run, `no verdict` for a claim that asks for none (C7).
    """
    lines = where(frame, claim=key).to_dict("records")
    found = [line for line in lines if decides(line) or not CLAIMS[key].smallest]
    if not found:
        return NOT_RUN
    if not CLAIMS[key].smallest:
        return "no verdict"
    needed = _DECIDING.count(key)
    if needed == 1:
        return str(found[0]["verdict"])
    return verdict_of_all([*map(_quantity, found), *[None] * (needed - len(found))])


def decides(line: Mapping[str, Any]) -> bool:
    """Whether a row has part in the verdict on a claim."""
    return line["claim"] in CLAIMS and line["metric"] in CLAIMS[line["claim"]].smallest


def over_seeds(line: Mapping[str, Any]) -> Interval | None:
    """Return a row's interval over seeds, None where it has none."""
    low, high = (float(line[name]) for name in LIMITS[2:])
    return (low, high) if np.isfinite(low) else None


def read_claims(folder: Path) -> pd.DataFrame:
    """Return the table of claims that lies in a folder. Raises RunError where it is not there or is none any more."""
    path = folder / "claims.csv"
    frame = of_runs(read_table(path), "effect")
    missing = [name for name in COLUMNS if name not in frame]
    texts = [name for name in ("effect", *LIMITS) if name in frame and not is_numeric_dtype(frame[name])]
    if missing or texts:
        wrong = f"it lacks {', '.join(missing[:3])}" if missing else f"{', '.join(texts[:3])} hold texts, not numbers"
        raise RunError(
            f"{path} is no table of claims any more: {wrong}, as after another program saved it anew; take it from "
            "where it was made, or run notebook 11 again"
        )
    return frame


def shown_interval(line: Mapping[str, Any], over: str) -> Interval | None:
    """Return a row's interval over `queries` or `seeds`, None where it has none or two seeds hardly tell one."""
    low, high = (float(line[f"{end} over {over}"]) for end in ("low", "high"))
    known = np.isfinite([low, high]).all() and (over == "queries" or line["seeds"] >= FEWEST)
    return (low, high) if known else None


def _row(evidence: Sequence[Evidence], claim: str, ours: str, theirs: str, metric: str) -> dict[str, Any] | None:
    return table_row(claim, f"{ours} - {theirs}", metric, effect_of(evidence, ours, theirs, metric))


def _against_tda(evidence: Sequence[Evidence]) -> list[tuple[str, str]]:
    return [(rung, "tda") for rung in (*rungs(evidence), "true_views_tda") if rung != "gcl"]


def _order_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any] | None]:
    """Return how far GCL's views are in the published order of difficulty, that of the mean of three datasets."""
    fids = [each.variants["gcl"].fid for each in evidence if "gcl" in each.variants]
    observed = [[fid[yaw] for yaw in NOVEL] for fid in fids if fid is not None]
    if not observed:
        return []
    published = np.mean([[fid[yaw] for yaw in NOVEL] for fid in published_fid().values()], axis=0)
    found = rank_agreement(np.array(observed, dtype=np.float64), published)
    effect = correlation_effect(found.per_seed, len(NOVEL))
    values = {POOLED: found.pooled, CHANCE: 100 * found.p, REVERSE: 100 * found.p_reverse}
    return [
        table_row("C3", ORDER, RHO, effect),
        *(
            table_row("C3", ORDER, metric, Effect(value, (value,) * effect.seeds, None, None, 0))
            for metric, value in values.items()
        ),
    ]


def _row_verdict(frame: pd.DataFrame, line: Mapping[str, Any]) -> str:
    if not decides(line):
        return ""
    outcome = verdict(_quantity(line))
    if line["metric"] == CLUSTERS and outcome == "reproduced" and not _ari_not_lower(frame):
        return "open"  # closer in number, but maybe not in substance
    if _DECIDING.count(line["claim"]) > 1:
        return SIDES.get(outcome, outcome)
    limits = {"reproduced": CHANCE, "contradicted": REVERSE}
    if line["metric"] == RHO and outcome in limits:  # seeds may share an order that agrees by chance
        return outcome if _only(frame, limits[outcome])["effect"] <= CHANCE_LIMIT else "open"
    return "open" if line["metric"] == RHO else outcome


def _p(line: Mapping[str, Any]) -> float:
    interval = over_seeds(line)
    return p_value(interval, int(line["seeds"])) if interval else 1.0


def _ari_not_lower(frame: pd.DataFrame) -> bool:
    """Whether the interval over seeds of the difference in ARI is known and lies above minus the margin."""
    for line in where(frame, metric=ARI).to_dict("records"):
        known = Quantity(line["effect"], over_seeds(line), int(line["seeds"]), 0).known
        return known is not None and known[0] > -ARI_MARGIN
    return False


def _only(frame: pd.DataFrame, metric: str) -> Mapping[str, Any]:
    (line,) = where(frame, metric=metric).to_dict("records")
    return line


def _quantity(line: Mapping[str, Any]) -> Quantity:
    smallest = CLAIMS[line["claim"]].smallest[line["metric"]]
    return Quantity(float(line["effect"]), over_seeds(line), int(line["seeds"]), smallest)
