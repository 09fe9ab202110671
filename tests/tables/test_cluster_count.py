"""Figure 2: the table behind it, its published marks, and what the reading may claim."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.cluster_count import cluster_count_figure
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import records
from gcl_core.tables.cluster_count import (
    COLUMNS,
    COMPARED,
    cluster_count_reading,
    cluster_count_table,
    published_shares,
    same_start,
)

NONE = pd.DataFrame()  # trainings of variants that have but one per seed


@pytest.fixture
def table(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> pd.DataFrame:
    """GCL ends at 46 and 48 clusters, the control at 60 and 64; all start a seed alike."""
    for seed in (0, 1):
        write_run(layout, "gcl", seed, variant_lines([70 + seed, 46 + 2 * seed], [0.1, 0.2, 0.3]))
        write_run(layout, "tda", seed, variant_lines([70 + seed, 60 + 4 * seed], [0.1, 0.2, 0.3]))
    return cluster_count_table(records(layout, COMPARED))


def test_one_line_per_clustering(table: pd.DataFrame):
    assert list(table.columns) == COLUMNS
    assert len(table) == 8
    assert min(table["epoch"]) == 1
    assert table["clusters"].tolist() == [70, 46, 71, 48, 70, 60, 71, 64]


def test_published_plateaus_as_shares_of_the_people():
    assert {run: round(share * 751) for run, share in published_shares().items()} == {"gcl": 520, "tda": 460}


def test_the_reading_compares_distances_to_the_truth(layout: Layout, table: pd.DataFrame):
    text = cluster_count_reading(layout.study, table, NONE, 48)
    assert "47.0 ± 1.0 clusters" in text
    assert "ARI 0.470 ± 0.010, NMI 0.500 ± 0.000" in text
    # seed by seed 2 and 0, 12 and 16 of 48
    assert "closer to the truth than the control's: training by training it is off by 2.1 % of the people" in text
    assert "the control's by 29.2 %" in text
    off = cluster_count_reading(layout.study, table, NONE, 62)
    assert "no closer to the truth" in off
    assert "off by 24.2 % of the people on average, the control's by 3.2 %" in off  # 60 and 64 do not cancel


def test_runs_of_a_seed_that_start_apart_are_told(layout: Layout, table: pd.DataFrame):
    assert same_start(table)
    assert "Check failed" not in cluster_count_reading(layout.study, table, NONE, 48)
    table.loc[(table["run"] == "tda") & (table["seed"] == 1) & (table["epoch"] == 1), "clusters"] = 3
    assert not same_start(table)
    assert "Check failed" in cluster_count_reading(layout.study, table, NONE, 48)


def test_the_figure_shows_means_ranges_the_truth_and_published_marks(layout: Layout, table: pd.DataFrame):
    counts, ari, nmi = cluster_count_figure(layout.study, table, 48).axes
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float).tolist() for line in counts.lines}
    assert lines["GCL"] == [70.5, 47.0]
    assert lines["TDA control"] == [70.5, 62.0]
    across = [line for line in counts.lines if np.asarray(line.get_xdata()).tolist() == [0, 1]]
    heights = [float(np.asarray(line.get_ydata())[0]) for line in across]
    assert pytest.approx(sorted(heights)) == sorted([48, 48 * 520 / 751, 48 * 460 / 751])
    thin = [np.asarray(line.get_ydata(), dtype=float) for line in counts.lines if line.get_linewidth() == 0.5]
    assert len(thin) == 4  # each seed of both
    assert (np.min(thin), np.max(thin)) == (46, 71)
    assert np.asarray(ari.lines[0].get_ydata()) == pytest.approx([0.705, 0.47])
    assert np.asarray(nmi.lines[0].get_ydata()) == pytest.approx([0.5, 0.5])
    assert (ari.get_title(), nmi.get_title()) == ("agreement with people: ARI", "agreement with people: NMI")


def test_ends_of_curves_are_not_called_the_epochs_that_are_kept(layout: Layout, table: pd.DataFrame):
    released = load_study("smoke", "seeds=2 joint.keep=best_on_test")
    assert "ends of the curves" in cluster_count_reading(released, table, NONE, 48)
    assert "ends of the curves" not in cluster_count_reading(layout.study, table, NONE, 48)
