"""The figure of 17 points: the same places as on the body that it stands for."""

import numpy as np
import pytest
import torch

from gcl_core.mesh.body import AVERAGE
from gcl_core.mesh.fitted import pose_body
from gcl_core.mesh.pose import bone_transforms
from gcl_core.mesh.stick_figure import FREE, POINTS, POSE, BodyFamily, StickFigure, make_family, turn


@pytest.fixture(scope="module")
def family(bodies) -> BodyFamily:
    return make_family(*bodies)


def _values(**changed: float) -> dict[str, float]:
    return {name: float(angle.mean) for name, angle in FREE.items()} | {"height": 0.5} | changed


def _points(family: BodyFamily, values: dict[str, float]) -> dict[str, np.ndarray]:
    given = {name: torch.tensor([value]) for name, value in values.items()}
    return dict(zip(POINTS, StickFigure(family).points(given)[0].numpy(), strict=True))


def test_points_stand_as_people_do(family):
    points = _points(family, _values())
    assert points["nose"][2] > points["left_shoulder"][2] > points["left_hip"][2] > points["left_knee"][2]
    assert all(points[f"left_{name}"][0] > points[f"right_{name}"][0] for name in ("eye", "ear", "shoulder", "hip"))
    assert points["nose"][1] < points["left_eye"][1] < points["left_ear"][1]  # the face looks to -y
    middle = (points["left_hip"] + points["right_hip"]) / 2
    np.testing.assert_allclose(middle[:2], 0, atol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_body_of_a_figure_has_its_joints_where_the_figure_has_its_points(family, seed, monkeypatch):
    """Limbs to the centimetre; the trunk bends in one place of the figure and in several of the body."""
    random = np.random.default_rng(seed)
    values = _values(
        **{name: float(np.clip(random.normal(a.mean, a.deviation), a.low, a.high)) for name, a in POSE.items()},
        gender=float(random.uniform(0, 1)),
        height=float(random.uniform(0.3, 0.7)),
    )
    kept = {}

    def remember(skeleton, rest, rotations):
        kept["rest"], kept["transforms"] = rest, bone_transforms(skeleton, rest, rotations)
        return kept["transforms"]

    monkeypatch.setattr("gcl_core.mesh.fitted.bone_transforms", remember)
    pose_body(family, values, yaw=0.0)
    matrices = kept["transforms"].reshape(-1, 3, 4)
    heads = np.einsum("bij,bj->bi", matrices[:, :, :3], kept["rest"].heads) + matrices[:, :, 3]
    posed = dict(zip(family.skeleton.bones, heads, strict=True))
    origin = (posed["upperleg01.L"] + posed["upperleg01.R"]) / 2
    points = _points(family, values)
    bones = {"shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist", "knee": "lowerleg01", "ankle": "foot"}
    for name, bone in bones.items():
        near = 0.02 if name in ("knee", "ankle") else 0.06
        for side in ("left", "right"):
            place = posed[f"{bone}.{side[0].upper()}"] - origin
            assert np.linalg.norm(place - points[f"{side}_{name}"]) < near, (side, name)
    assert np.linalg.norm(posed["eye.L"] - origin - points["left_eye"]) < 0.06


def test_angles_mean_what_their_names_say(family):
    straight = _points(family, _values(left_elbow_bend=0.0, left_knee_bend=0.0))

    def moved(point: str, **changed: float) -> np.ndarray:
        return _points(family, _values(left_elbow_bend=0.0, left_knee_bend=0.0) | changed)[point] - straight[point]

    assert moved("left_wrist", left_elbow_bend=90.0)[1] < -0.15  # forearms bend forwards
    assert moved("left_ankle", left_knee_bend=90.0)[1] > 0.3  # shins bend backwards
    assert moved("left_knee", left_leg_swing=30.0)[1] < -0.15
    assert moved("left_elbow", left_arm_spread=60.0)[0] > 0.1
    assert moved("nose", lean=20.0)[1] < -0.05
    assert moved("nose", head_turn=60.0)[0] > 0.03  # to the left hand
    assert moved("nose", head_nod=30.0)[2] < -0.02
    assert moved("left_shoulder", twist=30.0)[1] > 0.03
    for point in POINTS:
        assert np.linalg.norm(moved(point, right_knee_bend=30.0)) < 1e-6 or point == "right_ankle"


def test_the_family_is_the_body_model_at_the_average_and_near_it_elsewhere(family, bodies):
    for shape in ({"height": 0.5, "gender": 0.5}, {"height": 0.6, "gender": 0.35}):
        true = bodies[1](AVERAGE | shape)
        found = family.rest(shape)
        np.testing.assert_allclose(found.vertices, true.vertices, atol=0.02)
        np.testing.assert_allclose(found.heads, true.heads, atol=0.02)


def test_turn_is_a_rotation_about_z_then_x_then_y():
    angles = torch.tensor([[90.0, 0.0, 0.0], [0.0, 90.0, 0.0], [0.0, 0.0, 90.0], [20.0, -30.0, 40.0]])
    rotations = turn(*angles.unbind(1))
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-6, rtol=0)
    up, forward, left = torch.tensor([0.0, 0, 1]), torch.tensor([0.0, -1, 0]), torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(rotations[0] @ forward, left, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotations[1] @ up, forward, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotations[2] @ up, left, atol=1e-6, rtol=0)
