"""Fitting figures to keypoints: known bodies are found again, from every side, with noise and gaps."""

import numpy as np
import pytest
import torch

from gcl_core.config import PeopleSettings
from gcl_core.data.people.estimates import known_body
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.mesh.fit import Fit, fit_figures
from gcl_core.mesh.projection import view_matrix
from gcl_core.mesh.stick_figure import FREE, POINTS, StickFigure, make_family

HEIGHT, WIDTH, COUNT = 128, 64, 200
NOISE, DROPPED = 1.5, 0.1


@pytest.fixture(scope="module")
def figure(bodies) -> StickFigure:
    return StickFigure(make_family(*bodies))


@pytest.fixture(scope="module")
def people(bodies) -> dict[str, np.ndarray]:
    """200 people as the cameras see them: noisy keypoints with gaps, their true depths, and their yaw."""
    skeleton, rest_body = bodies
    shots = [shots[number % 16] for number, shots in enumerate(plan_people(PeopleSettings(train_identities=COUNT)))]
    known = [
        known_body(shot, skeleton, rest_body(draw_looks(0, shot.person.kind, shot.person.number).body))
        for shot in shots[:COUNT]
    ]
    random = np.random.default_rng(0)
    true = np.array([each.keypoints(HEIGHT, WIDTH) for each in known])
    space = np.array([each.points for each in known])
    middle = space[:, [POINTS.index("left_hip"), POINTS.index("right_hip")]].mean(axis=1)
    return {
        "points": (true + random.normal(0, NOISE, true.shape)).astype(np.float32),
        "weights": (random.random(true.shape[:2]) >= DROPPED).astype(np.float32),
        "depths": (space[:, :, 1] - middle[:, None, 1]).astype(np.float32),
        "true": true,
        "yaw": np.array([shot.yaw for shot in shots[:COUNT]]),
    }


def _fit(figure: StickFigure, people: dict[str, np.ndarray], **changed: np.ndarray) -> Fit:
    given = {name: people[name] for name in ("points", "weights")}
    given |= {"depths": np.full_like(people["depths"], np.nan), "heights": np.full(len(people["yaw"]), HEIGHT)}
    arrays = {name: value.astype(np.float32) for name, value in (given | changed).items()}
    return fit_figures(figure, arrays["points"], arrays["weights"], arrays["depths"], arrays["heights"])


def _off(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs((one - other + 180) % 360 - 180)


@pytest.fixture(scope="module")
def fit(figure, people) -> Fit:
    return _fit(figure, people)


def test_yaw_and_front_or_back_of_known_people_are_found(fit, people):
    off = _off(fit.yaw, people["yaw"])
    assert np.median(off) <= 15
    assert np.mean(off < 90) >= 0.9
    frontal = np.cos(np.deg2rad(people["yaw"])) > 0
    assert np.mean((np.cos(np.deg2rad(fit.yaw)) > 0) == frontal) >= 0.9  # the harder reading: exact side views count
    views = [int(yaw) for yaw in people["yaw"] // 45]
    assert set(views) == set(range(8))  # from all sides


def test_the_figure_lies_nearer_to_the_true_points_than_the_noise_and_fills_the_gaps(fit, people):
    distance = np.linalg.norm(fit.points - people["true"], axis=2)
    seen = people["weights"] > 0
    assert np.median(np.linalg.norm(fit.points - people["points"], axis=2)[seen]) < 3
    assert np.median(distance[seen]) < NOISE
    assert np.median(distance[~seen]) < 2.5 * NOISE


def test_the_camera_puts_the_figure_where_its_points_are(fit, figure):
    values = {name: torch.from_numpy(column) for name, column in zip(FREE, fit.values.T, strict=True)}
    space = figure.points(values).numpy()
    elevation = fit.values[:, list(FREE).index("elevation")]
    for place in range(0, COUNT, 20):
        view = view_matrix(float(fit.yaw[place]), float(elevation[place]))
        seen = space[place] @ view.T
        scale, column, row = fit.camera[place]
        expected = HEIGHT * np.stack([column + scale * seen[:, 0], row - scale * seen[:, 2]], axis=1)
        np.testing.assert_allclose(fit.points[place], expected, atol=0.01)


def test_joints_stay_within_their_limits(fit):
    for name, values in zip(FREE, fit.values.T, strict=True):
        angle = FREE[name]
        assert np.percentile(values, 1) > angle.low - 0.5 * angle.deviation, name
        assert np.percentile(values, 99) < angle.high + 0.5 * angle.deviation, name
    knees = [column for column, name in enumerate(FREE) if name.endswith("knee_bend")]
    assert np.mean(fit.values[:, knees] > -3) > 0.97


def test_depths_decide_where_a_flat_picture_leaves_it_open(figure, people):
    """With face, elbows and hands hidden, a body turned to the left looks like one turned to the right."""
    weights = people["weights"].copy()
    weights[:, [place for place, name in enumerate(POINTS) if not name.endswith(("shoulder", "hip", "knee"))]] = 0
    blind = _off(_fit(figure, people, weights=weights).yaw, people["yaw"])
    told = _off(_fit(figure, people, weights=weights, depths=people["depths"]).yaw, people["yaw"])
    assert np.percentile(told, 90) < 0.5 * np.percentile(blind, 90)
    assert np.mean(told < 90) > 0.95


def test_mirrored_points_with_sides_swapped_give_the_mirrored_body(figure, people):
    swapped = [
        POINTS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in POINTS
    ]
    points = people["points"][:40, swapped] * [-1, 1] + [WIDTH, 0]
    some = {name: value[:40] for name, value in people.items()}
    one = _fit(figure, some)
    other = _fit(figure, some, points=points, weights=some["weights"][:, swapped])
    assert np.median(_off(one.yaw, -other.yaw)) < 1.0


def test_people_do_not_influence_each_other_and_pixels_scale(figure, people, fit):
    some = {name: value[60:70] for name, value in people.items()}
    alone = _fit(figure, some)
    np.testing.assert_allclose(alone.yaw, fit.yaw[60:70], atol=0.5)
    larger = _fit(figure, some, points=3 * some["points"], heights=np.full(10, 3.0 * HEIGHT))
    np.testing.assert_allclose(larger.points, 3 * alone.points, atol=0.3)


def test_nothing_to_fit_is_an_empty_fit(figure, people):
    none = _fit(figure, {name: value[:0] for name, value in people.items()})
    assert none.values.shape == (0, len(FREE))
    assert none.points.shape == (0, 17, 2)


def test_a_person_without_any_trusted_point_gets_the_mean_pose_and_no_sure_facing(figure, people):
    some = {name: value[:3] for name, value in people.items()}
    found = _fit(figure, some, weights=np.zeros_like(some["weights"]))
    means = np.array([angle.mean for angle in FREE.values()])
    assert np.isfinite(found.values).all()
    np.testing.assert_allclose(found.values, np.broadcast_to(means, found.values.shape), atol=3)
    assert (found.rival < 1).all()
