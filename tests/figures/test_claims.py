"""The claims' figure: which rows it shows, where their marks stand, and that hollow ones decide nothing."""

from typing import Any

import numpy as np
import pandas as pd

from gcl_core.figures.claims import LOOKS, claims_figure
from gcl_core.tables.claims import COLUMNS, COMPUTE, claims_table
from gcl_core.tables.formats import NOT_RUN
from tests.fits import assert_fits

ROWS: list[tuple[Any, ...]] = [
    ("C1", "tda - gcl", "clusters off, % of people", 2.0, None, None, -1.0, 5.0, 3, "inconclusive"),
    ("C2", "gcl - tda", "mAP", 3.0, 2.0, 4.0, 1.0, 5.0, 3, "reproduced"),
    ("C2", f"gcl - tda_long{COMPUTE}", "mAP", -3.0, -4.0, -2.0, -5.0, -1.0, 3, "not reproduced"),
    ("C2", "gcl - tda", "rank-1", 3.0, 2.0, 4.0, 1.0, 5.0, 3, "reproduced"),
    ("C5", "gcl - no_l_vi", "mAP", NOT_RUN, None, None, None, None, 0, NOT_RUN),
    ("C6", "gcl - tda", "mAP, far views", 1.0, -0.5, 2.5, None, None, 1, "inconclusive"),
    ("C7", "tau_1 - drawn_once", "mAP", 0.5, 0.1, 0.9, None, None, 1, "higher"),
    ("C8", "copy - tda", "mAP", 4.0, 3.0, 5.0, None, None, 1, "inconclusive"),
]


def test_every_effect_on_map_has_its_mark_and_the_intervals_that_are_known():
    axes = claims_figure(pd.DataFrame(ROWS, columns=COLUMNS)).axes[0]
    names = ["C2  gcl - tda", "C2  gcl - tda_long", "C6  gcl - tda, far views", "C7  tau_1 - drawn_once"]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    drawn = [(np.ravel(line.get_xdata()).tolist(), np.ravel(line.get_ydata())[0]) for line in axes.lines[1:]]
    assert drawn == [
        *[([1, 5], 0), ([2, 4], 0), ([3], 0)],
        *[([-5, -1], 1), ([-4, -2], 1), ([-3], 1)],
        *[([-0.5, 2.5], 2), ([1], 2)],
        *[([0.1, 0.9], 3), ([0.5], 3)],
    ]
    marks = [line for line in axes.lines if str(line.get_marker()) in "^vos"]
    assert [(mark.get_color(), mark.get_marker()) for mark in marks[:3]] == list(LOOKS.values())
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, True, False, False]


def test_nothing_is_cut_off():
    figure = claims_figure(pd.DataFrame(ROWS, columns=COLUMNS))
    assert_fits(figure)


def test_without_evidence_the_figure_says_not_run():
    assert [text.get_text() for text in claims_figure(claims_table([])).axes[0].texts] == [NOT_RUN]
