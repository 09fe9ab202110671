"""Mistakes that estimators of keypoints make, made on purpose."""

import numpy as np

from gcl_core.data.people.estimates import MISTAKEN, backs_as_fronts
from gcl_core.mesh.stick_figure import POINTS


def test_two_thirds_of_the_backs_get_left_and_right_exchanged_and_nobody_else():
    random = np.random.default_rng(0)
    points = random.uniform(0, 32, (3000, 17, 2)).astype(np.float32)
    found = backs_as_fronts(points)
    left, right = POINTS.index("left_shoulder"), POINTS.index("right_shoulder")
    back, changed = points[:, left, 0] < points[:, right, 0], (found != points).any(axis=(1, 2))
    assert not changed[~back].any()
    assert abs(changed[back].mean() - MISTAKEN) < 0.05
    for place, name in enumerate(POINTS):
        other = name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        np.testing.assert_array_equal(found[changed, place], points[changed, POINTS.index(other)])
