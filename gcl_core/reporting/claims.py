"""The paper's claims, one by one: what was measured for each, how sure it is, and whether it was reproduced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.evaluation.effects import Effect, paired_effect, rank_agreement, seed_effect, verdict
from gcl_core.reporting.artifacts import numbers, where
from gcl_core.reporting.fid_table import NOVEL, mean_over_views
from gcl_core.reporting.published import published_fid
from gcl_core.reporting.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.reporting.tables import NOT_RUN
from gcl_core.seeding import numpy_generator

CLUSTERS, ARI, MAP, RANK1 = "clusters off, % of people", "100 ARI", "mAP", "rank-1"
RHO, POOLED, CHANCE = "Spearman's rho", "Spearman's rho, pooled", "permutation p, pooled (%)"
DISTANCE, FID, PSNR = "feature distance, % of that to others", "FID, mean of 7 views", "PSNR (dB)"
FAR, NEAR, FAR_NEAR = "mAP, far views", "mAP, near views", "mAP, far - near views"
QUERIES = {  # metric of queries → its column, and the one taken away from it
    **{MAP: ("ap",), RANK1: ("rank1",)},
    **{FAR: ("ap_far",), NEAR: ("ap_near",), FAR_NEAR: ("ap_far", "ap_near")},
}
PARAMETERS = ("angles", "parts", "alpha", "tau", "negatives", "rho")  # tau_005 is a variant of tau
OURS, COMPUTE = " (ours, not the paper's)", " (at equal compute)"  # rows so marked do not decide the paper's claim
CHANCE_LIMIT = 5  # %: more orders than that agree as well, and rho is no evidence
LIMITS = ("low over queries", "high over queries", "low over seeds", "high over seeds")
COLUMNS = ["claim", "compared", "metric", "effect", *LIMITS, "seeds", "verdict"]


@dataclass(frozen=True)
class Claim:
    """One claim: its key, in plain words, where the paper says it, metric → smallest effect worth having.

    A claim without metrics is given no verdict. For ARI it is how much lower it may be.
    """

    key: str
    sentence: str
    where: str
    smallest: Mapping[str, float | int]


_CLAIMS = (
    ("GCL's number of clusters is closer to that of people than TDA's", "Appendix C, Figure 2", {CLUSTERS: 1, ARI: 1}),
    ("drawn views make a better contrast than TDA", "abstract; its numbers are not recovered", {MAP: 1, RANK1: 1}),
    ("45°, 180° and 315° are drawn best, 90° and 270° worst", "Appendix D, Table 1", {RHO: 0.5}),
    ("the three losses make better drawn views", "Appendix B, Figure 1", {DISTANCE: 5, FID: 1, PSNR: 0.5}),
    ("each of the three losses helps", "main paper's ablation, not recovered", {MAP: 1}),
    ("GCL gains most where views differ", "abstract and Appendix C: view-invariance", {FAR_NEAR: 1, FAR: 1}),
    ("its settings are not critical", "main paper's study of them, not recovered", {}),
    ("drawn views are good enough to help", "Appendix D", {MAP: 1}),
)
CLAIMS = {f"C{place}": Claim(f"C{place}", *each) for place, each in enumerate(_CLAIMS, start=1)}
COMPARISONS = (  # claim, ours, theirs, metric, mark: claimed to be positive
    *(("C2", "gcl", "tda", metric, "") for metric in (MAP, RANK1)),
    *(("C2", "gcl", "tda_equal_compute", metric, COMPUTE) for metric in (MAP, RANK1)),
    *(("C2", "gcl_tda", theirs, metric, OURS) for theirs in ("tda", "tda_equal_compute") for metric in (MAP, RANK1)),
    *(("C4", "no_vi", "gcl", metric, "") for metric in (DISTANCE, FID)),
    ("C4", "gcl", "no_vi", PSNR, ""),
    *(("C4", "frozen_encoder", "gcl", metric, OURS) for metric in (DISTANCE, FID)),
    ("C4", "gcl", "frozen_encoder", PSNR, OURS),
    *(("C5", "gcl", f"no_l_{loss}", MAP, "") for loss in ("vi", "vi_prime", "vi_second")),
    *(("C6", "gcl", "tda", metric, "") for metric in (FAR_NEAR, FAR, NEAR)),
)


@dataclass(frozen=True)
class Measured:
    """What one data seed has of one variant; None for what was not measured.

    queries: columns pid, ap in [0, 1], rank1 (0 or 1), ap_far and ap_near: average precision among right pictures more
    than 60° away and among the others, NaN where a query has none. clusters, ari: of the last epoch. fid: yaw (45 ...
    315) → FID. distance: of E_id features between picture and drawn view as a share of that to other people, since two
    feature spaces have no common unit. psnr: of views against true ones in dB, infinite for true views.
    """

    queries: pd.DataFrame | None = None
    clusters: float | int | None = None
    ari: float | int | None = None
    fid: Mapping[int, float] | None = None
    distance: float | int | None = None
    psnr: float | int | None = None


@dataclass(frozen=True)
class Evidence:
    """One data seed: true number of training people; variant (gcl, tda, ..., dose_*, tau_*) → what was measured."""

    people: int
    variants: Mapping[str, Measured]


NUMBERS: Mapping[str, Callable[[Measured, int], float | int | None]] = {  # metric of one number a seed
    CLUSTERS: lambda got, people: None if got.clusters is None else 100 * abs(got.clusters - people) / people,
    ARI: lambda got, _: None if got.ari is None else 100 * got.ari,
    DISTANCE: lambda got, _: None if got.distance is None else 100 * got.distance,
    FID: lambda got, _: None if got.fid is None else mean_over_views(got.fid),
    PSNR: lambda got, _: got.psnr,
}


def claims_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return every comparison that a claim rests on: its effect and 95 % intervals over queries and seeds, a verdict.

    `evidence` has one entry a data seed. An effect is the first of `compared` minus the second, save that errors (C1),
    distances and FID (C4) are turned so that what is claimed is positive; accuracy is in points. `not run` stands where
    no seed has measured both. C3: agreement of the FID of seven views with the published order. C7 has no verdict but
    the sign that all intervals share. Raises ValueError when variants of a seed have different queries.
    """
    rows = [*_cluster_rows(evidence), *_order_rows(evidence), *_sensitivity_rows(evidence)]
    for key, ours, theirs, metric, mark in COMPARISONS:
        outcome = None if metric in CLAIMS[key].smallest else ""
        rows.append(_row(key, f"{ours} - {theirs}{mark}", metric, _effect(evidence, ours, theirs, metric), outcome))
    for rung in (*_rungs(evidence), "true_views_tda"):
        mark = "" if rung == "gcl" else OURS
        rows.append(_row("C8", f"{rung} - tda{mark}", MAP, _effect(evidence, rung, "tda", MAP)))
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS).astype({"seeds": "Int64"})
    return frame.sort_values("claim", kind="stable").reset_index(drop=True)


def _effect(evidence: Sequence[Evidence], ours: str, theirs: str, metric: str) -> Effect | None:
    """Return the effect ours - theirs over the seeds that have both, None where none has."""
    pairs = [[_read(each, name, metric) for name in (ours, theirs)] for each in evidence]
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
    return paired_effect(ours_, theirs_, people, rng=numpy_generator(0, "claims"))


def _read(each: Evidence, variant: str, metric: str) -> Any:
    """Return what a seed has of a variant: one number, points a query with their pids, or None."""
    measured = each.variants.get(variant, Measured())
    if metric in NUMBERS:
        return NUMBERS[metric](measured, each.people)
    queries, (column, *away) = measured.queries, QUERIES[metric]
    if queries is None or not {column, *away} <= set(queries):
        return None
    values = 100 * (numbers(queries, column) - sum(numbers(queries, name) for name in away))
    return pd.Series(values, index=queries["pid"]) if np.isfinite(values).any() else None


def _row(key: str, compared: str, metric: str, effect: Effect | None, outcome: str | None = None) -> dict[str, Any]:
    """Return a row of the table; its verdict is `outcome` where that is given."""
    row: dict[str, Any] = {"claim": key, "compared": compared, "metric": metric}
    if effect is None:
        return {**row, "effect": NOT_RUN, "verdict": NOT_RUN}
    if outcome is None:
        outcome = verdict(effect, smallest=CLAIMS[key].smallest[metric])
    unknown = (float("nan"), float("nan"))
    limits = zip(LIMITS, (*(effect.over_queries or unknown), *(effect.over_seeds or unknown)), strict=True)
    return {**row, "effect": effect.mean, **dict(limits), "seeds": effect.seeds, "verdict": outcome}


def _cluster_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return the number of clusters and ARI: closer in number is a verdict only where ARI is not lower."""
    closer, ari = _effect(evidence, "tda", "gcl", CLUSTERS), _effect(evidence, "gcl", "tda", ARI)
    not_lower, both = "", None
    if ari is not None:
        margin = CLAIMS["C1"].smallest[ARI]
        raised = None if ari.over_seeds is None else (ari.over_seeds[0] + margin, ari.over_seeds[1] + margin)
        not_lower = verdict(replace(ari, over_seeds=raised), smallest=margin)
    if closer is not None:
        both = _weakest([verdict(closer, smallest=CLAIMS["C1"].smallest[CLUSTERS]), not_lower or NOT_RUN])
    return [
        _row("C1", "tda - gcl", CLUSTERS, closer, both),
        _row("C1", "gcl - tda, not lower", ARI, ari, not_lower),
    ]


def _order_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return how far GCL's views are in the published order of difficulty, that of the mean of three datasets."""
    compared = "gcl, published order of views"
    fids = [each.variants["gcl"].fid for each in evidence if "gcl" in each.variants]
    observed = [[fid[yaw] for yaw in NOVEL] for fid in fids if fid is not None]
    if not observed:
        return [_row("C3", compared, metric, None) for metric in (RHO, POOLED, CHANCE)]
    published = np.mean([[fid[yaw] for yaw in NOVEL] for fid in published_fid().values()], axis=0)
    found = rank_agreement(np.array(observed, dtype=np.float64), published)
    effect = seed_effect(found.per_seed, [0] * len(found.per_seed))
    outcome = verdict(effect, smallest=CLAIMS["C3"].smallest[RHO])
    if outcome == "reproduced" and 100 * found.p > CHANCE_LIMIT:
        outcome = "inconclusive"
    pooled, chance = (Effect(value, (value,) * effect.seeds, None, None, 0) for value in (found.pooled, 100 * found.p))
    return [
        _row("C3", compared, RHO, effect, outcome),
        _row("C3", compared, POOLED, pooled, ""),
        _row("C3", compared, CHANCE, chance, ""),
    ]


def _sensitivity_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return each setting's gain over GCL's own, with its sign instead of a verdict."""
    names = [name for parameter in PARAMETERS for name in _family(evidence, parameter)]
    effects = {name: _effect(evidence, name, "gcl", MAP) for name in names}
    return [_row("C7", f"{name} - gcl", MAP, effect, _sign(effect)) for name, effect in effects.items()]


def _family(evidence: Sequence[Evidence], prefix: str) -> list[str]:
    """Return the variants `prefix_*` in order of first appearance; where there are none, one that nobody has run."""
    names = dict.fromkeys(name for each in evidence for name in each.variants if name.startswith(f"{prefix}_"))
    return list(names) or [f"{prefix}_*"]


def _rungs(evidence: Sequence[Evidence]) -> list[str]:
    return ["random", *_family(evidence, "dose"), "gcl", "true_views"]


def _sign(effect: Effect | None) -> str:
    """Return the side on which all intervals of an effect lie."""
    if effect is None or not (found := [each for each in (effect.over_queries, effect.over_seeds) if each]):
        return "either sign"
    if all(low > 0 for low, _ in found):
        return "higher"
    return "lower" if all(high < 0 for _, high in found) else "either sign"


def _weakest(outcomes: Sequence[str]) -> str:
    """Return the verdict on what needs several: one that fails decides, one not run leaves it open."""
    if all(outcome == NOT_RUN for outcome in outcomes):
        return NOT_RUN
    open_ = any(outcome in (NOT_RUN, "inconclusive") for outcome in outcomes)
    return "not reproduced" if "not reproduced" in outcomes else "inconclusive" if open_ else "reproduced"


def claim_verdict(frame: pd.DataFrame, key: str) -> str:
    """Return the verdict on one claim of `claims_table`: the weakest of the rows that the paper's claim needs.

    `not run` when none of them was run, `no verdict` for a claim that asks for none (C7).
    """
    lines = where(frame, claim=key)
    needed = [
        line["verdict"]
        for line in lines.to_dict("records")
        if line["verdict"] and not line["compared"].endswith((OURS, COMPUTE))
    ]
    outcome = _weakest(needed)
    return outcome if CLAIMS[key].smallest or outcome == NOT_RUN else "no verdict"


def claims_reading(frame: pd.DataFrame) -> str:
    """Return a paragraph a claim from `claims_table`: the claim, its verdict, and every comparison with its own."""
    paragraphs = []
    for key, claim in CLAIMS.items():
        told = [_told(line) for line in where(frame, claim=key).to_dict("records")]
        paragraphs.append(
            f"**{key}, {claim_verdict(frame, key)}**: {claim.sentence} ({claim.where}). {'; '.join(told)}."
        )
    return "\n\n".join(paragraphs)


def _told(line: Mapping[str, Any]) -> str:
    if line["effect"] == NOT_RUN:
        return f"{line['compared']}: {line['metric']} {NOT_RUN}"
    spans = [(kind, line[f"low over {kind}"], line[f"high over {kind}"]) for kind in ("queries", "seeds")]
    facts = [f"{low:+.2f} to {high:+.2f} over {kind}" for kind, low, high in spans if np.isfinite(low)]
    facts.append("one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds")
    outcome = f", {line['verdict']}" if line["verdict"] else ""
    return f"{line['compared']}: {line['metric']} {line['effect']:+.2f} ({', '.join(facts)}){outcome}"


def sensitivity_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return mAP (%) of GCL and of each variant of PARAMETERS: a column a seed, mean, and spread, their range.

    `not run` stands where nothing was; a seed that lacks a variant is blank, and spread too where there is one seed.
    """
    rows = []
    for name in ("gcl", *(name for parameter in PARAMETERS for name in _family(evidence, parameter))):
        read = [_read(each, name, MAP) for each in evidence]
        values = {f"seed {seed} mAP": each.mean() for seed, each in enumerate(read) if each is not None}
        maps = list(values.values())
        spread = {"spread": max(maps) - min(maps)} if len(maps) > 1 else {}
        rows.append({"variant": name, **values, "mAP": np.mean(maps) if maps else NOT_RUN, **spread})
    return pd.DataFrame(rows).reindex(
        columns=["variant", *(f"seed {seed} mAP" for seed in range(len(evidence))), "mAP", "spread"]
    )


def dose_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return a row a rung, from worst to best views: their PSNR (dB, mean over seeds) and the gain in mAP over `tda`.

    Rungs are random, dose_*, GCL itself and true_views, whose PSNR is infinite. Blank PSNR: not measured.
    """
    rows = []
    for rung in _rungs(evidence):
        known = [psnr for each in evidence if (psnr := _read(each, rung, PSNR)) is not None]
        row = _row("C8", rung, MAP, _effect(evidence, rung, "tda", MAP))
        rows.append({"rung": rung, PSNR: np.mean(known) if known else np.nan, "gain in mAP": row.pop("effect"), **row})
    columns = ["rung", PSNR, "gain in mAP", *LIMITS, "seeds", "verdict"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"}).sort_values(PSNR, ignore_index=True)


def _placed(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rungs of `dose_table` that have both a PSNR and a gain."""
    return [line for line in table.to_dict("records") if line["gain in mAP"] != NOT_RUN and not np.isnan(line[PSNR])]


@styled()
def dose_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the gain in mAP over PSNR of the views given, from `dose_table`, with both intervals; GCL's place marked.

    True views stand at the right, at infinity. Rungs without a PSNR or a gain are left out.
    """
    lines = _placed(table)
    finite = [line[PSNR] for line in lines if np.isfinite(line[PSNR])] or [0.0]
    low, high = min(finite) - 1, max(finite) + 1
    right = high + max(2.0, 0.2 * (high - low))  # where infinity is drawn
    figure = new_figure(COLUMN, 2.7)
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=0.8)
    dose: dict[str, Any] = {"color": GREY, "marker": "s", "label": "views of given quality"}
    marks = {
        "random": {**dose, "marker": "X", "label": "random"},
        "true_views": {**dose, "marker": "^", "label": "true views"},
        "gcl": look(study, "gcl"),
    }
    named: dict[str, Any] = {}  # one entry for all rungs of a kind
    for line in lines:
        place, style = min(line[PSNR], right), {**marks.get(line["rung"], dose), "linestyle": ""}
        gain = line["gain in mAP"]
        for kind, width, cap in (("seeds", 0.8, 2), ("queries", 2.4, 0)):
            ends = [[gain - line[f"low over {kind}"]], [line[f"high over {kind}"] - gain]]
            bar = {"ecolor": style["color"], "elinewidth": width, "capsize": cap, "alpha": 0.6, "fmt": "none"}
            if np.isfinite(ends).all():
                named[f"95 % over {kind}"] = axes.errorbar([place], [gain], ends, **bar)
        named[style["label"]] = axes.plot([place], [gain], zorder=3, **style)[0]
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    axes.set_xticks([*ticks, right], [*(f"{tick:g}" for tick in ticks), "∞"])
    axes.set(xlabel="PSNR of the views given (dB)", ylabel="gain in mAP over TDA (points)", xlim=(low, right + 1))
    axes.margins(y=0.08)
    if lines:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=2)
    else:
        axes.annotate(NOT_RUN, (0.5, 0.6), xycoords="axes fraction", ha="center")
    return figure


def dose_reading(table: pd.DataFrame) -> str:
    """Return in words from which PSNR on the gain over TDA excludes zero, what better views do, and where GCL stands.

    From `dose_table`; a gain excludes zero when all its intervals lie above.
    """
    lines = _placed(table)
    if not lines:
        return f"Dose and response: {NOT_RUN}."
    lows = [[line[name] for name in LIMITS[::2] if not np.isnan(line[name])] for line in lines]
    sure = [len(low) > 0 and min(low) > 0 for low in lows]
    if any(sure):
        first = sure.index(True)
        sentences = [f"The gain in mAP over TDA first excludes zero with {_rung(lines[first])}."]
        after = [_rung(line) for line, is_sure in zip(lines[first:], sure[first:], strict=True) if not is_sure]
        if after:
            sentences.append(f"It does not with these, though better: {'; '.join(after)}.")
    else:
        told = "; ".join(_rung(line) for line in lines)
        sentences = [f"With no views does the gain in mAP over TDA exclude zero: {told}."]
    gcl = [line for line in lines if line["rung"] == "gcl"]
    place = f"stand among them as {_rung(gcl[0])}: {gcl[0]['verdict']}" if gcl else f"have no place: {NOT_RUN}"
    return " ".join([*sentences, f"GCL's own views {place}."])


def _rung(line: Mapping[str, Any]) -> str:
    quality = f"{line[PSNR]:.1f} dB" if np.isfinite(line[PSNR]) else "infinite PSNR"
    seeds = "one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds"
    return f"{line['rung']} at {quality} ({line['gain in mAP']:+.1f}, {seeds})"
