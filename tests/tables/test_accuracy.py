"""Accuracies beside published ones: ours in percent and by what they are, transcriptions marked and last."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.files import read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import records, where
from gcl_core.measure.found_runs import METHODS
from gcl_core.settings.stage_one import BaselineSettings
from gcl_core.tables.accuracy import JOINT, accuracy_reading, accuracy_table, joint_accuracies


@pytest.fixture
def frame(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> pd.DataFrame:
    for seed in (0, 1):
        lines = variant_lines([30, 20], [0.1, 0.3, 0.4 + 0.1 * seed])
        write_run(layout, "baseline", seed, [{**lines[0], "note": "random start"}, *lines[1:]])
        write_run(layout, "tda", seed, variant_lines([20], [0.45, 0.5]))
        write_run(layout, "gcl", seed, variant_lines([20], [0.45, 0.6]))
    return records(layout, ["baseline", "tda", "gcl"])


def test_ours_go_from_random_to_joint_in_percent(layout: Layout, frame: pd.DataFrame):
    table = accuracy_table(layout.study, frame)
    ours = table[table["source"] == "ours"]
    assert list(ours["method"]) == [
        *("random start", "baseline (stage 1: TDA contrast)"),
        *("TDA control", "GCL"),
    ]
    assert list(ours["epoch"]) == ["start", "last epoch", "last epoch", "last epoch"]
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
    assert "not comparable" not in " ".join(accuracy_reading(study, frame).split())


def test_the_reading_says_how_much_was_learned(layout: Layout, frame: pd.DataFrame):
    text = accuracy_reading(layout.study, frame)
    assert "From 10.0 mAP at the start the baseline reaches 45.0 (4.5 times as much)" in text
    assert "not comparable" in text


def test_a_baseline_goes_by_its_method_and_a_start_by_what_its_run_noted(layout: Layout, frame: pd.DataFrame):
    noted = frame.assign(note=frame["note"].replace("random start", "start: trained on the source set msmt17"))
    study = load_study("smoke", ["seeds=2", "baseline.method=jvtc"])
    rows = accuracy_table(study, noted)
    assert list(rows["method"])[:2] == ["start: trained on the source set msmt17", "baseline (stage 1: JVTC)"]


def test_every_method_of_stage_one_has_a_name():
    choices = get_args(BaselineSettings.model_fields["method"].annotation)
    assert set(METHODS) == set(choices)


def test_a_checkpoint_taken_over_has_no_start_of_its_own(layout: Layout, frame: pd.DataFrame):
    taken = pd.concat([where(frame, stage="baseline", epoch=0), where(frame, stage="tda"), where(frame, stage="gcl")])
    assert accuracy_table(layout.study, taken)["method"].iloc[0] == "baseline (stage 1: TDA contrast)"
    assert "The baseline stands at 10.0 mAP;" in accuracy_reading(layout.study, taken)


def test_looks_and_time_together_are_a_row_of_their_own(layout: Layout, frame: pd.DataFrame):
    assert joint_accuracies(layout) == []
    for seed in (0, 1):
        path = layout.stage("baseline", seed) / "manifest.json"
        plus = {"map": 0.6 + 0.1 * seed, "rank1": 0.8, "rank5": 1, "rank10": 1, "clusters": 12}
        write_json(path, {**read_json(path), "jvtc_plus": plus if seed else None})
    joint = joint_accuracies(layout)
    assert len(joint) == 1
    row = where(accuracy_table(layout.study, frame, joint), method=JOINT).iloc[0]
    assert (row["mAP"], row["rank-1"], row["rank-10"], row["seeds"]) == pytest.approx((70, 80, 100, 1))
    assert "time stamps" in row["method"]
    assert "With time stamps beside looks the same baseline has 70.0 mAP" in accuracy_reading(
        layout.study, frame, joint
    )
    assert JOINT not in set(accuracy_table(layout.study, frame)["method"])


def test_on_request_the_headline_of_variants_is_their_best_epoch(
    layout: Layout, write_run: Callable[..., Path], variant_lines: Callable
):
    for stage in ("baseline", "tda", "gcl"):
        write_run(layout, stage, 0, variant_lines([20, 20], [0.4, 0.7, 0.6]))
    study = load_study("smoke", "joint.keep=best_on_test")
    table = accuracy_table(study, records(layout, ["baseline", "tda", "gcl"], seeds=[0]))
    ours = table[table["source"] == "ours"]
    assert ours["mAP"].tolist() == pytest.approx([40, 60, 70, 70])
    assert list(ours["epoch"]) == ["start", "last epoch", *["epoch of best mAP on test"] * 2]


def test_a_start_that_was_not_measured_is_left_out(layout: Layout, frame: pd.DataFrame):
    given = frame.assign(map=frame["map"].where(frame["epoch"] > 0))
    assert accuracy_table(layout.study, given)["method"].iloc[0] == "baseline (stage 1: TDA contrast)"
    assert "The baseline stands at 45.0 mAP;" in accuracy_reading(layout.study, given)
