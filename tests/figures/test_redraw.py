"""The committed plots are those of the committed tables, byte by byte, and their marks lie where the tables say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.claims import claims_figure
from gcl_core.figures.redraw import PLOTS, redraw
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.tables.formats import NOT_RUN, read_table, save_table

FIGURES = Path(__file__).resolve().parents[2] / "figures"
PROFILES = ["mini", "evidence", "evidence_background", "evidence_light", "evidence_settings"]


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_committed_is_what_the_tables_give(profile: str, tmp_path: Path):
    files = redraw(load_study(profile), FIGURES / profile, tmp_path)
    tables = [name for name in PLOTS if (FIGURES / profile / f"{name}.csv").is_file()]
    assert {"claims", "dose", "sensitivity"} <= set(tables)
    assert [path.name for path in files] == [f"{name}.{kind}" for name in tables for kind in ("pdf", "png")]
    assert [path.name for path in files if path.read_bytes() != (FIGURES / profile / path.name).read_bytes()] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_every_mark_lies_within_its_interval(profile: str):
    axes = claims_figure(read_table(FIGURES / profile / "claims.csv")).axes[0]
    intervals: dict[float, list[np.ndarray]] = {}
    marks: dict[float, float] = {}
    for line in axes.lines[1:]:  # the first is that of no effect
        x, y = (np.asarray(each, dtype=np.float64) for each in line.get_data())
        if len(x) == 2:
            intervals.setdefault(y[0], []).append(x)
        else:
            marks[y[0]] = x[0]
    assert len(marks) == len(axes.get_yticklabels()) > 3
    assert intervals
    for place, ends in intervals.items():
        assert all(low <= marks[place] <= high for low, high in ends)


def test_a_table_comes_back_with_the_types_that_it_had(tmp_path: Path):
    frame = pd.DataFrame(
        {
            "text": ["a", "", "1 of 2"],
            "number": [1.5, float("nan"), -0.1],
            "partly": [2.5, NOT_RUN, float("nan")],
            "whole": [1, 2, 3],
            "counted": pd.array([1, None, 3], dtype="Int64"),
            "known": [True, False, True],
        }
    )
    save_table(frame, Layout(load_study("smoke"), root=tmp_path), "types", runs=[], caption="types")
    pd.testing.assert_frame_equal(read_table(tmp_path / "figures" / "smoke" / "types.csv"), frame)


def test_another_style_is_written_elsewhere_and_leaves_ours_alone(tmp_path: Path):
    study, folder = load_study("evidence"), FIGURES / "evidence"
    look = tmp_path / "mine.mplstyle"
    look.write_text("figure.facecolor: 0.9\n")
    with pytest.raises(RunError, match="needs --out"):
        redraw(study, folder, look=look)
    mine = redraw(study, folder, tmp_path / "mine", look)
    assert all(path.read_bytes() != (folder / path.name).read_bytes() for path in mine)
    ours = redraw(study, folder, tmp_path / "ours")
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in ours)


def test_a_folder_without_tables_is_named(tmp_path: Path):
    with pytest.raises(RunError, match="holds none of the tables accuracy_three_datasets, claims"):
        redraw(load_study("smoke"), tmp_path)
