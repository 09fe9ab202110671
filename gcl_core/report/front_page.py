"""The numbers in the README, filled in from the committed tables of claims.

A mark `<!--=PROFILE; CLAIM; COMPARED; METRIC-->…<!--/-->` stands around each effect with its interval over seeds, and
`<!--=PROFILE; CLAIM; verdict-->…<!--/-->` around the verdict on a claim. Browsers do not show the marks.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.files import RunError
from gcl_core.measure.artifacts import where
from gcl_core.tables.claims import CLAIMS, claim_verdict, read_claims, shown_interval

MARK = re.compile(r"(<!--=(?P<words>[^>]*?)-->)(?P<told>.*?)(<!--/-->)", re.DOTALL)


def filled(text: str, figures: Path) -> str:
    """Return a page with what stands between its marks made anew from `figures`/PROFILE/claims.csv.

    Raises RunError for a mark that names no table, no row or more than one.
    """
    tables: dict[str, pd.DataFrame] = {}

    def value(match: re.Match[str]) -> str:
        profile, claim, *words = [word.strip() for word in match["words"].split(";")]
        if profile not in tables:
            tables[profile] = read_claims(figures / profile)
        frame = tables[profile]
        if words == ["verdict"] and claim in CLAIMS:
            return match[1] + claim_verdict(frame, claim) + match[4]
        if len(words) != 2:
            raise RunError(f"the mark {match[1]!r} needs profile; claim; compared; metric, or profile; claim; verdict")
        found = where(frame, claim=claim, compared=words[0], metric=words[1]).to_dict("records")
        if len(found) != 1:
            raise RunError(f"the mark {match[1]!r} fits {len(found)} rows of {profile}/claims.csv, expected one")
        return match[1] + effect_and_interval(found[0]) + match[4]

    return MARK.sub(value, text)


def effect_and_interval(row: Mapping[Any, Any]) -> str:
    """Return a row's effect with its interval over seeds, where it is shown: `+1.2 (−0.3 to +2.7)`."""
    shown = shown_interval(row, "seeds")
    interval = "" if shown is None else f" ({shown[0]:+.1f} to {shown[1]:+.1f})"
    return f"{float(row['effect']):+.1f}{interval}".replace("-", "\u2212")
