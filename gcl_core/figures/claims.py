"""The claims in one picture: every effect on mAP with both of its intervals, beside the line of no effect."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gcl_core.config import Study
from gcl_core.evaluation.verdicts import FEWEST
from gcl_core.figures.style import COLOURS, GREY, PAGE, new_figure, styled
from gcl_core.measure.evidence import MAP, Evidence, differences_of
from gcl_core.tables.claim_readings import caveat
from gcl_core.tables.claim_words import compared_words
from gcl_core.tables.claims import OURS, SETTINGS, SMALLEST_OWN, decides, shown_interval

LOOKS = {
    "reproduced": (COLOURS[2], "^"),
    "contradicted": (COLOURS[3], "v"),
    "no difference of note": (COLOURS[1], "D"),
    "open": (COLOURS[0], "o"),
}
SIDES = {"above zero": LOOKS["reproduced"], "below zero": LOOKS["contradicted"]}  # hollow: ours, or a setting
PLAIN = (GREY, "s")  # a row without a verdict
INTERVALS = {"queries": "95 % interval over queries", "seeds": "95 % interval over seeds"}
SEEDS = "single seeds"
HOLLOW = "hollow: decides no claim"
EXPLAINED = (
    "GCL trains with drawn views, TDA with traditional data augmentation; L_vi, L'_vi and L''_vi are the paper's three "
    "view-invariant losses. Rows without C, if any, are comparisons that the paper does not make; their verdicts allow "
    "for their number (Holm's method), so one whose interval over seeds leaves zero out can be open. Small dots, where "
    "there are several seeds, are single ones."
)
ABOVE = 0.27  # rows: single seeds stand so far above their mean


def claims_caption(study: Study, words: str) -> str:
    """Return the caption of the claims' figure; `words` say of which profile and seeds it is."""
    return f"Effects on mAP by claim, with 95 % intervals, {words}. {EXPLAINED} {caveat(study)}".strip()


@styled()
def claims_figure(study: Study, table: pd.DataFrame, evidence: Sequence[Evidence] = ()) -> Figure:
    """Return every effect on mAP of `claims_table` (points): a mark, thick interval over queries, thin over seeds.

    Filled marks decide a claim; hollow ones stand beside it, are ours, are of too few seeds to decide, or of a set that
    was tuned on. The band is the smallest effect worth having, to each side. Other metrics, which have other units, are
    left out. Small dots are the seeds of `evidence`, where there are several; an interval over two of them is not
    drawn. The legend lists what is drawn, one entry for verdicts with one mark.
    """
    looks: dict[str, tuple[str, str, str]] = {}  # words for a verdict → colour, marker and filling
    filled: list[bool] = []
    lines = [line for line in table.to_dict("records") if line["metric"].startswith(MAP)]
    drawn: dict[str, Artist] = {}
    figure = new_figure(PAGE, 1.0 + 0.16 * max(3, len(lines)))
    axes = figure.subplots()
    axes.axvspan(-SMALLEST_OWN, SMALLEST_OWN, color="0.92", linewidth=0, zorder=0)
    axes.axvline(0, color="black", linewidth=0.8)
    drawn["smaller than the smallest effect worth having"] = Patch(facecolor="0.92")
    for place, line in enumerate(lines):
        colour, marker = {**LOOKS, **SIDES}.get(line["verdict"], PLAIN)
        for kind, width in (("seeds", 0.8), ("queries", 2.4)):
            if ends := shown_interval(line, kind):
                axes.plot(ends, [place, place], color=colour, linewidth=width, alpha=0.6, solid_capstyle="butt")
                decisive = " (decides)" if kind == "seeds" and not caveat(study) else ""
                drawn[INTERVALS[kind] + decisive] = Line2D([], [], color=GREY, linewidth=width)
        ours, theirs = line["compared"].split(" - ")
        if len(differences := differences_of(evidence, ours, theirs, line["metric"])) > 1:
            dots: Any = {"marker": ".", "linestyle": "", "color": GREY, "markersize": 3, "markeredgewidth": 0}
            axes.plot(differences, [place - ABOVE] * len(differences), **dots)
            drawn[SEEDS] = Line2D([], [], **(dots | {"markersize": 5}))
        deciding = decides(line) and line["seeds"] >= FEWEST and not caveat(study)
        fill = colour if deciding else "white"
        axes.plot(line["effect"], place, marker=marker, color=colour, mfc=fill, markersize=4)
        filled.append(deciding)
        words = _verdict_words(line)
        if deciding or words not in looks:  # the legend's mark is filled where one of the figure's is
            looks[words] = (colour, marker, fill)
    for look in dict.fromkeys(looks.values()):
        colour, marker, fill = look
        words = " or ".join(each for each in looks if looks[each] == look)
        drawn[words] = Line2D([], [], color=colour, marker=marker, mfc=fill, linestyle="")
    if not all(filled):
        drawn[HOLLOW] = Line2D([], [], color=GREY, marker="o", mfc="white", linestyle="")
    axes.set_yticks(range(len(lines)), [_name(study, line) for line in lines])
    axes.set_ylim(max(2.5, len(lines) - 0.5), -0.5)
    axes.set_xlabel("effect, in points of mAP")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=3)
    return figure


def _verdict_words(line: Mapping[str, Any]) -> str:
    if not line["verdict"]:
        return "shown with a claim, has no verdict"
    return (
        f"{line['verdict']} (one of several that decide)"
        if decides(line) and line["verdict"] in SIDES
        else line["verdict"]
    )


def _name(study: Study, line: Mapping[str, Any]) -> str:
    """Return a row's name: its claim, what is compared, and the metric where it is not plain mAP."""
    claim = "" if line["claim"] == OURS else f"{line['claim']}: "
    metric = (
        "" if line["metric"] == MAP else f", {line['metric'].split(', ')[1].replace('far - near', 'far minus near')}"
    )
    if line["claim"] == SETTINGS:  # all are compared with views drawn once under the usual settings
        return f"{claim}setting changed, {compared_words(study, line['compared'].partition(' - ')[0])}"
    return f"{claim}{compared_words(study, line['compared'])}{metric}"
