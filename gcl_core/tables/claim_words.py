"""What the claims table says, in words for people who do not know the names that the code has for its variants."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.losses.names import VIEW_INVARIANT
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import CLUSTERS, DISTANCE, FAR_NEAR, FID, MAP, PSNR, RANK1
from gcl_core.tables.claims import CLAIMS, OURS, RHO, SETTINGS, claim_verdict, decides, shown_interval
from gcl_core.tables.formats import NOT_RUN

MINUS = "\u2212"
FOUND = {  # claim and metric → what a positive effect says, and what a negative one does
    ("C1", CLUSTERS): (
        "GCL's number of clusters is nearer to the number of people than TDA's, by {size} % of the people",
        "GCL's number of clusters is further from the number of people than TDA's, by {size} % of the people",
    ),
    ("C2", MAP): ("GCL's mAP is {size} points higher than TDA's", "GCL's mAP is {size} points lower than TDA's"),
    ("C3", RHO): (
        "The order of the angles by FID has a rank correlation of {size} with the published one",
        f"The order of the angles by FID has a rank correlation of {MINUS}{{size}} with the published one",
    ),
    ("C4", DISTANCE): (
        "With the losses drawn views lie nearer to their picture, by {size} % of the distance to other people",
        "With the losses drawn views lie further from their picture, by {size} % of the distance to other people",
    ),
    ("C4", FID): ("FID is better by {size} with the losses", "FID is worse by {size} with the losses"),
    ("C4", PSNR): ("PSNR is better by {size} dB with the losses", "PSNR is worse by {size} dB with the losses"),
    ("C5", MAP): ("mAP is {size} points higher with {loss}", "mAP is {size} points lower with {loss}"),
    ("C6", FAR_NEAR): (
        "GCL's mAP minus TDA's is {size} points higher for far views than for near ones",
        "GCL's mAP minus TDA's is {size} points lower for far views than for near ones",
    ),
}
UNITS = {  # what stands after an effect
    **{CLUSTERS: "% of people", MAP: "mAP", RANK1: "rank-1", RHO: "rank correlation"},
    **{DISTANCE: "% of distance", FID: "FID", PSNR: "dB", FAR_NEAR: "mAP"},
}
MEANINGS = {
    MAP: "**mAP** (mean average precision, 0 to 100) says how far up the gallery the right pictures of a query are "
    "ranked. Effects on it are differences in points.",
    RANK1: "**rank-1** is the percentage of queries whose first answer shows the right person.",
    CLUSTERS: "**Clusters (C1)**: by how much the number of clusters misses the number of people, in % of the people; "
    "the effect is TDA's miss minus GCL's. It counts as reproduced only if the interval of GCL's agreement with the "
    "people (adjusted Rand index, ARI) minus TDA's lies above -0.01.",
    RHO: "**Order of the views (C3)**: Spearman's correlation between the order of the seven angles by FID here and in "
    "the paper's Table 1; 1 is the same order, 0 is chance, -1 the reverse. The paper speaks of five of the angles, "
    "the test takes all seven. The permutation p in the full table is the percentage of all orders of the angles that "
    "agree with the published one at least as well.",
    DISTANCE: "**Feature distance (C4)**: how far a drawn view lies from its picture in the features of the encoder, "
    "in % of the distance to other people; the effect is without the losses minus with them.",
    FID: "**FID (C4)**: Fréchet inception distance between drawn and real pictures, mean over seven angles, lower is "
    "better; the effect is without the losses minus with them.",
    PSNR: "**PSNR (C4)**: agreement of a drawn view with the true view of the person, in dB, higher is better.",
    FAR_NEAR: "**Far and near views (C6)**: the right pictures of a query that show the person from a side more than "
    "60° away, and the others; the effect is GCL's mAP minus TDA's among far ones, less the same among near ones. "
    "Queries that have right pictures of one kind only are left out of it, so it is not quite the difference of the "
    "rows for far and for near views.",
}
TWO_DECIMALS = (RHO, PSNR)


def found_words(frame: pd.DataFrame, key: str) -> str:
    """Return what was found for a claim of `claims_table`, in words; quantities that are not sure say so."""
    if key == SETTINGS:
        effects = where(frame, claim=key)["effect"].to_numpy(dtype=np.float64)
        if len(effects) == 1:
            return f"one change of one setting moves mAP by {signed(effects[0])} points"
        span = f"{signed(effects.min())} to {signed(effects.max())}"
        return f"{len(effects)} changes of one setting each move mAP by {span} points"
    told, lines = [], _deciding(frame, key)
    for line in lines:
        higher, lower = FOUND[key, line["metric"]]
        size = signed(abs(line["effect"]), line["metric"]).removeprefix("+")
        words = (higher if line["effect"] >= 0 else lower).format(size=size, loss=_loss(line["compared"]))
        if not float(size):
            words = f"no difference at the digits shown ({line['metric'].replace(' (', ', ').rstrip(')')})"
        told.append(f"{words} ({line['verdict']})" if line["verdict"] not in ("reproduced", "contradicted") else words)
    return "; ".join(told)


def claim_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per claim that was run: claim, what the paper says, what was found, the effects, the verdict.

    The effects are those of all quantities that decide the claim; of settings, the largest.
    """
    rows, usual = [], tested_seeds(frame)
    for key, claim in CLAIMS.items():
        outcome = claim_verdict(frame, key)
        if outcome == NOT_RUN:
            continue
        lines: Sequence[Mapping[str, Any]] = _deciding(frame, key)
        if key == SETTINGS:
            lines = [max(where(frame, claim=key).to_dict("records"), key=lambda line: abs(line["effect"]))]
        rows.append(
            {
                "claim": key,
                "the paper says": claim.sentence[0].upper() + claim.sentence[1:],
                "found here": found_words(frame, key),
                "effect (95 % interval)": "; ".join(effect_words(line, usual) for line in lines),
                "verdict": outcome,
            }
        )
    return pd.DataFrame(rows)


def own_rows(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per comparison of ours on mAP or rank-1: what is compared, in titles, the effect, where it lies."""
    usual = tested_seeds(frame)
    return pd.DataFrame(
        [
            {
                "comparison": compared_words(study, line["compared"]),
                "effect (95 % interval)": effect_words(line, usual),
                "it is": line["verdict"],
            }
            for line in where(frame, claim=OURS).to_dict("records")
        ]
    )


def compared_words(study: Study, compared: str) -> str:
    """Return what is compared by titles: `gcl - copy` is "GCL against copies, no new view"."""
    known = titles(study)
    words = [known.get(name, name) for name in compared.split(" - ")]
    return " against ".join(f"GCL {each}" if each.startswith("without") else each for each in words)


def titles(study: Study) -> dict[str, str]:
    """Return name → title of every variant."""
    return {name: variant.title for name, variant in study.variants.items()}


def tested_seeds(frame: pd.DataFrame) -> list[int]:
    """Return on how many seeds the paper's claims were tested, each number once, the smallest first.

    They are those of the rows that decide a claim; where none does, those of the settings (C7).
    """
    lines = frame.to_dict("records")
    deciding = [line for line in lines if decides(line)] or [line for line in lines if line["claim"] == SETTINGS]
    return sorted({int(line["seeds"]) for line in deciding})


def effect_words(line: Mapping[str, Any], usual: Sequence[int]) -> str:
    """Return an effect with its unit and its interval over seeds: `+1.2 mAP (−0.4 to +2.8)`.

    `usual` is what `tested_seeds` returns: unless it is one number, that of this row, the row tells how many it has.
    """
    metric, interval, loss = line["metric"], shown_interval(line, "seeds"), _loss(line["compared"])
    words = "one seed, no interval" if line["seeds"] == 1 else f"{line['seeds']} seeds, no interval"
    if interval:
        words = " to ".join(signed(limit, metric) for limit in interval)
        words += "" if list(usual) == [line["seeds"]] else f", {line['seeds']} seeds"
    return f"{signed(line['effect'], metric)} {UNITS[metric]}{f' for {loss}' if loss else ''} ({words})"


def signed(value: float, metric: str = "") -> str:
    """Return a number with its sign, and as many decimals as a metric deserves."""
    return f"{value:+.{2 if metric in TWO_DECIMALS else 1}f}".replace("-", MINUS)


def _deciding(frame: pd.DataFrame, key: str) -> list[Mapping[str, Any]]:
    return [line for line in where(frame, claim=key).to_dict("records") if decides(line)]


def _loss(compared: str) -> str:
    return VIEW_INVARIANT.get(compared.partition(" - no_")[2], "")
