"""The numbers in the README, filled in from the committed tables of claims.

A mark `<!--=PROFILE; CLAIM; COMPARED; METRIC-->…<!--/-->` stands around each effect with its interval over seeds, and
one that ends in `; verdict` around a verdict. Browsers do not show the marks.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from gcl_core.files import RunError
from gcl_core.tables.formats import NOT_RUN, read_table

MARK = re.compile(r"(<!--=(?P<words>[^>]*?)-->)(?P<told>.*?)(<!--/-->)", re.DOTALL)


def filled(text: str, figures: Path) -> str:
    """Return a page with what stands between its marks made anew from `figures`/PROFILE/claims.csv.

    Raises RunError for a mark that names no table, no row or more than one.
    """
    tables: dict[str, pd.DataFrame] = {}

    def value(match: re.Match[str]) -> str:
        words = [word.strip() for word in match["words"].split(";")]
        asks_verdict = words[-1] == "verdict"
        if len(words) != (5 if asks_verdict else 4):
            raise RunError(f"the mark {match[1]!r} needs profile; claim; compared; metric, and perhaps verdict")
        profile, claim, compared, metric = words[:4]
        if profile not in tables:
            tables[profile] = read_table(figures / profile / "claims.csv")
        frame = tables[profile]
        rows = frame[(frame["claim"] == claim) & (frame["compared"] == compared) & (frame["metric"] == metric)]
        if len(rows) != 1:
            raise RunError(f"the mark {match[1]!r} fits {len(rows)} rows of {profile}/claims.csv, expected one")
        row = rows.iloc[0].to_dict()
        return match[1] + (f"{row['verdict']}" if asks_verdict else _effect(row)) + match[4]

    return MARK.sub(value, text)


def _effect(row: dict) -> str:
    if row["effect"] == NOT_RUN:
        return NOT_RUN
    low, high = float(row["low over seeds"]), float(row["high over seeds"])
    interval = f" ({low:+.1f} to {high:+.1f})" if np.isfinite(low) else ""
    return f"{float(row['effect']):+.1f}{interval}".replace("-", "\u2212")
