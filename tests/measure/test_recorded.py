"""Measurements written as records are the same measurements when they are read."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.evidence import FID, Evidence, Measured
from gcl_core.measure.recorded import (
    evidence_lines,
    fid_lines,
    floor_lines,
    precision_lines,
    recorded_evidence,
    recorded_fid,
    recorded_floor,
)
from gcl_core.mesh.projection import NOVEL
from gcl_core.records import RECORDS, read_record, save_record
from gcl_core.tables.claims import RHO, claims_table
from gcl_core.tables.dose import dose_table
from gcl_core.tables.sensitivity import sensitivity_table
from gcl_core.typed_frames import typed


def some_evidence() -> list[Evidence]:
    random = np.random.default_rng(0)
    seeds = []
    for people in (48, 30):
        pids = np.repeat(np.arange(10), 2)

        def queries(shift: float, *, views: bool = True, pids: np.ndarray = pids) -> pd.DataFrame:
            ap = np.clip(random.random(20) + shift, 0, 1)
            ap[3] = np.nan
            frame = pd.DataFrame({"pid": pids, "ap": ap, "rank1": np.where(np.isnan(ap), np.nan, ap > 0.5)})
            return frame.assign(ap_near=ap / 2, ap_far=ap / 3) if views else frame

        fid = {yaw: 100 + random.random() for yaw in NOVEL}
        variants = {
            "gcl": Measured(queries(0.1), 45, 0.7, fid, 0.3, 17.5),
            "tda": Measured(queries(0.0, views=False), 46.0, 0.75),
            "true_views": Measured(queries(0.2), 47, 0.8, psnr=float("inf")),
            "no_vi": Measured(queries(0.0), None, None, fid, 0.4, 17.0, "ablation"),
            "dose_blur_1": Measured(queries(0.1), 45, 0.7, psnr=20.0, purpose="dose"),
            "tau_005": Measured(queries(0.1), 45, 0.7, purpose="setting", changes=("contrast.temperature",)),
        }
        seeds.append(Evidence(people, variants, same_people=True))
    return seeds


def test_evidence_comes_back(layout: Layout):
    before = some_evidence()
    lines = save_record(evidence_lines(before), layout, "evidence", runs=[])
    precision = save_record(precision_lines(before), layout, "precision", runs=[])
    after = recorded_evidence(layout.study, lines, precision)
    assert [each.people for each in after] == [each.people for each in before]
    assert [each.same_people for each in after] == [True, True]  # as the study says
    for one, other in zip(before, after, strict=True):
        assert list(one.variants) == list(other.variants)
        for name, found in one.variants.items():
            again = other.variants[name]
            facts = ("clusters_off", "ari", "fid", "distance", "psnr", "purpose", "changes")
            assert {key: getattr(found, key) for key in facts} == {key: getattr(again, key) for key in facts}
            assert found.queries is not None
            assert again.queries is not None
            same = again.queries.loc[:, list(found.queries)]
            pd.testing.assert_frame_equal(same, found.queries.astype({"rank1": np.float64}))
    pd.testing.assert_frame_equal(claims_table(after), claims_table(before))
    doses = [dose_table(each, claims_table(each)) for each in (after, before)]
    pd.testing.assert_frame_equal(doses[0], doses[1])
    pd.testing.assert_frame_equal(sensitivity_table(after), sensitivity_table(before))


def test_fid_and_its_floor_come_back(layout: Layout):
    random = np.random.default_rng(0)

    def views() -> dict[str, dict[str, float]]:
        names = ("fid", "fid_matched", "kid", "kid_std")
        return {str(yaw): {name: random.random() for name in names} for yaw in (0, *NOVEL)}

    facts: dict[str, Any] = {"pictures": 8, "reference": 64, "network": "n 1"}
    results = {
        variant: [
            {**facts, "views": {"png": views(), **({"jpeg75": views()} if variant == "gcl" else {})}} for _ in "ab"
        ]
        for variant in ("gcl", "no_vi")
    }
    assert recorded_fid(save_record(fid_lines(results), layout, "fid", runs=[])) == results
    floor = {kind: {**views()["0"], "pictures": 4, "reference": 4} for kind in ("halves", "gallery")}
    save_record(floor_lines(floor), layout, "fid_floor", runs=[])
    assert recorded_floor(read_record(layout.figures, "fid_floor")) == floor


def test_a_study_without_evidence_has_none():
    empty = [
        typed(frame([]), RECORDS[name][1])
        for name, frame in (("evidence", evidence_lines), ("precision", precision_lines))
    ]
    assert recorded_evidence(load_study("smoke"), *empty) == []


def recorded() -> tuple[pd.DataFrame, pd.DataFrame]:
    evidence = some_evidence()
    return evidence_lines(evidence), precision_lines(evidence)


def test_a_fid_of_which_an_angle_is_missing_is_not_measured():
    lines, precision = recorded()
    gone = lines.assign(fid_135=lines["fid_135"].where((lines["seed"] == 1) | (lines["variant"] == "no_vi")))
    found = recorded_evidence(load_study("smoke"), gone, precision)
    assert [each.variants["gcl"].fid is None for each in found] == [True, False]
    table = claims_table(found).set_index(["claim", "metric"])
    assert (table.loc[("C3", RHO), "seeds"], table.loc[("C4", FID), "seeds"]) == (1, 1)


@pytest.mark.parametrize("column", ["ap", "rank1"])
def test_a_variant_without_any_precision_is_named(column: str):
    lines, precision = recorded()
    there = (precision["seed"] == 0) | (precision["variant"] != "tda")
    with pytest.raises(RunError, match=f"no number in {column} for any query of seed 1, variant tda"):
        recorded_evidence(load_study("smoke"), lines, precision.assign(**{column: precision[column].where(there)}))


def test_a_variant_that_a_seed_has_twice_is_named():
    lines, precision = recorded()
    again = lines.loc[(lines["seed"] == 1) & (lines["variant"] == "tda")].assign(ari=0.1)
    with pytest.raises(RunError, match="more than one line of seed 1, variant tda"):
        recorded_evidence(load_study("smoke"), pd.concat([lines, again]), precision)


def test_two_numbers_of_people_in_a_seed_are_named():
    lines, precision = recorded()
    other = lines["people"].where((lines["seed"] == 0) | (lines["variant"] != "tda"), 31)
    with pytest.raises(RunError, match="seed 1 has 30 and 31 people"):
        recorded_evidence(load_study("smoke"), lines.assign(people=other), precision)
