"""The picture behind a person: what is known stays, the hole is filled from around it."""

import numpy as np
import pytest

from gcl_core.surface.background import REACH, background, outline
from gcl_core.surface.loops import grow


@pytest.fixture
def person() -> np.ndarray:
    mask = np.zeros((64, 32), dtype=bool)
    mask[8:60, 10:21] = True
    return mask


def test_what_is_known_stays_and_the_person_is_gone(person):
    picture = np.random.default_rng(0).integers(90, 110, (64, 32, 3), dtype=np.uint8)
    picture[person] = 255
    behind = background(picture, person, 0.0)
    np.testing.assert_array_equal(behind[~person], picture[~person])
    assert behind[person].min() >= 90
    assert behind[person].max() < 110


def test_the_margin_takes_more_away(person):
    picture = np.full((64, 32, 3), 100, dtype=np.uint8)
    picture[7:61, 9:22] = 115  # the person reaches a pixel further than the mask, and hardly differs
    assert background(picture, person, 0.0).max() == 115
    np.testing.assert_allclose(background(picture, person, 1.7), 100, atol=1e-3)


def test_what_hangs_on_the_person_is_taken_away_and_what_stands_beside_stays(person):
    picture = np.full((64, 32, 3), 100, dtype=np.uint8)
    picture[person] = [200, 40, 40]
    bag, post = np.zeros_like(person), np.zeros_like(person)
    bag[30:40, 21:25] = True
    post[:, 28:30] = True
    picture[bag] = [190, 60, 50]
    picture[post] = [40, 40, 120]
    np.testing.assert_array_equal(outline(picture, person, 0.0), person | bag)
    behind = background(picture, person, 0.0)
    assert np.abs(behind[bag] - 100).max() < 30
    np.testing.assert_array_equal(behind[post], picture[post])
    alike = np.where(bag[..., None], picture, 0).astype(np.uint8)  # the background has the bag's colour
    alike[~person] = [190, 60, 50]
    assert not (outline(alike, person, 0.0) & ~person).any()


def test_an_outline_keeps_the_body_and_stays_within_reach():
    random = np.random.default_rng(0)
    for size in (32, 64, 128):
        body = np.zeros((size, size // 2), dtype=bool)
        body[size // 4 : -size // 4, size // 5 : size // 4] = True
        found = outline(random.integers(0, 256, (*body.shape, 3), dtype=np.uint8), body, 1.0)
        assert (found >= body).all()
        assert (found <= grow(body, REACH * size)).all()
    everything = np.ones((16, 8), dtype=bool)
    assert outline(np.zeros((16, 8, 3), dtype=np.uint8), everything, 0.0).all()


def test_a_slope_goes_on_through_the_hole(person):
    slope = np.tile(np.linspace(0, 250, 64)[:, None, None], (1, 32, 3)).astype(np.uint8)
    picture = slope.copy()
    picture[person] = 255
    assert np.abs(background(picture, person, 0.0)[:, 15] - slope[:, 15])[12:56].max() < 20


def test_where_all_is_person_it_is_grey():
    picture = np.full((16, 8, 3), 7, dtype=np.uint8)
    np.testing.assert_array_equal(background(picture, np.ones((16, 8), dtype=bool), 0.0), 127.5)
