"""Evidence made by hand: gains of variants over queries, and the row that the claims table makes of them."""

from typing import Any

import numpy as np
import pandas as pd

from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.tables.claims import claims_table

PIDS = np.repeat(np.arange(30), 2)


def queries(gain: float, *, far: float = 0, near: float = 0, rank1: int = 30) -> pd.DataFrame:
    """Return 60 queries of 30 people: AP 0.4 and `gain` on average, more for one person than for another."""
    uneven = gain * (1 + 0.1 * np.cos(np.pi * PIDS))
    no_far = np.where(PIDS < 5, np.nan, 0.3 + far)
    hits = (np.arange(60) < rank1).astype(int)
    return pd.DataFrame({"pid": PIDS, "ap": 0.4 + uneven, "rank1": hits, "ap_far": no_far, "ap_near": 0.5 + near})


def seeds(**variants: list[Measured]) -> list[Evidence]:
    """Return evidence with 100 true people from variant → one Measured a seed."""
    count = max(map(len, variants.values()))
    return [
        Evidence(100, {name: each[seed] for name, each in variants.items() if seed < len(each)})
        for seed in range(count)
    ]


def gains(*values: float) -> list[Measured]:
    return [Measured(queries(value)) for value in values]


def numbers_of(name: str, *values: Any) -> list[Measured]:
    return [Measured(**{name: value}) for value in values]


def row(evidence: list[Evidence], claim: str, metric: str, compared: str) -> dict[str, Any]:
    lines = where(claims_table(evidence), claim=claim, metric=metric).to_dict("records")
    found = [line for line in lines if line["compared"].split(",")[0] == compared]
    assert len(found) == 1
    return found[0]
