"""Posing: rigid limbs, the right leg in front at the right moment, and skinning against a loop."""

import numpy as np
import pytest
from scipy import sparse

from gcl_core.mesh.pose import Gait, about, bone_transforms, skin, walking_rotations

WALK = Gait(
    phase=0.0, stride=18.0, arm_swing=15.0, elbow=(9.0, 20.0), arm_spread=9.0, lean=3.0, head_turn=9.0, head_nod=5.0
)  # the left heel strikes


def _posed_heads(skeleton, rest, gait: Gait) -> dict[str, np.ndarray]:
    transforms = bone_transforms(skeleton, rest, walking_rotations(skeleton, rest, gait)).reshape(-1, 3, 4)
    heads = np.einsum("bij,bj->bi", transforms[:, :, :3], rest.heads) + transforms[:, :, 3]
    return dict(zip(skeleton.bones, heads, strict=True))


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.62, 0.9])
def test_bones_keep_their_lengths_and_rotations_are_proper(skeleton, rest, phase):
    gait = Gait(**{**vars(WALK), "phase": phase})
    rotations = walking_rotations(skeleton, rest, gait)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    posed, at_rest = _posed_heads(skeleton, rest, gait), dict(zip(skeleton.bones, rest.heads, strict=True))
    for bone, parent in zip(skeleton.bones[1:], skeleton.parents[1:], strict=True):
        before = np.linalg.norm(at_rest[bone] - at_rest[skeleton.bones[parent]])
        after = np.linalg.norm(posed[bone] - posed[skeleton.bones[parent]])
        assert after == pytest.approx(before, abs=1e-5)


def test_a_step_has_one_foot_in_front_and_the_opposite_hand(skeleton, rest):
    left = _posed_heads(skeleton, rest, WALK)
    assert left["foot.L"][1] < left["foot.R"][1] - 0.3  # -y is forwards
    assert left["wrist.R"][1] < left["wrist.L"][1] - 0.1
    right = _posed_heads(skeleton, rest, Gait(**{**vars(WALK), "phase": 0.5}))
    assert right["foot.R"][1] < right["foot.L"][1] - 0.3


def test_standing_hangs_the_arms_and_closes_the_legs(skeleton, rest):
    still = _posed_heads(skeleton, rest, Gait(**{**vars(WALK), "stride": 0.0, "arm_swing": 0.0, "elbow": (0.0, 0.0)}))
    for side, sign in (("L", 1), ("R", -1)):
        assert still[f"wrist.{side}"][2] < still["root"][2] + 0.05
        assert 0.15 < sign * still[f"wrist.{side}"][0] < 0.4
        assert 0.05 < sign * still[f"foot.{side}"][0] < 0.2


def test_skinning_is_the_weighted_mean_of_rigid_motions():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(7, 3)).astype(np.float32)
    dense = rng.dirichlet(np.ones(4), size=7).astype(np.float32)
    dense[dense < 0.2] = 0
    dense /= dense.sum(axis=1, keepdims=True)
    motions = rng.normal(size=(4, 3, 4)).astype(np.float32)
    expected = np.zeros((7, 3))
    for vertex in range(7):
        for bone in range(4):
            moved = motions[bone, :, :3] @ vertices[vertex] + motions[bone, :, 3]
            expected[vertex] += dense[vertex, bone] * moved
    posed = skin(vertices, sparse.csr_array(dense), motions.reshape(4, 12))
    np.testing.assert_allclose(posed, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("axis", "start", "end"), [("x", (0, 0, 1), (0, -1, 0)), ("z", (0, -1, 0), (1, 0, 0)), ("y", (0, 0, 1), (1, 0, 0))]
)
def test_a_positive_turn_goes_forwards_or_to_the_left_hand(axis, start, end):
    np.testing.assert_allclose(about(axis, 90) @ np.array(start), end, atol=1e-12)
