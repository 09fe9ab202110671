"""Training curves: panels for what was recorded, and a reading of first and last."""

import numpy as np
import pandas as pd
import pytest

from gcl_core.figures.curves import training_figure, training_reading

BASELINE = pd.DataFrame(
    {
        "epoch": [0.0, 1.0, 2.0, 3.0],
        "loss": [np.nan, 4.0, 2.0, 1.0],
        "map": [0.05, 0.2, 0.5, 0.4],
        "rank1": [0.1, 0.3, 0.6, 0.7],
        "clusters": [np.nan, np.nan, 30, 25],
        "outliers": [np.nan, np.nan, 3, 4],
        "ari": [np.nan, np.nan, 0.3, 0.4],
        "purity": [np.nan, np.nan, 0.8, 0.9],
        "note": ["random start", None, None, None],
    }
)
WARM_UP = pd.DataFrame({"epoch": [1.0, 2.0], "image": [0.5, 0.4], "adversarial": [6.0, 5.0], "penalty": [0.1, 0.2]})


def test_panels_follow_what_was_recorded():
    assert [axes.get_title() for axes in training_figure(WARM_UP).axes] == [
        "reconstruction losses",
        "adversarial losses",
    ]
    panels = {axes.get_title(): axes for axes in training_figure(BASELINE, identities=24).axes}
    assert set(panels) == {"contrastive losses", "accuracy on the test people", "clustering"}
    start = panels["accuracy on the test people"].lines[-1].get_ydata()
    assert start == pytest.approx([5, 5])
    clusters = panels["clustering"].lines
    assert np.asarray(clusters[0].get_xdata()).tolist() == [2, 3]
    assert clusters[-1].get_ydata() == pytest.approx([24, 24])


def test_a_number_not_recorded_leaves_no_gap_and_no_zero():
    sparse = BASELINE.assign(map=[0.05, np.nan, np.nan, 0.4])
    panels = {axes.get_title(): axes for axes in training_figure(sparse).axes}
    line = panels["accuracy on the test people"].lines[0]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([5, 40])


def test_the_reading_takes_the_last_epoch_and_names_the_best_apart():
    text = training_reading(BASELINE, identities=24)
    assert "from 5.0 % at the start to 40.0 % after epoch 3 (8.00 times)" in text
    assert "not a headline: 50.0 % in epoch 2" in text
    assert "25 clusters and 4 outliers, where there are 24 people" in text
    assert "contrastive 4 → 1" in text
    assert "mAP" not in training_reading(WARM_UP)


def test_where_one_epoch_alone_was_measured_nothing_is_said_of_a_start():
    given = BASELINE.assign(map=BASELINE["map"].where(BASELINE["epoch"] == 3))
    text = training_reading(given)
    assert "mAP is 40.0 %, rank-1 70.0 %, after epoch 3." in text
    assert "start" not in text
    assert "headline" not in text
