"""The claims' figure: which rows it shows, where their marks stand, and that hollow ones decide nothing."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcl_core.config import load_study
from gcl_core.figures.claims import HOLLOW, LOOKS, PLAIN, SEEDS, claims_caption, claims_figure
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.tables.claims import COLUMNS
from tests.fits import assert_fits

ROWS: list[tuple[Any, ...]] = [
    ("C1", "tda - gcl", "clusters off, % of people", 2.0, None, None, -1.0, 5.0, 3, "open"),
    ("C2", "gcl - tda", "mAP", 3.0, 2.0, 4.0, 1.0, 5.0, 3, "reproduced"),
    ("C2", "gcl - tda", "rank-1", 3.0, 2.0, 4.0, 1.0, 5.0, 3, ""),
    ("C5", "gcl - no_l_b", "mAP", -3.0, -4.0, -2.0, -5.0, -1.0, 3, "below zero"),
    ("C6", "gcl - tda", "mAP, far - near views", 0.1, -0.1, 0.3, -0.5, 0.7, 3, "no difference of note"),
    ("C6", "gcl - tda", "mAP, far views", 1.0, -0.5, 2.5, None, None, 1, ""),
    ("C7", "tau_10 - drawn_once", "mAP", 0.5, 0.1, 0.9, None, None, 1, "open"),
    ("ours", "copy - tda", "mAP", 4.0, 3.0, 5.0, -80.0, 88.0, 3, "above zero"),
]


def test_every_effect_on_map_has_its_mark_and_the_intervals_that_are_known():
    figure = claims_figure(load_study("evidence_settings"), pd.DataFrame(ROWS, columns=COLUMNS))
    axes = figure.axes[0]
    names = [
        "C2: GCL against TDA control",
        "C5: GCL against no_l_b",
        "C6: GCL against TDA control, far minus near views",
    ]
    names += ["C6: GCL against TDA control, far views", "C7: setting changed, temperature 0.1"]
    names += ["copy against TDA control"]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    drawn = [(np.ravel(line.get_xdata()).tolist(), np.ravel(line.get_ydata())[0]) for line in axes.lines[1:]]
    assert drawn == [
        *[([1, 5], 0), ([2, 4], 0), ([3], 0)],
        *[([-5, -1], 1), ([-4, -2], 1), ([-3], 1)],
        *[([-0.5, 0.7], 2), ([-0.1, 0.3], 2), ([0.1], 2)],
        *[([-0.5, 2.5], 3), ([1], 3)],
        *[([0.1, 0.9], 4), ([0.5], 4)],
        *[([-80, 88], 5), ([3, 5], 5), ([4], 5)],
    ]
    marks = [line for line in axes.lines if str(line.get_marker()) in "^vDos"]
    looks = [LOOKS[word] for word in ("reproduced", "contradicted", "no difference of note")]
    looks += [PLAIN, LOOKS["open"], LOOKS["reproduced"]]
    assert [(mark.get_color(), mark.get_marker()) for mark in marks] == looks
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False] * 3 + [True] * 3
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    told = [
        "smaller than the smallest effect worth having",
        "reproduced",
        "below zero (one of several that decide)",
        "no difference of note",
        *("shown with a claim, has no verdict", "open", "above zero", "hollow: decides no claim"),
    ]
    assert [text for text in legend if not text.startswith("95 %")] == told  # nothing that is not drawn


def test_of_too_few_seeds_no_mark_is_filled():
    for count, filled in ((3, [True, False]), (2, [False] * 2), (1, [False] * 2)):
        rows = [("C2", "gcl - tda", "mAP", 3.0, 2.0, 4.0, None, None, count, "open"), (*ROWS[-1][:-2], count, "open")]
        figure = claims_figure(load_study("evidence"), pd.DataFrame(rows, columns=COLUMNS))
        marks = [line for line in figure.axes[0].lines if str(line.get_marker()) == "o"]
        assert [mark.get_markerfacecolor() != "white" for mark in marks] == filled
        (entry,) = [each for each in legend_marks(figure) if each[0] == "open"]
        assert (entry[-1] != "white") == filled[0]


def test_the_legend_has_one_entry_for_what_looks_alike():
    rows = [(*ROWS[1][:-1], "contradicted"), (*ROWS[-1][:-1], "below zero")]
    table = pd.DataFrame(rows, columns=COLUMNS)
    tuned = legend_marks(claims_figure(load_study("real_small", ["data_root=."]), table))
    assert [each[0] for each in tuned] == ["contradicted or below zero", HOLLOW]
    found = legend_marks(claims_figure(load_study("evidence"), table))
    assert [each[0] for each in found] == ["contradicted", "below zero", HOLLOW]
    for entries in (tuned, found):
        assert len({each[1:] for each in entries}) == len(entries)


def test_the_caption_says_whose_verdicts_an_interval_does_not_decide():
    caption = claims_caption(load_study("evidence"), "profile evidence, seeds: 3")
    assert caption.startswith("Effects on mAP by claim, with 95 % intervals, profile evidence, seeds: 3. GCL trains")
    assert "(Holm's method), so one whose interval over seeds leaves zero out can be open." in caption
    assert "A description, no test." in claims_caption(load_study("real_small", ["data_root=."]), "x")


def legend_marks(figure: Figure) -> list[tuple[Any, ...]]:
    """Return label, colour, marker and filling of each of a legend's marks."""
    handles, texts = figure.legends[0].legend_handles, figure.legends[0].get_texts()
    return [
        (text.get_text(), handle.get_color(), handle.get_marker(), handle.get_markerfacecolor())
        for text, handle in zip(texts, handles, strict=True)
        if isinstance(handle, Line2D) and str(handle.get_marker()) in "^vDos"
    ]


def test_nothing_is_cut_off():
    assert_fits(claims_figure(load_study("evidence"), pd.DataFrame(ROWS, columns=COLUMNS)))


def test_single_seeds_stand_above_their_mean_where_there_are_several():
    def seed(gcl: float, tda: float) -> Evidence:
        values = {"gcl": [gcl, gcl + 0.1], "tda": [tda, tda + 0.1]}
        queries = {name: pd.DataFrame({"pid": [1, 2], "ap": each}) for name, each in values.items()}
        return Evidence(2, {name: Measured(queries=each) for name, each in queries.items()})

    table = pd.DataFrame(ROWS[1:2], columns=COLUMNS)
    figure = claims_figure(load_study("evidence"), table, [seed(0.50, 0.45), seed(0.60, 0.59)])
    (dots,) = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert np.allclose(np.asarray(dots.get_xdata()), [5, 1])
    assert (np.asarray(dots.get_ydata()) < 0).all()
    assert SEEDS in [text.get_text() for text in figure.legends[0].get_texts()]
    alone = claims_figure(load_study("evidence"), table, [seed(0.50, 0.45)])
    assert not [line for line in alone.axes[0].lines if line.get_marker() == "."]
