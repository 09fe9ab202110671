"""Where bodies stand in pictures and views: as the cameras of synthetic people have it; what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest

from gcl_core.data.people.picture import picture_frame
from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import Frame, view_matrix
from gcl_core.surface.placement import KNOWN, Placement, Slack


@pytest.mark.parametrize("yaw", [0, 45, 90, 180, 315])
def test_a_view_stands_where_the_true_view_does(known, placed, yaw):
    for each, placement in zip(known, placed, strict=True):
        seen = each.body.vertices @ view_matrix(yaw, each.body.elevation).T
        frame = picture_frame(seen, each.shot, 64, 32)
        columns, rows = frame.column + frame.scale * seen[:, 0], frame.row - frame.scale * seen[:, 2]
        found = placement.places(each.body.vertices, yaw, (64, 32))
        np.testing.assert_allclose(found, np.stack([columns, rows, seen[:, 1]], axis=1), atol=2e-3)


def test_a_squeezed_picture_squeezes_the_body(placed):
    one, wide = placed[0], replace(placed[0], aspect=2 * placed[0].aspect)
    before, after = (each.places(each.body.vertices, 0, (64, 32)) for each in (one, wide))
    np.testing.assert_allclose(after[:, 0], before[:, 0] / 2, atol=1e-4)
    np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"frame": Frame(-0.4, 0.25, 0.5)}, "behind the camera"),
        ({"frame": Frame(0.0, 0.25, 0.5)}, "behind the camera"),
        ({"frame": Frame(float("nan"), 0.25, 0.5)}, "not finite"),
        ({"frame": Frame(0.4, float("inf"), 0.5)}, "not finite"),
        ({"aspect": 0.0}, "aspect"),
        ({"slack": Slack(0.01, -1.0)}, "Slack"),
    ],
)
def test_cameras_that_cannot_be_are_refused(placed, change, told):
    with pytest.raises(MeshError, match=told):
        replace(placed[0], **change)


def test_bodies_that_cannot_be_are_refused(placed):
    body = placed[0].body
    broken = body.vertices.copy()
    broken[77, 1] = np.nan
    flat = body.vertices * np.array([1, 0, 1], dtype=np.float32)
    none, point = body.vertices[:0], 0 * body.vertices
    for vertices, told in ((broken, "not finite"), *((each, "flat or a point") for each in (flat, point, none))):
        with pytest.raises(MeshError, match=told):
            Placement(Body(vertices, body.faces), placed[0].frame, 0.5, KNOWN)
