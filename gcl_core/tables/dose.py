"""How good views must be to help: the gain over TDA against the quality of the views given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.measure.evidence import MAP, PSNR, Evidence, effect_of, rungs, value_of
from gcl_core.tables.claims import LIMITS, claim_row
from gcl_core.tables.formats import NOT_RUN


def dose_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return a row a rung, from worst to best views: their PSNR (dB, mean over seeds) and the gain in mAP over `tda`.

    Rungs are copy (no new view at all), dose_*, views drawn once, GCL itself and true_views, whose PSNR is infinite.
    Blank PSNR: not measured.
    """
    rows = []
    for rung in rungs(evidence):
        known = [psnr for each in evidence if (psnr := value_of(each, rung, PSNR)) is not None]
        row = claim_row("C8", rung, MAP, effect_of(evidence, rung, "tda", MAP))
        rows.append({"rung": rung, PSNR: np.mean(known) if known else np.nan, "gain in mAP": row.pop("effect"), **row})
    columns = ["rung", PSNR, "gain in mAP", *LIMITS, "seeds", "verdict"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"}).sort_values(PSNR, ignore_index=True)


def placed(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rungs of `dose_table` that have both a PSNR and a gain."""
    return [line for line in table.to_dict("records") if line["gain in mAP"] != NOT_RUN and not np.isnan(line[PSNR])]


def dose_reading(table: pd.DataFrame) -> str:
    """Return in words from which PSNR on the gain over TDA excludes zero, what better views do, and where GCL stands.

    From `dose_table`; a gain excludes zero when all its intervals lie above.
    """
    lines = placed(table)
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
