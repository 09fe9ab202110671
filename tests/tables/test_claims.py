"""The claims table: from evidence made by hand, each verdict comes out each way, and what is missing says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.evaluation.effects import p_value
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import (
    ARI,
    CLUSTERS,
    DISTANCE,
    FAR,
    FAR_NEAR,
    FID,
    MAP,
    NEAR,
    PSNR,
    RANK1,
    Evidence,
    Measured,
    clusters_off,
)
from gcl_core.mesh.projection import NOVEL
from gcl_core.tables.claim_readings import EITHER, claims_page, claims_summary
from gcl_core.tables.claim_words import claim_rows, found_words
from gcl_core.tables.claims import (
    CHANCE,
    CLAIMS,
    COLUMNS,
    COMPARISONS,
    OURS,
    POOLED,
    REVERSE,
    RHO,
    SIDES,
    claim_verdict,
    claims_table,
    judged,
)
from gcl_core.tables.formats import NOT_RUN, latex_table, markdown_table
from tests.tables.made_evidence import PIDS, gains, numbers_of, queries, row, seeds

PUBLISHED = dict(zip(NOVEL, (3.0, 7.0, 5.0, 2.0, 4.0, 6.0, 1.0), strict=True))  # ranks of the means of Table 1


def test_without_evidence_there_is_no_row_and_nothing_fails():
    for evidence in ([], [Evidence(100, {}), Evidence(100, {"gcl": Measured()})]):
        frame = claims_table(evidence)
        assert list(frame.columns) == COLUMNS
        assert len(frame) == 0
        assert {claim_verdict(frame, key) for key in CLAIMS} == {NOT_RUN}
        assert claims_summary(frame) == "None of the paper's 7 claims has been tested here."
        assert "Not tested here: C1 (" in claims_page(load_study("smoke"), frame, "")


def test_a_claim_of_several_quantities_stays_open_while_one_of_them_was_not_run():
    better = gains(0.03, 0.031, 0.032)
    two = seeds(gcl=better, no_l_vi=gains(0, 0, 0), no_l_vi_prime=gains(0, 0, 0))
    assert claim_verdict(claims_table(two), "C5") == "open"
    three = seeds(gcl=better, **{f"no_{loss}": gains(0, 0, 0) for loss in ("l_vi", "l_vi_prime", "l_vi_second")})
    assert claim_verdict(claims_table(three), "C5") == "reproduced"


def test_the_table_is_read_as_numbers_with_blanks():
    frame = claims_table(seeds(gcl=gains(0.03, 0.04), tda=gains(0, 0)))
    assert "| --: | --: | --: | --: | --: | --: |" in markdown_table(frame)
    assert "nan" not in markdown_table(frame).lower()
    assert "<NA>" not in latex_table(frame, caption="c", label="l")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.03, 0.031, 0.032), "reproduced"),
        ((0.03, -0.02, 0.04), "open"),
        ((0.003, 0.0031, 0.0032), "no difference of note"),
        ((-0.03, -0.031, -0.032), "contradicted"),
    ],
)
def test_a_gain_in_accuracy_comes_out_each_way(values: tuple[float, ...], expected: str):
    evidence = seeds(gcl=gains(*values), tda=gains(0, 0, 0), no_l_vi=gains(0, 0, 0))
    for key, compared in (("C2", "gcl - tda"), ("C5", "gcl - no_l_vi")):
        lines = where(claims_table(evidence), claim=key, metric=MAP, compared=compared)
        assert lines["verdict"].tolist() == [expected if key == "C2" else SIDES.get(expected, expected)]
        assert lines["effect"].tolist() == [pytest.approx(100 * np.mean(values))]  # in points


def test_no_quantity_decides_two_claims():
    quantities = [
        (ours, theirs, metric) for claim, ours, theirs, metric in COMPARISONS if metric in CLAIMS[claim].smallest
    ]
    assert len(quantities) == len(set(quantities)) > len(CLAIMS)
    assert ("gcl", "tda", MAP) in quantities


def test_rank1_is_a_row_in_points_that_stands_beside_map_and_decides_nothing():
    theirs = [Measured(queries(0, rank1=30))] * 3
    worse = [Measured(queries(0.03 + 0.001 * seed, rank1=15)) for seed in range(3)]
    line = row(seeds(gcl=worse, tda=theirs), "C2", RANK1, "gcl - tda")
    assert (line["effect"], line["verdict"]) == (pytest.approx(-25), "")
    assert claim_verdict(claims_table(seeds(gcl=worse, tda=theirs)), "C2") == "reproduced"


def test_comparisons_of_ours_stand_apart_and_say_only_above_or_below_zero():
    plain, better = gains(0, 0, 0), gains(0.03, 0.031, 0.032)
    evidence = seeds(gcl=better, tda=plain, tda_long=gains(0.06, 0.061, 0.063), gcl_tda=plain, gcl_light=better)
    frame = claims_table(evidence)
    assert row(evidence, OURS, MAP, "gcl - tda_long")["verdict"] == "below zero"
    assert row(evidence, OURS, MAP, "gcl_light - tda")["verdict"] == "above zero"
    assert row(evidence, OURS, MAP, "gcl_tda - tda")["verdict"] == "no difference of note"
    said = {metric: set(where(frame, claim=OURS, metric=metric)["verdict"]) for metric in (MAP, RANK1)}
    assert said == {MAP: {"above zero", "below zero", "no difference of note"}, RANK1: {""}}
    assert claim_verdict(frame, "C2") == "reproduced"


def test_comparisons_of_ours_allow_for_their_number_and_the_main_ones_for_theirs_alone():
    """One of 3 at p = .02 is open beside two others (Holm: 3 x .02), above zero where it stands alone."""
    unsure, plain, noisy = gains(0.010, 0.016, 0.020), gains(0, 0, 0), gains(0.05, -0.05, 0.01)
    alone = seeds(surface=unsure, tda=plain)
    among = seeds(surface=unsure, tda=plain, copy=noisy, surface_unturned=noisy)
    others = seeds(surface=unsure, tda=plain, drawn_once=noisy, true_views=noisy)
    found = [row(each, OURS, MAP, "surface - tda") for each in (alone, among, others)]
    assert 0.05 / 3 < p_value((found[0]["low over seeds"], found[0]["high over seeds"]), 3) < 0.05
    assert [line["verdict"] for line in found] == ["above zero", "open", "above zero"]


@pytest.mark.parametrize(
    ("ours", "aris", "expected"),
    [
        ((95, 94, 93), (0.70, 0.70, 0.70), "reproduced"),
        ((105, 106, 107), (0.70, 0.70, 0.70), "reproduced"),  # too many count like too few
        ((95, 94, 93), (0.50, 0.51, 0.50), "open"),  # closer in number, worse in substance
        ((70, 71, 72), (0.70, 0.70, 0.70), "contradicted"),
        ((95, 60, 93), (0.70, 0.70, 0.70), "open"),
        ((95, 94, 93), (0.60, 0.80, 0.70), "open"),
        ((95, 94, 93), (None, None, None), "open"),
    ],
)
def test_a_closer_number_of_clusters_needs_an_ari_that_is_not_lower(ours: Any, aris: Any, expected: str):
    gcl = [Measured(clusters_off=clusters_off(count, 100), ari=ari) for count, ari in zip(ours, aris, strict=True)]
    evidence = seeds(gcl=gcl, tda=[Measured(clusters_off=20, ari=0.7)] * 3)
    line = row(evidence, "C1", CLUSTERS, "tda - gcl")
    assert line["effect"] == pytest.approx(20 - np.mean([abs(count - 100) for count in ours]))
    assert line["verdict"] == claim_verdict(claims_table(evidence), "C1") == expected
    if aris[0] is not None:
        beside = row(evidence, "C1", ARI, "gcl - tda")
        assert (beside["effect"], beside["verdict"]) == (pytest.approx(100 * np.mean(aris) - 70), "")


def test_the_published_order_of_views_is_reproduced_by_itself_and_by_its_reverse_not():
    up, down = PUBLISHED, {yaw: -fid for yaw, fid in PUBLISHED.items()}
    evidence = seeds(gcl=numbers_of("fid", up, up, up))
    assert row(evidence, "C3", RHO, "gcl")["effect"] == pytest.approx(1 - 1 / 56)  # half a step below 1
    assert row(evidence, "C3", POOLED, "gcl")["effect"] == pytest.approx(1)
    assert row(evidence, "C3", CHANCE, "gcl")["effect"] == pytest.approx(100 / 5040)
    assert claim_verdict(claims_table(evidence), "C3") == "reproduced"
    reverse = seeds(gcl=numbers_of("fid", down, down, down))
    assert row(reverse, "C3", REVERSE, "gcl")["effect"] == pytest.approx(100 / 5040)
    assert claim_verdict(claims_table(reverse), "C3") == "contradicted"
    mixed = seeds(gcl=numbers_of("fid", up, down, up))
    assert row(mixed, "C3", POOLED, "gcl")["effect"] == pytest.approx(1)
    assert claim_verdict(claims_table(mixed), "C3") == "open"


def test_an_order_that_many_orders_match_is_no_evidence_however_sure_over_seeds():
    swapped = dict(zip(NOVEL, (4.0, 5.0, 7.0, 2.0, 6.0, 3.0, 1.0), strict=True))
    evidence = seeds(gcl=numbers_of("fid", *[swapped] * 3))
    line = row(evidence, "C3", RHO, "gcl")
    assert line["low over seeds"] > 0.5
    assert row(evidence, "C3", CHANCE, "gcl")["effect"] > 2.5
    assert line["verdict"] == "open"


@pytest.mark.parametrize(("sign", "expected"), [(1, "reproduced"), (-1, "contradicted")])
def test_without_the_losses_distance_and_fid_are_larger_and_psnr_smaller(sign: int, expected: str):
    def views(distance: float, fid: float, psnr: float) -> list[Measured]:
        fids: list[dict[int, float]] = [{yaw: fid + shift for yaw in NOVEL} for shift in (0, 1, 2)]
        return [Measured(distance=distance, fid=each, psnr=psnr) for each in fids]

    evidence = seeds(gcl=views(0.3, 60.0, 17), no_vi=views(0.3 + sign * 0.1, 60.0 + sign * 5, 17 - sign))
    for metric, effect in ((DISTANCE, 10), (FID, 5), (PSNR, 1)):
        line = row(evidence, "C4", metric, "gcl - no_vi" if metric == PSNR else "no_vi - gcl")
        assert (line["effect"], line["verdict"]) == (pytest.approx(sign * effect), SIDES[expected])
    assert claim_verdict(claims_table(evidence), "C4") == expected


def test_the_gain_among_far_views_is_set_against_that_among_near_ones_query_by_query():
    evidence = seeds(gcl=[Measured(queries(0, far=0.06, near=0.02))] * 3, tda=gains(0, 0, 0))
    values = {metric: row(evidence, "C6", metric, "gcl - tda") for metric in (FAR, NEAR, FAR_NEAR)}
    assert [values[metric]["effect"] for metric in (FAR, NEAR, FAR_NEAR)] == pytest.approx([6, 2, 4])
    assert [values[metric]["verdict"] for metric in (FAR, NEAR, FAR_NEAR)] == ["", "", "reproduced"]
    both = seeds(gcl=[Measured(queries(0, far=0.03, near=0.06))] * 3, tda=gains(0, 0, 0))
    assert claim_verdict(claims_table(both), "C6") == "contradicted"  # better, but not because of the view


def test_where_near_views_were_not_told_apart_only_the_far_gain_is_known():
    gcl, tda = (queries(0, far=far).drop(columns="ap_near") for far in (0.06, 0))
    evidence = seeds(gcl=[Measured(gcl)] * 2, tda=[Measured(tda)] * 2)
    assert row(evidence, "C6", FAR, "gcl - tda")["effect"] == pytest.approx(6)
    assert FAR_NEAR not in set(claims_table(evidence)["metric"])
    assert claim_verdict(claims_table(evidence), "C6") == NOT_RUN


def test_views_of_any_quality_are_compared_with_tda_once_each_as_ours():
    evidence = seeds(gcl=gains(-0.03, -0.031, -0.032), copy=gains(0.03, 0.03, 0.03), true_views=gains(0.05, 0.04, 0.05))
    frame = claims_table([Evidence(100, {**each.variants, "tda": gains(0)[0]}) for each in evidence])
    lines = where(frame, claim=OURS, metric=MAP)
    assert lines["compared"].tolist() == ["gcl - copy", "copy - tda", "true_views - tda"]
    assert lines["verdict"].tolist() == ["below zero", "above zero", "above zero"]


def test_settings_have_no_verdict():
    tau = {"purpose": "setting", "changes": ("contrast.temperature",)}
    cold, warm = (
        [replace(each, **tau) for each in gains(*values)] for values in ((-0.03, -0.031, -0.032), (0.03, -0.03, 0.01))
    )
    evidence = seeds(drawn_once=gains(0, 0, 0), cold=cold, warm=warm)
    table = claims_table(evidence)
    assert where(table, claim="C7")["verdict"].tolist() == ["", ""]
    assert claims_page(load_study("smoke"), table, "").count(EITHER) == 1
    assert claim_verdict(table, "C7") == "no verdict"
    assert found_words(table, "C7") == "2 changes of one setting each move mAP by \u22123.1 to +0.3 points"
    assert claim_rows(table)["effect (95 % interval)"].tolist()[0].startswith("\u22123.1 mAP (")  # the largest
    alone = claims_table(seeds(drawn_once=gains(0, 0, 0), cold=cold))
    assert found_words(alone, "C7") == "one change of one setting moves mAP by \u22123.1 points"


def test_one_seed_leaves_all_open_and_an_effect_is_over_the_seeds_that_have_both():
    one = seeds(gcl=gains(0.03), tda=gains(0), gcl_light=gains(0.03))
    assert claim_verdict(claims_table(one), "C2") == row(one, OURS, MAP, "gcl_light - tda")["verdict"] == "open"
    line = row(seeds(gcl=gains(0.03, 0.04, 0.05), tda=gains(0, 0)), "C2", MAP, "gcl - tda")
    assert (line["seeds"], line["effect"]) == (2, pytest.approx(3.5))


def test_the_interval_over_queries_decides_nothing():
    frame = claims_table(seeds(gcl=gains(0.03, 0.031, 0.032), tda=gains(0, 0, 0)))
    below = frame.assign(**{"low over queries": -9.0, "high over queries": -8.0})
    assert judged(below)["verdict"].tolist() == frame["verdict"].tolist()


def test_verdicts_follow_from_the_table_alone():
    evidence = seeds(gcl=gains(0.03, 0.031, 0.032), tda=gains(0, 0, 0), copy=gains(-0.01, 0.02, 0.01))
    frame = claims_table(evidence)
    pd.testing.assert_frame_equal(judged(frame.assign(verdict="")), frame)


def test_variants_of_a_seed_with_other_queries_are_refused():
    other = queries(0).assign(pid=PIDS[::-1])
    with pytest.raises(ValueError, match="60 queries of gcl and 60 of tda differ in their pids"):
        claims_table(seeds(gcl=gains(0), tda=[Measured(other)]))
