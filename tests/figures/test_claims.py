"""The claims' figure: which rows it shows, where their marks stand, and that hollow ones decide nothing."""

from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import load_study
from gcl_core.figures.claims import LOOKS, PLAIN, SEEDS, claims_figure
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
        *("shown with a claim, has no verdict", "hollow: decides no claim", "open", "above zero"),
    ]
    assert [text for text in legend if not text.startswith("95 %")] == told  # nothing that is not drawn


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
