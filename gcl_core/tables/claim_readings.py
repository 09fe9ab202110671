"""The claims as a page: a summary, what was found in words, what the numbers mean, and the rules."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import MAP
from gcl_core.tables.claim_words import MEANINGS, claim_rows, own_rows, tested_seeds
from gcl_core.tables.claims import CLAIMS, OURS, SETTINGS, claim_verdict, decides
from gcl_core.tables.formats import NOT_RUN, markdown_table

# docs/PROTOCOL.md: the first round, then the second and the third
FIRST = ("evidence", "evidence_background", "evidence_light", "evidence_settings")
LATER = ("evidence2", "evidence2_worn", "people_750", "evidence3")
REPORTING = (*LATER, *FIRST)
TUNED = {  # profile → what stands before its verdicts
    "real_small": "**A description, no test.** Trunk and schedule of this profile were chosen on CUHK03's detected "
    "crops. Where those are its pictures, as in the committed numbers, the verdicts below decide nothing."
}
PLANNED = {  # profile → what was fixed before its runs
    **dict.fromkeys(
        FIRST,
        "Variants, measures and seeds were written down before the runs; the rules for the verdicts replaced others "
        "after the results were known",
    ),
    **dict.fromkeys(
        LATER, "Variants, measures, seeds and the rules for the verdicts were written down before the runs"
    ),
}
POOL = "pooled"  # the folder of figures where seeds of several profiles stand together
RULES = (
    "An effect is the first of two variants minus the second, on the same queries. Its 95 % interval over seeds "
    "decides, given three seeds or more; the interval over queries holds the seeds fixed and decides nothing. "
    "*Reproduced*: the interval over seeds lies above zero, and the effect is at least the smallest one worth having. "
    "*Contradicted*: the interval lies below zero. *No difference of note*: it lies within ± the smallest effect "
    "worth having; never said of the order of the angles (C3), for which seven are too few. *Open*: everything else. "
    "A claim that needs several quantities is reproduced where all of them are, and contradicted where one is, at a "
    "level that allows for their number. These verdicts are for claims of the paper alone. Comparisons of our own are "
    "decided by mAP: *above zero*, *below zero*, *no difference of note* (within ± 1 point) or *open*. The main ones "
    "(surface views against TDA, copies and views that are not turned) and all others are each adjusted for their "
    "number by Holm's method, so a comparison whose interval leaves zero out can be *open*; *no difference of note* "
    "is not adjusted. The smallest effects worth having: one point of mAP, one percent of the number of people, a "
    "rank correlation of 0.5, one FID, 0.5 dB, 5 % of the distance to other people. docs/PROTOCOL.md has the whole "
    "protocol."
)
WHO = (
    "The claims are those of *GCL: Joint Generative and Contrastive Learning for Unsupervised Person "
    "Re-identification* (CVPR 2021): find the pictures of a person in a gallery, having learned without identity "
    "labels. Training has three stages: 1, a baseline encoder; 2, a generator of views, the encoder held fixed; 3, "
    "both together. *GCL* trains stage 3 with views of each person that the generator draws from other sides. *TDA*, "
    "its control, trains with augmented copies of the picture instead (traditional data augmentation). L_vi, L'_vi and "
    "L''_vi are the paper's three view-invariant losses. A *seed* is "
)
SIGN = "A positive effect speaks for the claim."
EITHER = "For C7 none does: there a large effect of either sign speaks against it."
OWN = (
    "The paper makes no claim about these. An effect is the first minus the second, in points. mAP decides, and "
    "rank-1 is shown as well."
)
ROWS = (
    "The verdict of a row is that of its quantity alone, whose printed interval holds 95 %. Where a claim needs "
    "several quantities, all of them together decide (Rules): a row that would be *reproduced* or *contradicted* alone "
    "says *above zero* or *below zero*; one above zero whose effect is below the smallest worth having stays *open* or "
    "*no difference of note*. "
    "Rows without a verdict decide nothing. An interval over two seeds is printed here alone: it says next to nothing."
)
DETAILS = "### What the numbers mean"  # where a page turns to what all pages share, and to the full table
VERDICTS = {  # as the summary counts them
    **{
        "reproduced": "reproduced",
        "contradicted": "contradicted",
        "no difference of note": "with no difference of note",
    },
    **{"open": "open", "no verdict": "without a verdict"},
}
SIDES = {  # as the summary counts comparisons of ours
    **{"above zero": "above zero", "below zero": "below zero"},
    **{"no difference of note": "with no difference of note", "open": "open"},
}


def caveat(study: Study) -> str:
    """Return in plain words why a profile's verdicts decide nothing, "" where they may."""
    return TUNED.get(study.profile, "").replace("*", "")


def told_comparisons(frame: pd.DataFrame, key: str) -> list[str]:
    """Return in words each comparison of `claims_table` that decides a claim and was run: how large, how sure."""
    lines = where(frame, claim=key).to_dict("records")
    return [told(line) for line in lines if decides(line) or key == SETTINGS]


def claims_summary(frame: pd.DataFrame) -> str:
    """Return in a sentence or two how many claims, and how many comparisons of ours, have which verdict."""
    verdicts = Counter(claim_verdict(frame, key) for key in CLAIMS)
    tested = len(CLAIMS) - verdicts[NOT_RUN]
    sentences = [f"None of the paper's {len(CLAIMS)} claims has been tested here."]
    if tested:
        fewest, *more = tested_seeds(frame)
        over = "one seed, which decides nothing" if fewest == 1 else f"{fewest} seeds"
        over = f"{fewest} to {more[-1]} seeds (said with each effect)" if more else over
        told = [f"{verdicts[each]} {name}" for each, name in VERDICTS.items() if each != "no verdict" or verdicts[each]]
        sentences = [f"Of the paper's {len(CLAIMS)} claims, {tested} were tested here on {over}: {_listed(told)}."]
    sides = Counter(where(frame, claim=OURS, metric=MAP)["verdict"])
    if sides:
        told = [f"{sides[each]} {words}" for each, words in SIDES.items() if sides[each]]
        sentences.append(f"Of {sides.total()} comparisons of our own: {_listed(told)}.")
    return " ".join(sentences)


def claims_page(study: Study, frame: pd.DataFrame, doses: str, *, about: str = "") -> str:
    """Return what stands above the full claims table: the summary, claims and comparisons in words, meanings, rules.

    `doses` is what `dose_reading` says, empty where it says nothing; `about` follows the summary.
    """
    missing = [f"{key} ({CLAIMS[key].sentence})" for key in CLAIMS if claim_verdict(frame, key) == NOT_RUN]
    claims, ours, metrics = claim_rows(frame), own_rows(study, frame), set(frame["metric"])
    if study.profile in TUNED:
        claims = claims.rename(columns={"verdict": "verdict (decides nothing)"})
    names = "; ".join(f"`{name}`: {variant.title}" for name, variant in study.variants.items())
    parts = [
        TUNED.get(study.profile, ""),
        claims_summary(frame) if study.profile not in TUNED else "",
        about,
        WHO + _seeds(study),
        "### The paper's claims",
        f"{SIGN} {EITHER}" if SETTINGS in set(frame["claim"]) else SIGN,
        markdown_table(claims) if len(missing) < len(CLAIMS) else "",
        f"Not tested here: {'; '.join(missing)}. docs/RUNNING.md says which profile tests what." if missing else "",
        *(["### Comparisons of our own", OWN, markdown_table(ours)] if len(ours) else []),
        *(["### How good must views be?", doses] if doses else []),
        DETAILS,
        "\n".join(f"- {words}" for metric, words in MEANINGS.items() if metric in metrics),
        "### Rules",
        RULES,
        "### Full table",
        f"{ROWS} Names of the variants, all trained in stage 3 from one baseline: {names}.",
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def _seeds(study: Study) -> str:
    size = f"pictures of {study.picture.height}x{study.picture.width} pixels"
    if study.dataset != "synthetic":
        return (
            f"a training of its own on the same people (dataset {study.dataset}, {size}), so an interval over seeds "
            "says nothing of other people."
        )
    train, test = study.people.train_identities, study.people.test_identities
    people = f"synthetic people, {train} to train on and {test} others to find, {size}"
    return f"a set of people of its own, with a training of its own ({people})."


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def reported_claims(layout: Layout) -> str:
    """Return what the profiles that report say of claims and comparisons, from their committed pages.

    Those of the second and the third round first, then the first round's, whose seeds with equal settings stand
    together before them. What the numbers mean, the rules and the full table are left to these pages, which are named.
    A page that is not there is said to be not run.
    """
    texts, committed = [], replace(layout, reference=True).figures.parent
    for folder in (*LATER, POOL, *FIRST):
        path = committed / folder / "claims.md"
        text = f"{NOT_RUN}: {path} is not there."
        if path.is_file():
            said, *_ = path.read_text(encoding="utf-8").partition(f"\n{DETAILS}\n")
            text = re.sub("^###", "####", said, flags=re.MULTILINE)  # its headings stand below the profile's
            text += f"\nAll numbers, and the rules: `figures/reference/{folder}/claims.md`."
        title = "All seeds of `evidence` and `evidence_light`" if folder == POOL else f"Profile `{folder}`"
        texts.append(f"### {title}\n\n{text}")
    return "\n\n".join(texts)


def told(line: Mapping[str, Any]) -> str:
    """Return one row of `claims_table` in words."""
    spans = [(kind, line[f"low over {kind}"], line[f"high over {kind}"]) for kind in ("queries", "seeds")]
    facts = [f"{low:+.2f} to {high:+.2f} over {kind}" for kind, low, high in spans if np.isfinite(low)]
    facts.append("one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds")
    return f"{line['compared']}: {line['metric']} {line['effect']:+.2f} ({', '.join(facts)}), {line['verdict']}"
