"""The ablation: the last epoch is the headline unless asked otherwise, what is not known stays blank."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.ablations import EXPLAINED, ablation_figure
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import numbers, records, repeated, where
from gcl_core.settings.training import VariantSettings
from gcl_core.tables.ablations import BEST, ablation_reading, ablation_table


@pytest.fixture
def frame(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> pd.DataFrame:
    """Every variant: two seeds, start 0.4, best in the middle, one epoch not evaluated; GCL ends highest but once."""
    for place, variant in enumerate(layout.study.variants):
        for seed in (0, 1):
            end = 0.6 - 0.02 * place + (0.03 if variant == "tda" and seed else 0)
            write_run(layout, variant, seed, variant_lines([20, 12, 10 + seed], [0.4, 0.7, None, end]))
    return records(layout, list(layout.study.variants))


@pytest.fixture
def repeats(layout: Layout, frame: pd.DataFrame) -> pd.DataFrame:
    """What each training ends with: one per variant and seed."""
    return repeated(layout)


def test_rows_are_the_start_and_every_variant_at_its_last_epoch(
    layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame
):
    table = ablation_table(layout.study, frame, repeats)
    assert list(table["variant"]) == ["start", *(settings.title for settings in layout.study.variants.values())]
    gcl = table.iloc[1]
    assert (gcl["mAP"], gcl["± mAP"], gcl["seeds"]) == pytest.approx((60, 0, 2))
    assert (gcl["clusters"], gcl["ARI"]) == pytest.approx((10.5, 0.105))
    assert table["mAP"].iloc[0] == pytest.approx(40)
    assert table["± mAP"].iloc[2] == pytest.approx(1.5)
    assert (table["clusters"].iloc[0], table["ARI"].iloc[0]) == pytest.approx((20, 0.2))  # with which all start


def test_the_best_epoch_is_apart_and_never_the_start(layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame):
    table = ablation_table(layout.study, frame, repeats)
    assert table[BEST].iloc[1] == pytest.approx(70)
    assert np.isnan(table[BEST].iloc[0])
    worse = frame.assign(map=frame["map"].where(frame["epoch"] > 0, 0.99))
    assert ablation_table(layout.study, worse, repeats)[BEST].iloc[1] == pytest.approx(70)


def test_where_the_kept_epoch_alone_was_measured_there_is_no_best(
    layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame
):
    given = frame.assign(map=frame["map"].where(frame["epoch"] == 3))
    table = ablation_table(layout.study, given, repeats)
    assert table["mAP"].iloc[1] == pytest.approx(60)
    assert np.isnan(table[BEST].to_numpy()).all()


def test_on_request_the_headline_is_the_best_epoch_and_says_so(
    layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame
):
    assert list(ablation_table(layout.study, frame, repeats)["epoch"].iloc[1:]) == ["last epoch"] * 6
    released = load_study("smoke", "seeds=2 joint.keep=best_on_test")
    table = ablation_table(released, frame, repeats)
    assert list(table["epoch"].iloc[1:]) == ["epoch of best mAP on test"] * 6
    assert table["mAP"].iloc[1:].tolist() == pytest.approx([70] * 6)
    assert table["clusters"].iloc[1] == pytest.approx(20)  # of that epoch, not of the last
    assert "picked by the test set" in ablation_reading(released, frame, repeats)
    assert "picked by the test set" not in ablation_reading(layout.study, frame, repeats)
    several = load_study("smoke", "seeds=2 joint.keep=best_on_test variants.tda.repeats=3")
    assert "best epoch of their mean curve" in ablation_reading(several, frame, repeats)
    assert "best epoch of their mean curve" not in ablation_reading(released, frame, repeats)
    panel = ablation_figure(released, frame, repeats).axes[0]
    bars = [line for line in panel.lines if line.get_linestyle() == "-"]
    assert [line.get_xdata() for line in bars] == [pytest.approx([70, 70])] * 6


def test_a_variant_with_a_headline_of_its_own_says_so(layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame):
    tree = layout.study.model_dump()
    tree["variants"]["no_vi"]["changes"] = {"joint.keep": "best_on_test"}
    study = type(layout.study).model_validate(tree)
    table = ablation_table(study, frame, repeats).set_index("variant")
    title = study.variants["no_vi"].title
    assert table.loc[title, ["epoch", "mAP"]].tolist() == ["epoch of best mAP on test", pytest.approx(70)]
    assert table.loc["GCL", ["epoch", "mAP"]].tolist() == ["last epoch", pytest.approx(60)]
    text = ablation_reading(study, frame, repeats)
    assert "GCL has 60.0 mAP (last epoch)" in text
    assert f"The epoch of *{title}* was picked by the test set" in text


def test_unrecovered_values_of_the_paper_are_blank(layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame):
    assert np.isnan(numbers(ablation_table(layout.study, frame, repeats), "mAP (paper)")).all()
    assert "not recovered" in ablation_reading(layout.study, frame, repeats)


def test_only_differences_of_one_sign_are_called_the_same_in_every_seed(
    layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame
):
    text = ablation_reading(layout.study, frame, repeats)
    assert "*TDA control* that is +0.5 (+2.0, -1.0)" in text
    same = text.split("same sign in every seed: ")[1].split(". Each number")[0]
    assert "TDA control" not in same
    assert "without L_vi" in same


def test_one_seed_claims_nothing(layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame):
    study = load_study("smoke", "seeds=1")
    text = ablation_reading(study, where(frame, seed=0), repeats)
    assert "one set of people" in text
    assert "same sign" not in text


def test_the_figure_has_a_mark_per_seed_and_a_ring_per_training_of_several(layout: Layout, frame: pd.DataFrame):
    facts = {"seed": 0, "rank1": 0.5, "clusters": 9.0, "ari": 0.5}
    trained = [("gcl", 0, 0.41), ("tda", 0, 0.5), ("tda", 1, 0.6), ("tda", 2, 0.7)]
    lines = [{"variant": variant, "repeat": repeat, "map": value, **facts} for variant, repeat, value in trained]
    panel, agreement = ablation_figure(layout.study, frame, pd.DataFrame(lines)).axes
    marks = [line for line in panel.lines if line.get_linestyle() == "None" and line.get_markerfacecolor() != "none"]
    rings = [line for line in panel.lines if line.get_markerfacecolor() == "none"]
    assert [len(np.atleast_1d(line.get_xdata())) for line in marks] == [2] * len(layout.study.variants)
    assert [each for line in rings for each in np.atleast_1d(line.get_xdata())] == pytest.approx([50, 60, 70])
    start = next(line for line in panel.lines if line.get_linestyle() == "--")
    assert start.get_xdata() == pytest.approx([40, 40])
    start = next(line for line in agreement.lines if line.get_linestyle() == "--")
    assert start.get_xdata() == pytest.approx([0.2, 0.2])  # of the clusters with which all start


def test_repeats_give_their_mean_and_their_spread(
    layout: Layout, write_run: Callable[..., Path], variant_lines: Callable, frame: pd.DataFrame
):
    tda = layout.study.variants["tda"].model_copy(update={"repeats": 3})
    study = layout.study.model_copy(update={"variants": {**layout.study.variants, "tda": tda}})
    several = Layout(study, root=layout.root)
    for seed, maps in enumerate([(0.52, 0.54), (0.6, 0.65)]):  # beside 0.58 and 0.61
        for repeat, value in enumerate(maps, start=1):
            write_run(several, "tda", seed, variant_lines([20, 12, 13], [0.4, 0.5, None, value]), repeat)
    repeats, found = repeated(several), records(several, list(study.variants))
    assert len(repeats) == 2 * (len(study.variants) - 1) + 6
    table = ablation_table(study, found, repeats).set_index("variant")
    tda, gcl = table.loc["TDA control"], table.loc["GCL"]
    ends = np.array([[58, 52, 54], [61, 60, 65]])
    assert tda["mAP"] == pytest.approx(ends.mean())
    assert tda["clusters"] == pytest.approx(np.mean([10, 13, 13, 11, 13, 13]))
    assert (tda["repeats"], tda["SD over repeats"]) == (3, pytest.approx(np.sqrt(ends.var(axis=1, ddof=1).mean())))
    assert gcl["repeats"] == 1
    assert np.isnan(gcl["SD over repeats"])
    text = ablation_reading(study, found, repeats)
    assert "Numbers of TDA control are means of 3 trainings per seed" in text
    assert "deviation of 2.9 points of mAP (4 degrees of freedom)" in text
    assert "GCL, without the three losses, without L_vi, without L'_vi, without L''_vi are each one training" in text


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"view": "drawn"}, "drawn"),
        ({"view": "copied"}, "the picture"),
        ({"view": "augmented"}, "augmented copy"),
        ({"view": "known", "augment": True}, "true view, augmented"),
        ({"view": "surface", "turned": False}, "surface, fitted bodies, not turned"),
        ({"view": "surface_cluster", "bodies": "known"}, "surface, merged, known bodies"),
    ],
)
def test_the_source_of_a_second_view_is_said_in_words(variant: dict[str, Any], words: str):
    assert VariantSettings.model_validate({"title": "any", **variant}).shown == words


def test_the_figures_numbers_stand_beside_the_panels_and_hide_no_line(
    layout: Layout, frame: pd.DataFrame, repeats: pd.DataFrame
):
    figure = ablation_figure(layout.study, frame, repeats)
    figure.draw_without_rendering()
    for axes, digits in zip(figure.axes, (1, 3), strict=True):
        told = [text for text in axes.texts if re.fullmatch(r"[\d.]+", text.get_text())]
        assert len(told) == len(layout.study.variants)
        assert {len(text.get_text().partition(".")[2]) for text in told} == {digits}
        assert all(text.get_bbox_patch() is None for text in told)
        right = axes.get_window_extent().x1
        assert all(text.get_window_extent().x0 >= right for text in told)
    assert "The axes do not start at 0." in EXPLAINED
