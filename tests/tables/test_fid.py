"""Table 1: published and ours side by side, and the orderings it claims."""

from typing import Any

import numpy as np
import pytest

from gcl_core.config import Study, load_study
from gcl_core.figures.fid import fid_figure
from gcl_core.measure.published import published_fid
from gcl_core.measure.view_fid import mean_over_views
from gcl_core.mesh.projection import NOVEL
from gcl_core.tables.fid import WITHOUT_315, fid_reading, fid_table, ordering_checks, ordering_table

GOOD = {45: 3.0, 90: 9.0, 135: 5.0, 180: 2.0, 225: 6.0, 270: 8.0, 315: 4.0}


@pytest.fixture
def study() -> Study:
    return load_study("smoke", "seeds=2")


def measured(shift: float, *, jpeg: float | None = None, pictures: int = 100, reference: int = 200) -> dict[str, Any]:
    """A seed's result: GOOD plus `shift` in PNG and, if given, plus `jpeg` more in JPEG; 20 more at equal N."""

    def views(extra: float) -> dict[str, dict[str, float]]:
        values = {0: 1.0, **GOOD}
        return {
            str(yaw): {"fid": v + extra, "fid_matched": v + extra + 20, "kid": v / 1000, "kid_std": v / 10000}
            for yaw, v in values.items()
        }

    encodings = {"png": views(shift), **({} if jpeg is None else {"jpeg75": views(shift + jpeg)})}
    return {"pictures": pictures, "reference": reference, "views": encodings}


FLOOR = {
    "halves": {"fid": 0.5, "fid_matched": 0.5, "kid": 0.0, "kid_std": 0.0001, "pictures": 100, "reference": 100},
    "gallery": {"fid": 0.75, "fid_matched": 0.9, "kid": 0.001, "kid_std": 0.0002, "pictures": 100, "reference": 200},
}
RESULTS = {"gcl": [measured(0, jpeg=0.5), measured(2, jpeg=0.5)], "no_vi": [measured(10), measured(10)]}


def test_every_published_row_passes_every_check():
    for dataset, values in published_fid().items():
        assert all(ordering_checks(values).values()), dataset


@pytest.mark.parametrize(
    ("swap", "fails"),
    [
        ((90, 270), {"worst is 90°", "second worst is 270°"}),
        ((90, 225), {"worst is 90°"}),
        ((270, 225), {"second worst is 270°"}),
        ((180, 45), {"best is 180° or 315°"}),
        ((315, 135), {"best three are 45°, 180°, 315°"}),
    ],
)
def test_an_order_that_breaks_a_claim_fails_those_checks_alone(swap: tuple[int, int], fails: set[str]):
    one, other = swap
    values = {**GOOD, one: GOOD[other], other: GOOD[one]}
    found = {name for name, holds in ordering_checks(values).items() if not holds}
    assert found == fails


def test_a_missing_view_is_an_error_and_the_reconstruction_counts_for_nothing():
    with pytest.raises(ValueError, match=r"\[315\]"):
        ordering_checks({yaw: value for yaw, value in GOOD.items() if yaw != 315})
    assert ordering_checks({0: 0.0, **GOOD}) == ordering_checks(GOOD)
    assert mean_over_views({0: 1000.0, **GOOD}) == pytest.approx(37 / 7)
    assert mean_over_views({0: 1000.0, **GOOD}, leave_out=315) == pytest.approx(33 / 6)


@pytest.mark.parametrize(
    ("dataset", "mean", "without"),
    [("Market-1501", 62.04, 63.22), ("DukeMTMC-reID", 63.12, 64.47), ("MSMT17", 57.97, 59.56)],  # METHOD.md §7.1
)
def test_means_of_the_published_rows_are_those_of_the_method(study: Study, dataset: str, mean: float, without: float):
    table = fid_table(study, RESULTS, FLOOR)
    row = next(row for row in table.to_dict("records") if row["data"] == dataset)
    assert (row["mean"], row[WITHOUT_315]) == pytest.approx((mean, without), abs=0.0051)


def test_the_table_has_published_rows_means_over_seeds_and_half_their_range(study: Study):
    table = fid_table(study, RESULTS, FLOOR)
    keys = ("method", "data", "measure", "encoding")
    rows = {tuple(row[key] for key in keys if row[key] == row[key]): row for row in table.to_dict("records")}
    assert rows[("GCL", "Market-1501", "FID")]["90°"] == 75.83
    assert np.isnan(rows[("GCL", "Market-1501", "FID")]["0°"])
    ours = rows[("GCL", "synthetic", "FID", "PNG")]
    assert (ours["0°"], ours["90°"], ours["pictures"]) == (2.0, 10.0, 100)
    assert ours["mean"] == pytest.approx(37 / 7 + 1)
    assert rows[("GCL", "synthetic", "± FID, 2 seeds", "PNG")]["mean"] == pytest.approx(1)
    assert rows[("GCL", "synthetic", "FID", "JPEG 75")]["90°"] == 10.5
    assert rows[("GCL", "synthetic", "1000 KID", "PNG")]["90°"] == pytest.approx(9)
    assert ("without the three losses", "synthetic", "FID", "JPEG 75") not in rows
    assert rows[("real against other real", "synthetic", "FID")]["mean"] == 0.5
    yaws = ["0°", "45°", "90°", "135°", "180°", "225°", "270°", "315°"]
    assert list(table.columns[-10:]) == [*yaws, "mean", WITHOUT_315]


def test_the_floor_beside_several_sets_of_people_says_whose_it_is():
    table = fid_table(load_study("smoke", "seeds=2 people.each_seed=true"), RESULTS, FLOOR)
    assert "real against other real (seed 0)" in set(table["method"])
    assert "real against other real" not in set(table["method"])


def rows_of(table: Any, **facts: str) -> list[dict[str, Any]]:
    return [row for row in table.to_dict("records") if all(row[key] == value for key, value in facts.items())]


def test_fid_at_equal_numbers_stands_where_they_differ_and_only_there(study: Study):
    table = fid_table(study, RESULTS, FLOOR)
    png, jpeg, without = [row for row in rows_of(table, measure="FID, equal N") if row["90°"] == row["90°"]]
    assert (png["90°"], jpeg["90°"], without["90°"], png["pictures"]) == (30.0, 30.5, 39.0, 100)
    (gallery,) = rows_of(table, measure="FID, equal N", method="real gallery against real")
    assert gallery["mean"] == 0.9
    assert rows_of(table, measure="FID, equal N", method="real against other real") == []  # 100 against 100 already
    assert "Against 100 real pictures instead of 200 the mean of GCL is 26.3" in fid_reading(study, RESULTS, FLOOR)

    same = {"gcl": [measured(0, reference=100)]}
    assert rows_of(fid_table(study, same, FLOOR), measure="FID, equal N", method="GCL") == []
    assert "instead of" not in fid_reading(study, same, FLOOR)


def test_kid_is_the_mean_over_subsets_and_its_deviation_stands_below(study: Study):
    table = fid_table(study, RESULTS, FLOOR)
    (kid,) = rows_of(table, measure="1000 KID", method="GCL", encoding="PNG")
    (deviation,) = rows_of(table, measure="± 1000 KID, over subsets", method="GCL", encoding="PNG")
    assert (kid["90°"], deviation["90°"]) == pytest.approx((9, 0.9))
    assert deviation["mean"] == pytest.approx(3.7 / 7)
    (floor,) = rows_of(table, measure="± 1000 KID, over subsets", method="real against other real")
    assert floor["mean"] == pytest.approx(0.1)


def test_a_mean_over_all_or_six_views_has_its_own_spread(study: Study):
    one, other = measured(0), measured(0)
    other["views"]["png"]["315"]["fid"] += 14
    table = fid_table(study, {"gcl": [one, other]}, FLOOR)
    row = next(row for row in table.to_dict("records") if row["measure"].startswith("± FID"))
    assert (row["315°"], row["mean"], row[WITHOUT_315]) == pytest.approx((7, 1, 0))


def test_orderings_are_shown_for_published_and_ours(study: Study):
    table = ordering_table(study, RESULTS)
    assert list(table["source"]) == ["published"] * 3 + ["ours"] * 3
    assert list(table["encoding"].iloc[3:]) == ["PNG", "JPEG 75", "PNG"]
    checks = list(ordering_checks(GOOD))
    assert table.loc[table["source"] == "published", checks].all(axis=None)
    assert table["best to worst"].iloc[3] == "180° 45° 315° 135° 225° 270° 90°"


def test_few_pictures_are_warned_of_and_enough_are_not(study: Study):
    text = fid_reading(study, RESULTS, FLOOR)
    assert "100 drawn pictures" in text
    assert "Warning" in text
    assert f"({33 / 6 + 1:.1f} without 315°)" in text
    many = {name: [measured(0, pictures=2048)] * 2 for name in RESULTS}
    assert "Warning" not in fid_reading(study, many, FLOOR)


def test_the_reading_tells_what_jpeg_does(study: Study):
    shifted = measured(0, jpeg=0.5)
    shifted["views"]["jpeg75"]["90"]["fid"] -= 7
    text = fid_reading(study, {"gcl": [shifted, shifted], "no_vi": [measured(10)]}, FLOOR)
    assert "changes by -0.50 on average (JPEG - PNG; -6.50 at 90° to +0.50 at 45°)" in text
    assert "published orderings hold, others than in PNG" in text
    assert "4 of 4 published orderings hold, the same as in PNG" in fid_reading(study, RESULTS, FLOOR)
    assert text.count("As released") == 1


def test_the_headline_is_in_the_encoding_of_the_study():
    study = load_study("smoke", "seeds=2 evaluation.encoding=jpeg75")
    text = fid_reading(study, {"gcl": RESULTS["gcl"]}, FLOOR)
    assert "as JPEG 75 unless said" in text
    assert f"mean {37 / 7 + 1.5:.1f}" in text


def test_the_figure_compares_shapes_not_levels(study: Study):
    lines = fid_figure(study, fid_table(study, RESULTS, FLOOR)).axes[0].lines
    curves = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in lines}
    ours = curves["ours, GCL"]
    assert ours.mean() == pytest.approx(1)
    assert ours.argmax() == 1


def test_the_figure_has_a_thin_line_a_seed_where_there_are_several(study: Study):
    table = fid_table(study, RESULTS, FLOOR)
    seeds = {name: len(results) for name, results in RESULTS.items()}
    figure = fid_figure(study, table, RESULTS)
    thin = [line for line in figure.axes[0].lines if line.get_linewidth() == pytest.approx(0.5)]
    assert len(thin) == sum(count for count in seeds.values() if count > 1) > 0
    for line, result in zip(thin, RESULTS["gcl"], strict=False):
        fids = np.array([result["views"][study.evaluation.encoding][str(yaw)]["fid"] for yaw in NOVEL])
        assert np.asarray(line.get_ydata(), dtype=float) == pytest.approx(fids / fids.mean())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "ours, one seed"
    for alone in (None, {name: results[:1] for name, results in RESULTS.items()}):
        figure = fid_figure(study, table, alone)
        assert not [line for line in figure.axes[0].lines if line.get_linewidth() == pytest.approx(0.5)]
        assert "ours, one seed" not in [text.get_text() for text in figure.legends[0].get_texts()]
