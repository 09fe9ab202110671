"""Views from elsewhere: turn 0 gives the picture back, patterns come out right from behind, left stays left."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import Frame
from gcl_core.surface.placement import KNOWN
from gcl_core.surface.views import BACKGROUND, FILLED, MIRRORED, SEEN, carry_views

RED, BLUE, GREEN = ([210, 30, 30], [30, 30, 210], [30, 180, 30])


def _coloured(count: int, *parts: tuple[np.ndarray, list[int]]) -> np.ndarray:
    colours = np.full((count, 3), 120, dtype=np.float32)
    for where, colour in parts:
        colours[where] = colour
    return colours


def test_turn_0_gives_the_picture_back_where_the_body_is_seen(placed, topology, painted):
    for placement in placed:
        random = np.random.default_rng(0)
        colours = random.uniform(40, 220, (len(topology.ring), 3)).astype(np.float32)[topology.patch]
        colours = 0.2 * colours + 0.8 * (200 - 70 * placement.body.vertices[:, 2:])
        picture = painted(placement, colours.astype(np.float32))
        made = carry_views(picture, placement, topology, yaws=[0])
        inner = binary_erosion(made.sources[0] == SEEN)
        assert inner.mean() > 0.05
        assert np.abs(made.views[0].astype(float) - picture)[inner].mean() < 4
        far = binary_dilation(made.sources[0] != BACKGROUND, iterations=3) == 0
        np.testing.assert_array_equal(made.views[0][far], picture[far])


def test_stripes_by_height_go_round_the_body(placed, topology, painted):
    front = placed[0]
    height = front.body.vertices[:, 2]
    low, high = height.min(), height.max()
    share = (height - low) / (high - low)
    colours = _coloured(len(height), (share > 0.5, RED), (share <= 0.5, BLUE))
    made = carry_views(painted(front, colours), front, topology)
    assert made.views.shape == (7, 64, 32, 3)
    for place, yaw in enumerate(range(45, 360, 45)):
        true = painted(front, colours, yaw=yaw)
        body = binary_erosion((true != 40).any(axis=2))
        wrong = np.abs(made.views[place].astype(float) - true).max(axis=2) > 90
        assert wrong[body].mean() < 0.12  # arms hang over both halves; the border itself


def test_views_that_are_not_turned_keep_the_side_and_lack_what_the_turn_hides(placed, topology, painted):
    front = placed[0]
    colours = _coloured(len(front.body.vertices), (front.body.vertices[:, 2] > 0.9, RED))
    picture = painted(front, colours)
    itself = carry_views(picture, front, topology, yaws=[0])
    turned, still = (carry_views(picture, front, topology, yaws=[45, 180], turned=way) for way in (True, False))
    for place in range(2):
        np.testing.assert_array_equal(still.sources[place] == BACKGROUND, itself.sources[0] == BACKGROUND)
        seen = (still.sources[place] == SEEN).sum()
        assert seen < 0.8 * (itself.sources[0] == SEEN).sum()
        assert abs(seen - (turned.sources[place] == SEEN).sum()) < 0.15 * (itself.sources[0] != BACKGROUND).sum()
    assert (still.sources[0] == SEEN).any()


@pytest.mark.parametrize("place", [0, 1])
def test_left_and_right_are_never_swapped(placed, topology, painted, rest, place):
    placement = placed[place]  # from the front, from the back
    left, middle = rest.vertices[:, 0] > 0.02, np.abs(rest.vertices[:, 0]) <= 0.02
    colours = _coloured(len(left), (left, RED), (~left, BLUE), (middle, GREEN))
    made = carry_views(painted(placement, colours), placement, topology)
    for number, yaw in enumerate(range(45, 360, 45)):
        true, view = (each.astype(float) for each in (painted(placement, colours, yaw=yaw), made.views[number]))
        sure = made.sources[number] == SEEN
        for mine, other in ((0, 2), (2, 0)):
            truly = (true[..., mine] > true[..., other] + 120) & sure
            if truly.sum() > 20:
                assert (view[..., mine] > view[..., other])[truly].mean() > 0.95
    assert {FILLED, SEEN} <= set(np.unique(made.sources))


def test_the_side_that_is_not_seen_is_the_mirror_image(placed, topology, painted):
    side = placed[2]
    share = side.body.vertices[:, 2]
    colours = _coloured(len(share), (share > np.median(share), RED), (share <= np.median(share), BLUE))
    made = carry_views(painted(side, colours), side, topology, yaws=[180])
    other, true = made.views[0].astype(float), painted(side, colours, yaw=180)
    mirrored = binary_erosion(made.sources[0] == MIRRORED)
    assert mirrored.sum() > 50
    assert (np.abs(other - true).max(axis=2) > 90)[mirrored].mean() < 0.1


def test_the_same_inputs_give_the_same_bytes_and_pictures_are_left_alone(placed, topology, painted):
    colours = np.full((len(topology.patch), 3), 150, dtype=np.float32)
    picture = painted(placed[3], colours)
    before = picture.copy()
    one, two = (carry_views(picture, placed[3], topology) for _ in range(2))
    np.testing.assert_array_equal(one.views, two.views)
    np.testing.assert_array_equal(one.sources, two.sources)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (128, 64), (256, 128), (48, 16)])
def test_every_size_works(placed, topology, height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    made = carry_views(picture, placed[0], topology, yaws=[90])
    assert made.views.shape == (1, height, width, 3)
    assert 0.05 < (made.sources != BACKGROUND).mean() < 0.6


def test_a_body_of_one_pixel_gives_views_of_its_colour(placed, topology):
    picture = np.full((64, 32, 3), 20, dtype=np.uint8)
    picture[30:33, 14:17] = [200, 100, 50]
    tiny = replace(placed[0], frame=Frame(0.5 / 64, 0.25, 0.5))
    made = carry_views(picture, tiny, topology)
    assert 1 <= (made.sources[0] != BACKGROUND).sum() <= 4 or made.views.max() > 20
    assert np.isfinite(made.views.astype(float)).all()


def test_a_body_cut_by_the_border_keeps_what_is_seen(placed, topology, painted):
    cut = replace(placed[0], frame=replace(placed[0].frame, column=placed[0].frame.column + 0.2))
    colours = np.full((len(topology.patch), 3), 150, dtype=np.float32)
    made = carry_views(painted(cut, colours), cut, topology)
    body = binary_erosion(made.sources[3] != BACKGROUND)
    assert body.sum() > 50
    assert np.abs(made.views[3][body].astype(float) - 150).mean() < 12


def test_a_body_of_another_model_is_refused(placed, topology):
    body = placed[0].body
    other = replace(placed[0], body=Body(body.vertices[:6890], np.array([[0, 1, 2]], dtype=np.int32)), slack=KNOWN)
    with pytest.raises(MeshError, match=r"6890 vertices.*without --model"):
        carry_views(np.zeros((64, 32, 3), dtype=np.uint8), other, topology)


def test_triangles_without_area_do_no_harm(placed, topology, painted):
    body = placed[0].body
    pinched = body.vertices.copy()
    pinched[body.faces[::50, 1]] = pinched[body.faces[::50, 0]]
    squeezed = replace(placed[0], body=Body(pinched, body.faces, body.elevation))
    colours = np.full((len(topology.patch), 3), 150, dtype=np.float32)
    made = carry_views(painted(squeezed, colours), squeezed, topology, yaws=[0, 180])
    assert np.abs(made.views[1][binary_erosion(made.sources[1] != BACKGROUND)].astype(float) - 150).mean() < 12


@pytest.mark.parametrize("far", [1e3, 1e8, 1e30])
@pytest.mark.parametrize("what", ["scale", "small", "column", "body"])
def test_bodies_far_beyond_any_picture_are_refused_or_give_pictures(placed, topology, what, far):
    one, picture = placed[0], np.random.default_rng(0).integers(0, 256, (32, 16, 3), dtype=np.uint8)
    frame = {
        "scale": replace(one.frame, scale=far),
        "small": replace(one.frame, scale=1 / far),
        "column": replace(one.frame, column=far),
    }.get(what, one.frame)
    if what == "body":
        with pytest.raises(MeshError, match="larger than anybody"):
            replace(one, body=replace(one.body, vertices=one.body.vertices * np.float32(far)))
        return
    given = replace(one, frame=frame)
    with contextlib.nullcontext() if what == "small" else pytest.raises(MeshError, match="leave it out"):
        made = carry_views(picture, given, topology, yaws=[0, 180])
        assert made.views.shape == (2, 32, 16, 3)
        assert made.views.std() > 0
