"""How good views must be to help: the gain over TDA against the quality of the views given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.evaluation.verdicts import side
from gcl_core.measure.evidence import MAP, PSNR, Evidence, effect_of, rungs, value_of
from gcl_core.tables.claims import LIMITS, OURS, over_seeds, table_row
from gcl_core.tables.formats import NOT_RUN


def dose_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return a row a rung, from worst to best views: their PSNR (dB, mean over seeds) and the gain in mAP over `tda`.

    Rungs are copy (no new view at all), dose_*, views drawn once, GCL itself and true_views, whose PSNR is infinite.
    Blank PSNR: not measured. The verdict is the side on which the interval over seeds lies.
    """
    rows = []
    for rung in rungs(evidence):
        known = [psnr for each in evidence if (psnr := value_of(each, rung, PSNR)) is not None]
        row = table_row(OURS, rung, MAP, effect_of(evidence, rung, "tda", MAP))
        rows.append({"rung": rung, PSNR: np.mean(known) if known else np.nan, "gain in mAP": row.pop("effect"), **row})
    columns = ["rung", PSNR, "gain in mAP", *LIMITS, "seeds", "verdict"]
    frame = pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"})
    return judged_doses(frame.sort_values(PSNR, ignore_index=True))


def judged_doses(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a dose table with each row's verdict, which follows from the table alone."""
    lines = frame.to_dict("records")
    run = [line["gain in mAP"] != NOT_RUN for line in lines]
    sides = [
        side(over_seeds(line), int(line["seeds"])) if is_run else NOT_RUN
        for line, is_run in zip(lines, run, strict=True)
    ]
    return frame.assign(verdict=sides)


def placed(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rungs of `dose_table` that have both a PSNR and a gain."""
    return [line for line in table.to_dict("records") if line["gain in mAP"] != NOT_RUN and not np.isnan(line[PSNR])]


def dose_reading(table: pd.DataFrame) -> str:
    """Return in words from which PSNR on the gain over TDA is above zero, what better views do, and where GCL stands.

    From `dose_table`; the interval over seeds decides.
    """
    lines = placed(table)
    if not lines:
        return f"Dose and response: {NOT_RUN}."
    sure = [line["verdict"] == "above zero" for line in lines]
    if any(sure):
        first = sure.index(True)
        sentences = [
            f"From the worst views on, the gain in mAP over TDA is first above zero with {_rung(lines[first])}."
        ]
        after = [_rung(line) for line, is_sure in zip(lines[first:], sure[first:], strict=True) if not is_sure]
        if after:
            sentences.append(f"It is not surely so with these better views: {'; '.join(after)}.")
    else:
        told = "; ".join(_rung(line) for line in lines)
        sentences = [f"The gain in mAP over TDA is surely above zero with no views: {told}."]
    gcl = [line for line in lines if line["rung"] == "gcl"]
    place = f"stand among them as {_rung(gcl[0])}: {gcl[0]['verdict']}" if gcl else f"have no place: {NOT_RUN}"
    return " ".join([*sentences, f"GCL's own views {place}."])


def _rung(line: Mapping[str, Any]) -> str:
    quality = f"{line[PSNR]:.1f} dB" if np.isfinite(line[PSNR]) else "infinite PSNR"
    seeds = "one seed" if line["seeds"] == 1 else f"{line['seeds']} seeds"
    return f"{line['rung']} at {quality} ({line['gain in mAP']:+.1f}, {seeds})"
