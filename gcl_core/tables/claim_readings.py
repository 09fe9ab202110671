"""The claims in words: rules, verdicts, and every comparison that decides one or is the study's own."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.tables.claims import CLAIMS, OURS, SETTINGS, claim_verdict, decides
from gcl_core.tables.formats import NOT_RUN

REPORTING = ("evidence", "evidence_background", "evidence_light", "evidence_settings")  # docs/PROTOCOL.md
POOL = "pooled"  # the folder of figures where seeds of several profiles stand together
RULES = (
    "An effect is the first minus the second on the same queries, in points. Its 95 % interval over seeds decides, "
    "given three seeds or more; the one over queries holds the seeds fixed and decides nothing. *Reproduced*: the "
    "interval over seeds lies above zero, and the effect is at least the smallest worth having. *Contradicted*: the "
    "interval lies below zero. *No difference of note*: it lies within ± the smallest effect worth having. *Open*: all "
    "else. A claim that needs several quantities is reproduced where all are, and contradicted where one is, at a "
    "level that allows for their number. Comparisons that are ours, no claims of the paper, are *above zero*, *below "
    "zero* or *open*. The rest is in docs/PROTOCOL.md."
)
SIDES = ("above zero", "below zero", "open")


def told_comparisons(frame: pd.DataFrame, key: str) -> list[str]:
    """Return in words each comparison of `claims_table` that decides a claim and was run: how large, how sure."""
    lines = where(frame, claim=key).to_dict("records")
    return [told(line) for line in lines if (decides(line) or key == SETTINGS) and line["effect"] != NOT_RUN]


def claims_reading(frame: pd.DataFrame, keys: Iterable[str] = CLAIMS) -> str:
    """Return a paragraph a claim from `claims_table`: the claim, its verdict, and each comparison that decides it."""
    paragraphs = [
        f"**{key}, {claim_verdict(frame, key)}**: {CLAIMS[key].sentence} ({CLAIMS[key].where}). "
        f"{'; '.join(told_comparisons(frame, key))}"
        for key in keys
    ]
    return "\n\n".join(f"{text.strip().removesuffix('.')}." for text in paragraphs)


def own_reading(frame: pd.DataFrame) -> str:
    """Return in words every comparison of `claims_table` that is ours and was run, by the side on which it lies."""
    lines = where(frame, claim=OURS).to_dict("records")
    texts = [
        f"**Ours, {each}**: {'; '.join(told(line, verdict=False) for line in lines if line['verdict'] == each)}."
        for each in SIDES
        if each in [line["verdict"] for line in lines]
    ]
    return "\n\n".join(texts)


def claims_page(study: Study, frame: pd.DataFrame, doses: str) -> str:
    """Return `claims_reading`, `own_reading` and `doses`, what `dose_reading` says, with what their reader needs."""
    names = "; ".join(f"`{name}`: {variant.title}" for name, variant in study.variants.items())
    *others, last = [f"`{profile}`" for profile in REPORTING if profile != study.profile]
    elsewhere = f"What is not run here may be in profiles {', '.join(others)} and {last}"
    told = f"Trained in stage 3, all from one baseline: {names}. {elsewhere}."
    return "\n\n".join(filter(None, [RULES, told, claims_reading(frame), own_reading(frame), doses]))


def reported_claims(layout: Layout) -> str:
    """Return the claims of the profiles that report, from their committed tables.

    First all seeds with equal settings together, then each profile. A table that is not there is said to be not run.
    """
    texts, committed = [], replace(layout, reference=True).figures.parent
    for folder in (POOL, *REPORTING):
        path = committed / folder / "claims.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else f"{NOT_RUN}: {path} is not there."
        title = "All seeds with equal settings" if folder == POOL else f"Profile `{folder}`"
        texts.append(f"### {title}\n\n{text}")
    return "\n\n".join(texts)


def told(line: Mapping[str, Any], *, verdict: bool = True) -> str:
    """Return one row of `claims_table` in words."""
    spans = [(kind, line[f"low over {kind}"], line[f"high over {kind}"]) for kind in ("queries", "seeds")]
    facts = [f"{low:+.2f} to {high:+.2f} over {kind}" for kind, low, high in spans if np.isfinite(low)]
    facts.append("one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds")
    text = f"{line['compared']}: {line['metric']} {line['effect']:+.2f} ({', '.join(facts)})"
    return f"{text}, {line['verdict']}" if verdict else text
