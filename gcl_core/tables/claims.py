"""The paper's claims, one by one: what was measured for each, how sure it is, and whether it was reproduced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.evaluation.effects import Effect, rank_agreement, seed_effect, verdict
from gcl_core.layout import Layout
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
from gcl_core.measure.view_fid import NOVEL
from gcl_core.tables.formats import NOT_RUN

RHO, POOLED, CHANCE = "Spearman's rho", "Spearman's rho, pooled", "permutation p, pooled (%)"
# rows so marked do not decide the paper's claim
OURS, COMPUTE = " (ours, not the paper's)", " (TDA for longer, within GCL's compute)"
REPORTING = ("evidence", "evidence_background", "evidence_light", "evidence_settings")  # docs/PROTOCOL.md
RULES = (
    "An effect is the first minus the second on the same queries, in points. Intervals hold 95 %: over queries with "
    "these seeds, over seeds for others. *Reproduced*: all lie above zero. *Not reproduced*: one ends at or below "
    "zero or below the smallest effect worth having. *Inconclusive*: all else, and whatever one seed shows. A claim's "
    "verdict is its weakest row's; rows that are ours or of a longer TDA decide nothing. The rest is in "
    "docs/PROTOCOL.md."
)
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
    *(("C2", "gcl", "tda_long", metric, COMPUTE) for metric in (MAP, RANK1)),
    *(
        ("C2", ours, theirs, metric, OURS)
        for ours, theirs in (
            ("gcl", "copy"),
            ("gcl_tda", "tda"),
            ("gcl_light", "tda"),
            ("drawn_once", "tda"),
            ("drawn_once", "copy"),
        )
        for metric in (MAP, RANK1)
    ),
    *(("C4", "no_vi", "gcl", metric, "") for metric in (DISTANCE, FID)),
    ("C4", "gcl", "no_vi", PSNR, ""),
    *(("C5", "gcl", f"no_{loss}", MAP, "") for loss in VIEW_INVARIANT),
    *(("C6", "gcl", "tda", metric, "") for metric in (FAR_NEAR, FAR, NEAR)),
)


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
        rows.append(
            claim_row(key, f"{ours} - {theirs}{mark}", metric, effect_of(evidence, ours, theirs, metric), outcome)
        )
    for rung in (*rungs(evidence), "true_views_tda"):
        mark = "" if rung == "gcl" else OURS
        rows.append(claim_row("C8", f"{rung} - tda{mark}", MAP, effect_of(evidence, rung, "tda", MAP)))
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS).astype({"seeds": "Int64"})
    return frame.sort_values("claim", kind="stable").reset_index(drop=True)


def claim_row(
    key: str, compared: str, metric: str, effect: Effect | None, outcome: str | None = None
) -> dict[str, Any]:
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
    closer, ari = effect_of(evidence, "tda", "gcl", CLUSTERS), effect_of(evidence, "gcl", "tda", ARI)
    not_lower, both = "", None
    if ari is not None:
        margin = CLAIMS["C1"].smallest[ARI]
        raised = None if ari.over_seeds is None else (ari.over_seeds[0] + margin, ari.over_seeds[1] + margin)
        not_lower = verdict(replace(ari, over_seeds=raised), smallest=margin)
    if closer is not None:
        both = _weakest([verdict(closer, smallest=CLAIMS["C1"].smallest[CLUSTERS]), not_lower or NOT_RUN])
    return [
        claim_row("C1", "tda - gcl", CLUSTERS, closer, both),
        claim_row("C1", "gcl - tda, not lower", ARI, ari, not_lower),
    ]


def _order_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return how far GCL's views are in the published order of difficulty, that of the mean of three datasets."""
    compared = "gcl, published order of views"
    fids = [each.variants["gcl"].fid for each in evidence if "gcl" in each.variants]
    observed = [[fid[yaw] for yaw in NOVEL] for fid in fids if fid is not None]
    if not observed:
        return [claim_row("C3", compared, metric, None) for metric in (RHO, POOLED, CHANCE)]
    published = np.mean([[fid[yaw] for yaw in NOVEL] for fid in published_fid().values()], axis=0)
    found = rank_agreement(np.array(observed, dtype=np.float64), published)
    effect = seed_effect(found.per_seed, [0] * len(found.per_seed))
    outcome = verdict(effect, smallest=CLAIMS["C3"].smallest[RHO])
    if outcome == "reproduced" and 100 * found.p > CHANCE_LIMIT:
        outcome = "inconclusive"
    pooled, chance = (Effect(value, (value,) * effect.seeds, None, None, 0) for value in (found.pooled, 100 * found.p))
    return [
        claim_row("C3", compared, RHO, effect, outcome),
        claim_row("C3", compared, POOLED, pooled, ""),
        claim_row("C3", compared, CHANCE, chance, ""),
    ]


def _sensitivity_rows(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return each setting's gain over the one it changes, with its sign instead of a verdict."""
    names = [name for parameter in PARAMETERS for name in family(evidence, parameter)]
    effects = {name: effect_of(evidence, name, UNCHANGED, MAP) for name in names}
    return [claim_row("C7", f"{name} - {UNCHANGED}", MAP, effect, _sign(effect)) for name, effect in effects.items()]


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
    needed = [line["verdict"] for line in lines.to_dict("records") if decides(line)]
    outcome = _weakest(needed)
    return outcome if CLAIMS[key].smallest or outcome == NOT_RUN else "no verdict"


def told_comparisons(frame: pd.DataFrame, key: str) -> list[str]:
    """Return in words each comparison of `claims_table` that decides a claim and was run: how large, how sure."""
    lines = where(frame, claim=key).to_dict("records")
    return [_told(line) for line in lines if decides(line) and line["effect"] != NOT_RUN]


def claims_reading(frame: pd.DataFrame) -> str:
    """Return a paragraph a claim from `claims_table`: the claim, its verdict, and each comparison that decides it."""
    paragraphs = [
        f"**{key}, {claim_verdict(frame, key)}**: {claim.sentence} ({claim.where}). "
        f"{'; '.join(told_comparisons(frame, key))}"
        for key, claim in CLAIMS.items()
    ]
    return "\n\n".join(f"{text.strip().removesuffix('.')}." for text in paragraphs)


def beside_reading(frame: pd.DataFrame) -> str:
    """Return in words the comparisons of `claims_table` that are ours and lie above zero in every interval, if any."""
    lines = where(frame, verdict="reproduced").to_dict("records")
    told = [
        _told({**line, "compared": line["compared"].removesuffix(OURS)})
        for line in lines
        if line["compared"].endswith(OURS)
    ]
    return f"Beside the claims, ours, every interval above zero: {'; '.join(told)}." if told else ""


def claims_page(study: Study, frame: pd.DataFrame, doses: str) -> str:
    """Return `claims_reading`, `beside_reading` and `doses`, what `dose_reading` says, with what their reader needs."""
    names = "; ".join(f"`{name}`: {variant.title}" for name, variant in study.variants.items())
    *others, last = [f"`{profile}`" for profile in REPORTING if profile != study.profile]
    elsewhere = f"What is not run here may be in profiles {', '.join(others)} and {last}"
    told = f"Trained in stage 3, all from one baseline: {names}. {elsewhere}."
    return "\n\n".join(filter(None, [RULES, told, claims_reading(frame), beside_reading(frame), doses]))


def reported_claims(layout: Layout) -> str:
    """Return the claims of the profiles that report, from the tables of theirs that lie beside the study's own figures.

    What one of them is not there is said so: those of another study's runs may be, and those of this repository are.
    """
    texts = []
    for profile in REPORTING:
        path = layout.figures.parent / profile / "claims.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else f"{NOT_RUN}: {path} is not there."
        texts.append(f"### Profile `{profile}`\n\n{text}")
    return "\n\n".join(texts)


def decides(line: Mapping[str, Any]) -> bool:
    """Whether a row has part in the verdict on its claim."""
    return bool(line["verdict"]) and not line["compared"].endswith((OURS, COMPUTE))


def _told(line: Mapping[str, Any]) -> str:
    spans = [(kind, line[f"low over {kind}"], line[f"high over {kind}"]) for kind in ("queries", "seeds")]
    facts = [f"{low:+.2f} to {high:+.2f} over {kind}" for kind, low, high in spans if np.isfinite(low)]
    facts.append("one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds")
    return f"{line['compared']}: {line['metric']} {line['effect']:+.2f} ({', '.join(facts)}), {line['verdict']}"
