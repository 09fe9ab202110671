"""mAP epoch by epoch: differences from TDA and copies, on seeds and in epochs that both have."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.by_epoch import MARKED, by_epoch_figure
from gcl_core.measure.artifacts import where
from gcl_core.tables.by_epoch import by_epoch_table, columns_against
from tests.fits import assert_fits

START, EPOCHS = 0.5, (0, 1, 2)


def recorded(seeds: int, **gains: tuple[float, float]) -> pd.DataFrame:
    """Epochs of variants that gain so much a epoch, each seed a hundredth more than the one before; 0 is the start."""
    lines = [
        {"stage": name, "seed": seed, "epoch": epoch, "map": START + (gain[epoch - 1] + 0.01 * seed) * (epoch > 0)}
        for name, gain in gains.items()
        for seed in range(seeds)
        for epoch in EPOCHS
    ]
    unmeasured = {"stage": "gcl", "seed": 0, "epoch": 3, "map": np.nan}
    return pd.DataFrame([*lines, unmeasured])


def chosen(records: pd.DataFrame, mask: Any) -> pd.DataFrame:
    return records.iloc[np.flatnonzero(mask)]


def test_differences_are_in_points_of_the_same_epoch_and_the_start_has_none():
    table = by_epoch_table(load_study("mini"), recorded(3, gcl=(0.1, 0.3), tda=(0.05, 0.4), copy=(0.2, 0.2)))
    own = where(table, variant="gcl")
    assert own["epoch"].tolist() == [0, 1, 2]
    assert own["seeds"].tolist() == [3, 3, 3]
    assert own["mAP"].tolist() == pytest.approx([50, 61, 81])
    for control, expected in (("tda", [5, -10]), ("copy", [-10, 10])):
        difference, low, high = columns_against(control)
        assert own[difference].tolist()[1:] == pytest.approx(expected)
        assert own[[difference, low, high]].iloc[0].isna().all()
        assert own[low].tolist()[1:] == own[high].tolist()[1:] == pytest.approx(expected)  # seeds differ alike
    assert where(table, variant="tda")[columns_against("tda")].isna().to_numpy().all()
    assert set(table["variant"]) == {"gcl", "tda", "copy"}


def test_two_seeds_have_no_interval_and_a_missing_control_no_columns():
    table = by_epoch_table(load_study("mini"), recorded(2, gcl=(0.1, 0.3), tda=(0.05, 0.4)))
    difference, low, high = columns_against("tda")
    assert where(table, variant="gcl")[difference].tolist()[1:] == pytest.approx([5, -10])
    assert table[[low, high]].isna().to_numpy().all()
    assert not set(columns_against("copy")) & set(table)


def test_seeds_and_epochs_that_one_of_the_two_lacks_are_not_compared():
    records = recorded(2, gcl=(0.1, 0.3), tda=(0.05, 0.4))
    kept = (records["stage"] != "tda") | ((records["seed"] == 1) & (records["epoch"] == 2))
    table = by_epoch_table(load_study("mini"), records.loc[kept])
    told = where(table, variant="gcl")[columns_against("tda")[0]].tolist()
    assert np.isnan(told[:2]).all()
    assert told[2] == pytest.approx(-10)


def test_a_seed_whose_earlier_epochs_are_not_known_any_more_counts_where_it_is():
    """As after another evaluation, which measures the kept epoch alone."""
    records = recorded(3, gcl=(0.1, 0.3), tda=(0.05, 0.4))
    known = (records["seed"] > 0) | (records["epoch"] == 2)
    own = where(by_epoch_table(load_study("mini"), chosen(records, known)), variant="gcl")
    difference, low, _ = columns_against("tda")
    assert own["seeds"].tolist() == [2, 2, 3]
    assert own["mAP"].tolist() == pytest.approx([50, 61.5, 81])
    assert own[difference].tolist()[1:] == pytest.approx([5, -10])
    assert np.isfinite(own[low].tolist()).tolist() == [False, False, True]
    alone = chosen(records, (records["seed"] == 0) == (records["stage"] == "gcl"))  # no seed has both
    apart = where(by_epoch_table(load_study("mini"), alone), variant="gcl")
    assert np.isnan(apart[difference].tolist()).all()


def test_trainings_of_another_length_are_left_out():
    study = load_study("evidence2")
    records = recorded(2, gcl=(0.1, 0.3), tda=(0.05, 0.4), tda_30=(0.05, 0.4), surface_30=(0.1, 0.1))
    assert set(by_epoch_table(study, records)["variant"]) == {"gcl", "tda"}


def test_the_figure_has_a_panel_per_control_and_a_band_where_there_are_seeds_enough():
    study = load_study("evidence2")
    for count in (1, 3):
        table = by_epoch_table(study, recorded(count, gcl=(0.1, 0.3), tda=(0.05, 0.4), copy=(0.2, 0.2)))
        figure = by_epoch_figure(study, table)
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == ["mAP (%)", *(f"mAP minus that of {name} (points)" for name in ("TDA", "copies"))]
        gcl = [np.asarray(axes.lines[0].get_ydata(), dtype=np.float64) for axes in figure.axes]
        assert gcl[0][-1] == pytest.approx(80 + (count - 1) / 2)
        assert gcl[1] == pytest.approx([5, -10])
        bands = [axes.collections[0].get_paths() for axes in figure.axes[1:]]
        assert [bool(band) for band in bands] == [count == 3] * 2
        assert_fits(figure)


def test_what_trains_on_identities_is_not_drawn():
    study = load_study("real_small", ["data_root=."])
    table = by_epoch_table(study, recorded(3, gcl=(0.1, 0.3), tda=(0.05, 0.4), identities=(0.3, 0.5)))
    assert "identities" in table["variant"].tolist()
    labels = [text.get_text() for text in by_epoch_figure(study, table).legends[0].get_texts()]
    assert labels == ["GCL", "TDA control"]


def test_the_axes_mark_measured_epochs_alone():
    study = load_study("evidence2")
    table = by_epoch_table(study, recorded(3, gcl=(0.1, 0.3), tda=(0.05, 0.4), copy=(0.2, 0.2)))
    table["epoch"] = 2 * table["epoch"]
    for axes in by_epoch_figure(study, table).axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert set(ticks) <= set(table["epoch"])
    (lines,) = [where(table, variant="gcl").iloc[:1]]
    many = pd.concat([lines.assign(epoch=epoch) for epoch in range(0, 60, 2)], ignore_index=True)
    ticks = by_epoch_figure(study, many).axes[0].get_xticks()
    assert 4 <= len(ticks) <= MARKED
    assert set(ticks) <= set(many["epoch"])
