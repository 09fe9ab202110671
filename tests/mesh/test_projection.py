"""Projections as METHOD.md §1.3 wants them: direction of the turn, whole body in frame, grey on white."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.pose import Gait, bone_transforms, skin, walking_rotations
from gcl_core.mesh.projection import YAWS, dot, project_body, projection_folder

WHITE = 255


@pytest.fixture(scope="module")
def walker(skeleton, rest) -> Body:
    """Somebody in a long step who bends the left elbow far more than the right one."""
    gait = Gait(
        0.1, stride=20.0, arm_swing=5.0, elbow=(70.0, 5.0), arm_spread=9.0, lean=3.0, head_turn=0.0, head_nod=0.0
    )
    transforms = bone_transforms(skeleton, rest, walking_rotations(skeleton, rest, gait))
    return Body(skin(rest.vertices, skeleton.weights, transforms), skeleton.faces)


@pytest.fixture(scope="module")
def left_hand_raised(skeleton, rest) -> Body:
    """The rest body, its right arm hidden inside the trunk: the one arm that shows is the left."""
    heads = dict(zip(skeleton.bones, rest.heads, strict=True))
    vertices = rest.vertices.copy()
    vertices[vertices[:, 0] < -0.26] = heads["spine02"]
    return Body(vertices, skeleton.faces)


def _centre(picture: np.ndarray, top: float, bottom: float) -> float:
    """Mean column of the figure between two heights, given as shares of the figure from its top."""
    rows = np.flatnonzero((picture < 250).any(axis=1))
    first, count = rows[0], len(rows)
    band = picture[first + int(top * count) : first + int(bottom * count)] < 250
    return float(np.argwhere(band)[:, 1].mean())


def test_a_body_facing_image_left_is_frontal_at_90_and_one_seen_from_behind_faces_left_at_90(left_hand_raised):
    """The one arm is the left one: on image-right when the body faces the camera, on image-left when seen from behind.

    Facing left or right is read off the feet, which reach from the shins to where the body looks.
    """
    views = {yaw: project_body(left_hand_raised, yaw, height=256, width=128) for yaw in (0, 90, 180, 270)}
    arm = {yaw: _centre(view, 0.2, 0.5) - _centre(view, 0.6, 0.9) for yaw, view in views.items()}
    feet = {yaw: _centre(view, 0.96, 1.0) - _centre(view, 0.8, 0.94) for yaw, view in views.items()}
    assert arm[0] > 4  # frontal
    assert arm[180] < -4  # from behind
    assert feet[270] < -4  # 180 + 90: faces image-left
    assert feet[90] > 4
    # turning the body that faces image-left by +90 gives the frontal view: 270 + 90 = 360
    again = project_body(left_hand_raised, 270 + 90, height=256, width=128)
    assert np.mean(again != views[0]) < 0.01  # but for rounding of the angle


@pytest.mark.parametrize("size", [(64, 32), (128, 64)])
@pytest.mark.parametrize("yaw", YAWS)
def test_the_whole_body_is_in_frame_and_centred(walker, rest, skeleton, yaw, size):
    height, width = size
    for vertices in (walker.vertices, rest.vertices):
        picture = project_body(Body(vertices, skeleton.faces, elevation=8.0), yaw, height=height, width=width)
        assert picture.shape == size
        rows, columns = (np.flatnonzero((picture < WHITE).any(axis=axis)) for axis in (1, 0))
        above, below, left, right = rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1]
        assert min(above, below, left, right) >= 1
        assert abs(above - below) <= 2
        assert abs(left - right) <= 2
        assert min(above / height, left / width) < 0.08  # as large as the margins allow


def test_grey_on_white_with_soft_shading(walker):
    picture = project_body(walker, 45, height=128, width=64)
    figure = picture[picture < WHITE]
    assert 0.1 < figure.size / picture.size < 0.6
    assert 90 <= figure.min() < np.median(figure) < 230
    assert len(np.unique(figure)) > 40


def test_a_body_that_shows_nothing_is_refused(walker):
    for vertices in (walker.vertices[:0], walker.vertices * np.array([1, 0, 1], dtype=np.float32)):
        with pytest.raises(MeshError, match="empty or flat"):
            project_body(Body(vertices, walker.faces), 0, height=64, width=32)


def test_opposite_views_have_mirrored_outlines(walker):
    front, back = (project_body(walker, yaw, height=256, width=128) < WHITE for yaw in (30, 210))
    assert np.mean(front != back[:, ::-1]) < 0.01
    assert np.mean(front != back) > 0.03


def test_folders_are_those_of_the_released_meshes():
    assert projection_folder(Path("meshes"), "train", 0) == Path("meshes/train/render")
    assert projection_folder(Path("meshes"), "test", 135) == Path("meshes/test/render_135")
    with pytest.raises(ValueError, match="50"):
        projection_folder(Path("meshes"), "train", 50)


def test_naming_the_folders_needs_neither_the_body_model_nor_numba():
    code = "import sys, gcl_core.mesh.projection; print({'anny', 'numba'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_products_with_an_axis_have_the_bits_of_plain_arithmetic_on_every_processor():
    draws = np.random.default_rng(0)
    vectors, axis = (draws.normal(size=size).astype(np.float32) for size in ((2000, 3), 3))
    plain = [x * axis[0] + y * axis[1] + z * axis[2] for x, y, z in vectors]  # BLAS with AVX-512 rounds otherwise
    assert np.array_equal(dot(vectors, axis), np.array(plain))
