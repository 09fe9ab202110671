"""Table 1: published and ours side by side, and the orderings it claims."""

from typing import Any

import numpy as np
import pytest

from gcl_core.config import Study, load_study
from gcl_core.reporting.fid_table import (
    fid_figure,
    fid_reading,
    fid_table,
    mean_over_views,
    ordering_checks,
    ordering_table,
)
from gcl_core.reporting.published import published_fid

GOOD = {45: 3.0, 90: 9.0, 135: 5.0, 180: 2.0, 225: 6.0, 270: 8.0, 315: 4.0}


@pytest.fixture
def study() -> Study:
    return load_study("smoke", "seeds=2")


def measured(shift: float, pictures: int = 100) -> dict[str, Any]:
    views = {
        yaw: {"fid": value + shift, "kid": value / 1000, "kid_std": 0.0} for yaw, value in {0: 1.0, **GOOD}.items()
    }
    return {"pictures": pictures, "reference": 200, "views": {str(yaw): view for yaw, view in views.items()}}


FLOOR = {
    "halves": {"fid": 0.5, "kid": 0.0, "pictures": 100, "reference": 100},
    "gallery": {"fid": 0.75, "kid": 0.001, "pictures": 100, "reference": 200},
}
RESULTS = {"gcl": [measured(0), measured(2)], "no_vi": [measured(10), measured(10)]}


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


def test_the_table_has_published_rows_means_over_seeds_and_half_their_range(study: Study):
    table = fid_table(study, RESULTS, FLOOR)
    rows = {(row["method"], row["data"], row["measure"]): row for row in table.to_dict("records")}
    assert rows[("GCL", "Market-1501", "FID")]["90°"] == 75.83
    assert np.isnan(rows[("GCL", "Market-1501", "FID")]["0°"])
    ours = rows[("GCL", "synthetic", "FID")]
    assert (ours["0°"], ours["90°"], ours["pictures"]) == (2.0, 10.0, 100)
    assert ours["mean"] == pytest.approx(37 / 7 + 1)
    assert rows[("GCL", "synthetic", "± FID, 2 seeds")]["mean"] == pytest.approx(1)
    assert rows[("GCL", "synthetic", "1000 KID")]["90°"] == pytest.approx(9)
    assert rows[("real against other real", "synthetic", "FID")]["mean"] == 0.5
    assert list(table.columns[-9:]) == ["0°", "45°", "90°", "135°", "180°", "225°", "270°", "315°", "mean"]


def test_orderings_are_shown_for_published_and_ours(study: Study):
    table = ordering_table(study, RESULTS)
    assert list(table["source"]) == ["published"] * 3 + ["ours"] * 2
    assert table["best to worst"].iloc[3] == "180° 45° 315° 135° 225° 270° 90°"


def test_few_pictures_are_warned_of_and_enough_are_not(study: Study):
    text = fid_reading(study, RESULTS, FLOOR)
    assert "100 drawn pictures" in text
    assert "Warning" in text
    many = {name: [measured(0, pictures=2048)] * 2 for name in RESULTS}
    assert "Warning" not in fid_reading(study, many, FLOOR)


def test_the_figure_compares_shapes_not_levels(study: Study):
    lines = fid_figure(study, RESULTS).axes[0].lines
    curves = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in lines}
    ours = curves["ours, GCL"]
    assert ours.mean() == pytest.approx(1)
    assert ours.argmax() == 1
