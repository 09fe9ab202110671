"""Accuracies beside published ones: ours in percent, transcriptions marked and last."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.reporting.accuracy import accuracy_reading, accuracy_table
from gcl_core.reporting.artifacts import records
from gcl_core.run import Layout


@pytest.fixture
def frame(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> pd.DataFrame:
    for seed in (0, 1):
        write_run(layout, "baseline", seed, variant_lines([30, 20], [0.1, 0.3, 0.4 + 0.1 * seed]))
        write_run(layout, "tda", seed, variant_lines([20], [0.45, 0.5]))
        write_run(layout, "gcl", seed, variant_lines([20], [0.45, 0.6]))
    return records(layout, ["baseline", "tda", "gcl"])


def test_ours_go_from_random_to_joint_in_percent(layout: Layout, frame: pd.DataFrame):
    table = accuracy_table(layout.study, frame)
    ours = table[table["source"] == "ours"]
    assert list(ours["method"]) == ["random initialisation", "baseline (stage 1)", "TDA control", "GCL"]
    assert ours["mAP"].tolist() == pytest.approx([10, 45, 50, 60])
    assert ours["± mAP"].tolist() == pytest.approx([0, 5, 0, 0])
    assert ours["rank-5"].tolist() == pytest.approx([100] * 4)


def test_third_party_rows_are_marked_and_last(layout: Layout, frame: pd.DataFrame):
    table = accuracy_table(layout.study, frame)
    marked = table["method"].str.endswith("†")
    assert (marked == (table["source"] == "published, third-party")).all()
    sources = list(dict.fromkeys(table["source"]))
    assert sources == ["ours", "published, verified", "published, third-party"]
    gcl = table[(table["method"] == "GCL †") & (table["data"] == "Market-1501")].iloc[0]
    assert (gcl["mAP"], gcl["rank-1"]) == (66.8, 87.3)


def test_on_a_real_dataset_only_its_published_rows_stand(layout: Layout, frame: pd.DataFrame, tmp_path: Path):
    study = load_study("market1501", ["seeds=2", f"data_root={tmp_path}"])
    table = accuracy_table(study, frame)
    assert set(table["data"]) == {"market1501", "Market-1501"}
    assert table["method"].iloc[0] == "ImageNet initialisation"
    assert "not comparable" not in " ".join(accuracy_reading(study, frame).split())


def test_the_reading_says_how_much_was_learned(layout: Layout, frame: pd.DataFrame):
    text = accuracy_reading(layout.study, frame)
    assert "From 10.0 mAP at the start the baseline reaches 45.0 (4.5 times as much)" in text
    assert "not comparable" in text
