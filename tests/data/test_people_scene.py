"""Streets behind the people: one for all cameras, or a place for each, by regime."""

import numpy as np

from gcl_core.config import PeopleSettings
from gcl_core.data.people.scene import draw_backdrop, make_street, make_streets
from gcl_core.seeding import numpy_rng


def _wall_colours(settings: PeopleSettings) -> np.ndarray:
    """Mean colour of the upper half of twelve backdrops of each of four cameras."""
    streets = make_streets(settings)
    rng = numpy_rng(0, "test")
    return np.array([[draw_backdrop(street, rng, 32, 16)[:32].mean((0, 1)) for _ in range(12)] for street in streets])


def test_in_the_regime_view_all_cameras_show_the_same_street():
    streets, expected = make_streets(PeopleSettings(cameras=3, seed=4)), make_street(4)
    assert len(streets) == 3
    for street in streets:
        np.testing.assert_array_equal(street.wall, expected.wall)
        np.testing.assert_array_equal(street.ground, expected.ground)


def test_a_background_tells_its_camera_in_the_regime_background_alone():
    """Share of pictures nearest, by wall colour, to the mean of their own camera's others; a guess is right for 1/4."""
    right = {}
    for settings in (PeopleSettings(cameras=4, regime="view"), PeopleSettings(cameras=4, regime="background")):
        colours = _wall_colours(settings)
        own = np.arange(12)
        guesses = []
        for left_out in range(12):
            means = colours[:, own != left_out].mean(axis=1)
            apart = np.linalg.norm(colours[:, left_out, None] - means[None], axis=2)
            guesses.append(apart.argmin(axis=1) == np.arange(4))
        right[settings.regime] = np.mean(guesses)
    assert right["view"] < 0.5
    assert right["background"] > 0.7
