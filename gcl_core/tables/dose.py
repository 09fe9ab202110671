"""How good views must be to help: the gain over TDA against the quality of the views given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.evaluation.verdicts import side
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import MAP, PSNR, UNPLANNED, Evidence, differences_of, effect_of, rungs, value_of
from gcl_core.tables.claims import LIMITS, OURS, SMALLEST_OWN, over_seeds, table_row

GAIN = "gain in mAP"
NOT_PLANNED = "not planned"  # in the place of a verdict


def dose_table(evidence: Sequence[Evidence], claims: pd.DataFrame) -> pd.DataFrame:
    """Return a row per rung, from worst to best views: their PSNR (dB, mean over seeds) and the gain in mAP over `tda`.

    Both are of the seeds that have both; where no seed has a PSNR it is blank, and the gain is of all seeds.

    Rungs are copy (no new view at all), doses, views drawn once, GCL itself, views over the surface, turned or not, and
    true_views, whose PSNR is infinite; one that was not run has no row. `claims` is `claims_table` of the same
    evidence; verdicts are `judged_doses`', from all seeds of that table.
    """
    rows = []
    for rung in (*rungs(evidence), *UNPLANNED):
        gained = [each for each in evidence if differences_of([each], rung, "tda", MAP)]
        known = [each for each in gained if value_of(each, rung, PSNR) is not None]
        if row := table_row(OURS, rung, MAP, effect_of(known or gained, rung, "tda", MAP)):
            psnr = np.mean([value_of(each, rung, PSNR) for each in known]) if known else np.nan
            rows.append({"rung": rung, PSNR: psnr, GAIN: row.pop("effect"), **row})
    types = {"seeds": "Int64", **dict.fromkeys((PSNR, GAIN, *LIMITS), "float64")}
    frame = pd.DataFrame(rows, columns=["rung", PSNR, GAIN, *LIMITS, "seeds", "verdict"]).astype(types)
    return judged_doses(frame.sort_values(PSNR, ignore_index=True), claims)


def judged_doses(frame: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """Return a dose table with each row's verdict.

    A comparison with TDA has the verdict that it has in the table of claims, which allows for the number of
    comparisons; GCL's, which is a claim of the paper there, the side on which its interval over seeds lies; UNPLANNED
    ones are not judged.
    """
    own = where(claims, claim=OURS, metric=MAP)
    known = dict(zip(own["compared"], own["verdict"], strict=True))
    verdicts = [
        side(over_seeds(line), int(line["seeds"]), SMALLEST_OWN)
        if line["rung"] == "gcl"
        else NOT_PLANNED
        if line["rung"] in UNPLANNED
        else known[f"{line['rung']} - tda"]
        for line in frame.to_dict("records")
    ]
    return frame.assign(verdict=verdicts)


def placed(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rungs of `dose_table` that have both a PSNR and a gain."""
    return [line for line in table.to_dict("records") if not np.isnan(line[PSNR])]


def dose_reading(table: pd.DataFrame, titles: Mapping[str, str] | None = None) -> str:
    """Return in words from which PSNR on the gain over TDA is above zero, what better views do, and where GCL stands.

    From `dose_table`. `titles` maps a rung to its title; without it rungs are named as
    in the table. Empty where fewer than two rungs have both a PSNR and a gain.
    """
    everything = placed(table)
    lines = [line for line in everything if line["verdict"] != NOT_PLANNED]
    if len(lines) < 2:
        return ""
    told = [_rung(line, titles or {}) for line in lines]
    sure = [line["verdict"] == "above zero" for line in lines]
    if any(sure):
        first = sure.index(True)
        sentences = [
            "Ordered from the worst views to the best, the first with which the gain in mAP over TDA lies above zero "
            f"are {told[first]}."
        ]
        after = [text for text, is_sure in zip(told[first:], sure[first:], strict=True) if not is_sure]
        if after:
            sentences.append(f"With these better views the gain does not lie above zero: {'; '.join(after)}.")
            sentences.append("So no PSNR separates the views that help from those that do not.")
    else:
        sentences = [f"With none of the views does the gain in mAP over TDA surely lie above zero: {'; '.join(told)}."]
    own = [place for place, line in enumerate(lines) if line["rung"] == "gcl"]
    sentences += [f"GCL's own views stand among them as {told[place]}: {lines[place]['verdict']}." for place in own]
    beside = [_rung(line, titles or {}) for line in everything if line not in lines]
    sentences += [f"Without a verdict, for it was not planned: {each}." for each in beside]
    return " ".join(sentences)


def _rung(line: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    quality = f"PSNR {line[PSNR]:.1f} dB" if np.isfinite(line[PSNR]) else "infinite PSNR"
    seeds = "one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds"
    gain = f"{line[GAIN]:+.1f}".replace("-", "\u2212")
    return f"*{titles.get(line['rung'], line['rung'])}* ({quality}, gain {gain}, {seeds})"
