"""How good views must be to help: the gain over TDA against the quality of the views given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
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


def _placed(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rungs of `dose_table` that have both a PSNR and a gain."""
    return [line for line in table.to_dict("records") if line["gain in mAP"] != NOT_RUN and not np.isnan(line[PSNR])]


@styled()
def dose_figure(study: Study, table: pd.DataFrame) -> Figure:
    """Return the gain in mAP over PSNR of the views given, from `dose_table`, with both intervals; GCL's place marked.

    True views stand at the right, at infinity. Rungs without a PSNR or a gain are left out.
    """
    lines = _placed(table)
    finite = [line[PSNR] for line in lines if np.isfinite(line[PSNR])] or [0.0]
    low, high = min(finite) - 1, max(finite) + 1
    right = high + max(2.0, 0.2 * (high - low))  # where infinity is drawn
    figure = new_figure(COLUMN, 2.7)
    axes = figure.subplots()
    axes.axhline(0, color="black", linewidth=0.8)
    dose: dict[str, Any] = {"color": GREY, "marker": "s", "label": "views of given quality"}
    marks = {
        "copy": {**dose, "marker": "X", "label": "copies, no new view"},
        "true_views": {**dose, "marker": "^", "label": "true views"},
        "drawn_once": {**look(study, "gcl"), "mfc": "none", "label": "views drawn once"},
        "gcl": look(study, "gcl"),
    }
    named: dict[str, Any] = {}  # one entry for all rungs of a kind
    for line in lines:
        place, style = min(line[PSNR], right), {**marks.get(line["rung"], dose), "linestyle": ""}
        gain = line["gain in mAP"]
        for kind, width, cap in (("seeds", 0.8, 2), ("queries", 2.4, 0)):
            ends = [[gain - line[f"low over {kind}"]], [line[f"high over {kind}"] - gain]]
            bar = {"ecolor": style["color"], "elinewidth": width, "capsize": cap, "alpha": 0.6, "fmt": "none"}
            if np.isfinite(ends).all():
                named[f"95 % over {kind}"] = axes.errorbar([place], [gain], ends, **bar)
        named[style["label"]] = axes.plot([place], [gain], zorder=3, **style)[0]
    ticks = {tick: f"{tick:g}" for tick in MaxNLocator(5, integer=True).tick_values(low, high) if low <= tick <= high}
    if any(np.isinf(line[PSNR]) for line in lines):
        ticks[right], high = "∞", right + 1
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set(xlabel="PSNR of the person in the views given (dB)", ylabel="gain in mAP over TDA (points)")
    axes.set_xlim(low, high)
    axes.margins(y=0.08)
    if lines:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=2)
    else:
        axes.annotate(NOT_RUN, (0.5, 0.6), xycoords="axes fraction", ha="center")
    return figure


def dose_reading(table: pd.DataFrame) -> str:
    """Return in words from which PSNR on the gain over TDA excludes zero, what better views do, and where GCL stands.

    From `dose_table`; a gain excludes zero when all its intervals lie above.
    """
    lines = _placed(table)
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
