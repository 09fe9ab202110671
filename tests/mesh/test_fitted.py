"""Fitted bodies: what counts as good, the table on disk, and the direction in which a posed body looks."""

from pathlib import Path

import numpy as np
import pytest
from pandas.api.types import is_numeric_dtype

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.fit import Fit
from gcl_core.mesh.fitted import (
    CAMERA,
    COLUMNS,
    GOOD,
    FittedBodies,
    join_tables,
    judge,
    load_table,
    pose_body,
    save_table,
)
from gcl_core.mesh.keypoints import Keypoints
from gcl_core.mesh.projection import project_body
from gcl_core.mesh.stick_figure import FREE, BodyFamily, make_family


@pytest.fixture(scope="module")
def family(bodies) -> BodyFamily:
    return make_family(*bodies)


def _estimates(count: int, height: float) -> tuple[Keypoints, Fit]:
    """Keypoints that the figures meet exactly, all trusted, all sure of their facing."""
    random = np.random.default_rng(0)
    points = random.uniform(0, height, (count, 17, 2)).astype(np.float32)
    files = tuple(f"query/{number:04d}_c1.jpg" for number in range(count))
    full = np.ones((count, 17), dtype=np.float32)
    heights = np.full(count, height, dtype=np.float32)
    keypoints = Keypoints(files, heights, heights / 2, points, full, full * np.nan)
    values = np.tile(np.array([angle.mean for angle in FREE.values()], dtype=np.float32), (count, 1))
    yaw = random.uniform(0, 360, count).astype(np.float32)
    camera = np.tile(np.array([0.5, 0.25, 0.5], dtype=np.float32), (count, 1))
    return keypoints, Fit(values, yaw, camera, points.copy(), np.full(count, np.inf, dtype=np.float32))


def test_each_fault_of_a_fit_is_called_by_its_name():
    keypoints, fit = _estimates(6, height=256.0)
    keypoints.weights[1, 7:] = 0.3  # 7 trusted points are left
    fit.points[2] += [0, 20]  # 7.8 % of the height
    fit.points[3, :8] += [0, 200]  # fewer than half of the points: the median does not see it
    fit.rival[4] = 2.0
    keypoints.weights[5] = 0
    table = judge(keypoints, fit)
    assert table["quality"].tolist() == [GOOD, "few points", "poor fit", GOOD, "facing unsure", "few points"]
    assert table["error"].tolist()[:3] == pytest.approx([0, 0, 20], abs=1e-4)
    assert table["trusted"].tolist() == [17, 7, 17, 17, 17, 0]


@pytest.mark.parametrize("what", ["values", "yaw", "points", "rival"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_fit_that_is_no_number_is_never_good(what: str, number: float, tmp_path: Path):
    keypoints, fit = _estimates(3, height=128.0)
    getattr(fit, what)[(1, *[0] * (getattr(fit, what).ndim - 1))] = number
    quality = judge(keypoints, fit)["quality"].tolist()
    assert quality[::2] == [GOOD, GOOD]
    assert (quality[1] == GOOD) == (what == "rival" and number == np.inf)  # no rival at all
    keypoints.points[0] = np.nan
    keypoints.heights[2] = np.nan
    assert GOOD not in judge(keypoints, fit)["quality"].tolist()[::2]


@pytest.mark.parametrize("number", ["nan", "inf", "", "left"])
@pytest.mark.parametrize("column", ["yaw", "error", "left_knee_bend"])
def test_a_table_that_calls_no_number_good_is_refused(tmp_path: Path, column: str, number: str):
    keypoints, fit = _estimates(3, height=128.0)
    table = judge(keypoints, fit).astype(str)
    table.loc[1, column] = number
    save_table(table, tmp_path / "bodies.csv")
    with pytest.raises(MeshError, match="calls a fit good whose numbers are not finite"):
        load_table(tmp_path / "bodies.csv")
    table.loc[1, "quality"] = "no fit"
    save_table(table, tmp_path / "bodies.csv")
    assert len(load_table(tmp_path / "bodies.csv")) == 3


def test_joined_tables_are_as_if_fitted_at_once(tmp_path: Path):
    """Also where a fit has no numbers: the others' stay numbers."""
    keypoints, fit = _estimates(5, height=128.0)
    fit.values[1], fit.rival[1] = np.nan, np.nan
    fit.values[:] += np.random.default_rng(1).normal(size=fit.values.shape).astype(np.float32)
    table = judge(keypoints, fit)
    save_table(table, tmp_path / "once.csv")
    save_table(table.iloc[:3], tmp_path / "part.csv")
    save_table(join_tables(load_table(tmp_path / "part.csv"), table.iloc[3:]), tmp_path / "joined.csv")
    joined = load_table(tmp_path / "joined.csv")
    assert joined.equals(load_table(tmp_path / "once.csv"))
    assert joined["quality"].tolist() == [GOOD, "no fit", *[GOOD] * 3]
    assert joined.drop(columns=["file", "quality"]).dtypes.map(is_numeric_dtype).all()


def test_the_table_reads_back_bit_for_bit_and_nothing_else_passes_for_one(tmp_path: Path):
    keypoints, fit = _estimates(4, height=128.0)
    fit.values[:] += np.random.default_rng(1).normal(size=fit.values.shape).astype(np.float32)
    table = judge(keypoints, fit)
    save_table(table, tmp_path / "bodies.csv")
    again = load_table(tmp_path / "bodies.csv")
    assert tuple(again.columns) == COLUMNS
    np.testing.assert_array_equal(again[list(FREE)].to_numpy(dtype=np.float32), fit.values)
    assert again["rival"].tolist() == [np.inf] * 4
    (tmp_path / "other.csv").write_text("file,yaw\na,1\n")
    with pytest.raises(MeshError, match=r"other\.csv is no table of fitted bodies"):
        load_table(tmp_path / "other.csv")
    table.drop(columns=list(CAMERA)).to_csv(tmp_path / "old.csv", index=False)
    with pytest.raises(MeshError, match=r"old\.csv is from before fits kept their cameras.*run fit-bodies again"):
        load_table(tmp_path / "old.csv")
    (tmp_path / "bodies.csv").write_bytes(b"")
    with pytest.raises(MeshError, match="cannot be read"):
        load_table(tmp_path / "bodies.csv")


def test_only_good_fits_have_a_body(family):
    keypoints, fit = _estimates(2, height=128.0)
    fit.rival[1] = 0.0
    bodies = FittedBodies(family, judge(keypoints, fit))
    assert bodies.body(0) is not None
    assert bodies.body(1) is None


def test_a_fitted_body_that_faces_image_left_is_frontal_at_90(family):
    """METHOD.md §1.3; the raised left arm tells front from back."""
    values = {name: float(angle.mean) for name, angle in FREE.items()} | {"left_arm_spread": 80.0, "elevation": 0.0}
    frontal, left, behind = (pose_body(family, values, yaw) for yaw in (0.0, 270.0, 180.0))
    expected = project_body(frontal, 0, height=128, width=64)
    for body, yaw in ((left, 90), (behind, 180)):
        assert np.mean(project_body(body, yaw, height=128, width=64) != expected) < 0.01
    columns = np.flatnonzero((expected < 255).any(axis=0))
    trunk = np.flatnonzero((expected[-30:] < 255).any(axis=0)).mean()
    assert columns.max() - trunk > trunk - columns.min() + 5  # the left arm is on image-right of a frontal body
    assert pose_body(family, values | {"elevation": 12.0}, 0.0).elevation == 12.0
