"""Encoders by three protocols of retrieval, side by side."""

from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.evaluation.protocols import PROTOCOLS
from gcl_core.measure.artifacts import numbers, spread, where

SHOWN = {"map": "mAP", "rank1": "rank-1"}


def protocols_table(study: Study, lines: pd.DataFrame) -> pd.DataFrame:
    """Return one row per encoder of the record `protocols`: mAP and rank-1 in percent by each protocol.

    Numbers are means over seeds; `±`, half their range, is blank for one seed.
    """
    rows = []
    for stage in dict.fromkeys(lines["stage"]):
        own = where(lines, stage=stage)
        variant = study.variants.get(stage)
        row: dict[str, Any] = {"encoder": stage if variant is None else variant.title, "seeds": own["seed"].nunique()}
        for protocol in PROTOCOLS:
            for column, title in SHOWN.items():
                values = 100 * numbers(where(own, protocol=protocol), column)
                row |= {f"{title}, {protocol}": values.mean(), f"± {title}, {protocol}": spread(values)}
        rows.append(row)
    return pd.DataFrame(rows).astype({"seeds": "Int64"})


def protocols_reading(lines: pd.DataFrame) -> str:
    """Return a paragraph on what the protocols leave in a query's gallery, and how many queries each asks."""
    asked = {each: f"{numbers(where(lines, protocol=each), 'queries').max():.0f} queries" for each in PROTOCOLS}
    return (
        f"*Standard* is the published protocol: pictures of a query's own person by its own camera are left out, "
        f"those of others by that camera stay ({asked['standard']} have a match). *Other* leaves out everything by the "
        f"query's camera ({asked['other']}), *within* everything by other cameras ({asked['within']}). Where the first "
        "is far below the other two, pictures of other people by the same camera crowd the top of the lists: the "
        "features tell the camera before the person."
    )
