"""Gain by quality of the views given: order of rungs, what the reading says, what the figure shows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.dose import dose_figure
from gcl_core.measure.evidence import PSNR, Evidence, Measured
from gcl_core.settings.training import Purpose
from gcl_core.tables.claims import claims_table
from gcl_core.tables.dose import GAIN, dose_reading, dose_table
from tests.fits import assert_fits

PIDS = np.repeat(np.arange(30), 2)


def gained(gain: float, psnr: float | None = None, purpose: Purpose = "main") -> Measured:
    """Return 60 queries of 30 people: AP 0.4 and `gain` on average, more for one person than for another."""
    precision = 0.4 + gain * (1 + 0.1 * np.cos(np.pi * PIDS))
    return Measured(pd.DataFrame({"pid": PIDS, "ap": precision}), psnr=psnr, purpose=purpose)


def dose(*values: tuple[str, float, float], count: int = 3) -> pd.DataFrame:
    """Return the dose table of (rung, PSNR, gain), the gain a little different from seed to seed."""
    purposes: dict[str, Purpose] = dict.fromkeys(("weak", "strong"), "dose")
    evidence = []
    for seed in range(count):
        rungs = {name: gained(gain + 0.001 * seed, psnr, purposes.get(name, "main")) for name, psnr, gain in values}
        evidence.append(Evidence(100, {"tda": gained(0), **rungs}))
    return dose_table(evidence, claims_table(evidence))


def test_rungs_are_in_order_of_quality_and_the_answer_is_where_the_gain_is_first_sure():
    table = dose(("strong", 20, 0.03), ("gcl", 17, 0.0), ("weak", 12, -0.02), ("true_views", np.inf, 0.05))
    assert table["rung"].tolist() == ["weak", "gcl", "strong", "true_views"]
    assert table["gain in mAP"].tolist() == pytest.approx([-1.9, 0.1, 3.1, 5.1])
    text = dose_reading(table, {"strong": "views blurred a little"})
    assert "lies above zero are *views blurred a little* (PSNR 20.0 dB, gain +3.1, 3 seeds)." in text
    assert "as *gcl* (PSNR 17.0 dB, gain +0.1, 3 seeds): no difference of note." in text


def test_a_rung_has_the_verdict_that_the_table_of_claims_gives_the_comparison():
    one = Evidence(100, {"tda": gained(0)})
    for names, verdict in (["weak"], "above zero"), (["weak", "as weak"], "open"):  # sure only where it stands alone
        evidence = [
            replace(one, variants={**one.variants, **{name: gained(gain, 15, "dose") for name in names}})
            for gain in (0.02, 0.026, 0.037)
        ]
        table = claims_table(evidence)
        claims = table.set_index("compared")["verdict"]
        assert dose_table(evidence, table)["verdict"].tolist() == [claims[f"{name} - tda"] for name in names]
        assert set(claims[[f"{name} - tda" for name in names]]) == {verdict}


def test_the_answer_says_when_no_rung_helps_or_better_views_do_not():
    assert "With none of the views does the gain in mAP over TDA surely lie above zero: *weak* (" in dose_reading(
        dose(("weak", 12, -0.02), ("gcl", 17, -0.01))
    )
    text = dose_reading(dose(("weak", 12, 0.03), ("strong", 20, -0.02)))
    assert "lies above zero are *weak* (" in text
    assert "With these better views the gain does not lie above zero: *strong* (PSNR 20.0 dB, gain \u22121.9" in text
    assert "GCL" not in text


def test_views_that_are_not_turned_are_shown_and_not_judged():
    table = dose(("copy", 9, 0.01), ("surface_unturned", 16, 0.04), ("surface", 18, 0.05))
    assert table["rung"].tolist() == ["copy", "surface_unturned", "surface"]
    assert table["verdict"].tolist() == ["above zero", "not planned", "above zero"]
    text = dose_reading(table)
    assert text.endswith(
        "Without a verdict, for it was not planned: *surface_unturned* (PSNR 16.0 dB, gain +4.1, 3 seeds)."
    )
    assert text.count("surface_unturned") == 1
    assert (
        "surface_unturned - tda"
        not in claims_table([Evidence(100, {"tda": gained(0), "surface_unturned": gained(1)})])["compared"].tolist()
    )


@pytest.mark.parametrize("count", [1, 3])
def test_the_dose_figure_shows_rungs_at_their_psnr_and_cuts_off_nothing(count: int):
    rungs = [("weak", 12.0, -0.02), ("gcl", 17.0, 0.02), ("copy", 9.0, -0.03), ("true_views", np.inf, 0.05)]
    figure = dose_figure(load_study("mini"), dose(*rungs, count=count))
    axes = figure.axes[0]
    places = {str(line.get_label()): np.ravel(line.get_xdata())[0] for line in axes.lines}
    assert (places["GCL"], places["copies, no new view"], places["weak"]) == pytest.approx((17, 9, 12))
    assert places["true views"] > 18
    told = [text.get_text() for text in axes.texts if text.get_text()]
    assert told == ["copies, no new view", "weak", "GCL", "true views"]  # each point has its label, from left to right
    assert axes.get_xticklabels()[-1].get_text() == "∞"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("95 % interval over seeds" in texts) == (count > 1)
    assert_fits(figure)


def test_without_true_views_the_axis_has_no_infinity():
    axes = dose_figure(load_study("smoke"), dose(("gcl", 17.4, 0.02), count=1)).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["17", "18"]
    assert axes.get_xlim() == pytest.approx((16.4, 18.4))


def test_quality_and_gain_are_of_the_seeds_that_have_both():
    seeds = ((16, 0.01), (None, 0.07), (18, 0.03))
    evidence = [Evidence(100, {"tda": gained(0), "gcl": gained(gain, psnr)}) for psnr, gain in seeds]
    evidence.append(Evidence(100, {"gcl": gained(0.09, 30)}))  # no gain over TDA is known
    line = dose_table(evidence, claims_table(evidence)).iloc[0]
    assert (line["rung"], line[PSNR], line["seeds"]) == ("gcl", 17, 2)
    assert line[GAIN] == pytest.approx(2)
    unknown = [Evidence(100, {"tda": gained(0), "gcl": gained(gain)}) for _, gain in seeds]
    line = dose_table(unknown, claims_table(unknown)).iloc[0]
    assert np.isnan(line[PSNR])
    assert (line[GAIN], line["seeds"]) == (pytest.approx(11 / 3), 3)


def test_without_evidence_nothing_fails():
    for evidence in ([], [Evidence(100, {}), Evidence(100, {"gcl": Measured()})]):
        assert dose_reading(dose_table(evidence, claims_table(evidence))) == ""
