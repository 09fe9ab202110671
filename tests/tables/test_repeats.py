"""What is said of repeats: which numbers are means, and how far single trainings differ."""

import pandas as pd

from gcl_core.config import load_study
from gcl_core.tables.repeats import repeat_reading


def test_without_repeats_the_reader_is_told_where_a_spread_is_known():
    text = repeat_reading(load_study("smoke", ""), pd.DataFrame())
    assert "Each number is that of one training" in text
    assert "docs/PROTOCOL.md" in text


def test_where_all_are_repeated_none_is_called_single():
    study = load_study("smoke", "repeats=2")
    lines = [
        {"variant": name, "seed": 0, "repeat": repeat, "map": 0.5 + repeat / 100}
        for name in study.variants
        for repeat in (0, 1)
    ]
    text = repeat_reading(study, pd.DataFrame(lines))
    assert "deviation of 0.7 points of mAP (6 degrees of freedom)" in text
    assert "one training" not in text
