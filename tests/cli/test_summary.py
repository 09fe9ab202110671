"""The lines of `summary`: one a training, repeats among them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gcl_core.cli import _show_trainings
from gcl_core.config import load_study
from gcl_core.files import RunError
from gcl_core.layout import Layout


def test_every_repeat_of_a_variant_has_a_line(
    tmp_path: Path, write_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(load_study("smoke", ["seeds=2", "repeats=2"]), root=tmp_path)
    line = {"epoch": 3, "clusters": 5, "rank1": 0.5}
    write_run(layout, "baseline", 0, [{**line, "map": 0.1}])
    write_run(layout, "tda", 1, [{**line, "map": 0.2}])
    write_run(layout, "tda", 1, [{**line, "map": 0.3}], repeat=1)
    _show_trainings(layout)
    lines = [each.split() for each in capsys.readouterr().out.splitlines()[1:]]
    assert [each[-1] for each in lines if each[0] == "baseline"] == [f"runs/smoke/baseline/seed{k}" for k in (0, 1)]
    assert [each for each in lines if each[0] == "tda"] == [
        ["tda", "0", "-", "-", "-", "-", "runs/smoke/tda/seed0"],
        ["tda", "0", "-", "-", "-", "-", "runs/smoke/tda/seed0_repeat1"],
        ["tda", "1", "3", "20.0", "50.0", "5", "runs/smoke/tda/seed1"],
        ["tda", "1", "3", "30.0", "50.0", "5", "runs/smoke/tda/seed1_repeat1"],
    ]


def test_a_finished_training_without_records_is_an_error_and_one_at_work_is_not(
    tmp_path: Path, write_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(load_study("smoke"), root=tmp_path)
    write_run(layout, "baseline", 0, [], finished=False)
    _show_trainings(layout)
    assert "runs/smoke/baseline/seed0" in capsys.readouterr().out
    write_run(layout, "baseline", 0, [])
    write_run(layout, "tda", 0, [{"epoch": 3, "clusters": 5, "rank1": 0.5, "map": 0.2}])
    with pytest.raises(RunError, match=r"baseline/seed0/metrics\.jsonl has no epoch"):
        _show_trainings(layout)
    lines = [each.split() for each in capsys.readouterr().out.splitlines()]
    assert ["baseline", "0", "damaged", "runs/smoke/baseline/seed0"] in lines
    assert ["tda", "0", "3", "20.0", "50.0", "5", "runs/smoke/tda/seed0"] in lines
