"""Compiled loops against plain ones."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates

from gcl_core.mesh.projection import view_matrix
from gcl_core.mesh.rasterizer import rasterize, vertex_normals
from gcl_core.surface.loops import (
    blend,
    extent,
    grow,
    halve,
    nearest_triangles,
    paint,
    patch_sums,
    sample,
    seen_weights,
    spread,
    transform,
)


def test_points_are_moved_and_bounded_as_by_matrices():
    random = np.random.default_rng(0)
    points, matrix, shift = (random.normal(size=size).astype(np.float32) for size in ((50, 3), (3, 3), (3,)))
    np.testing.assert_allclose(transform(points, matrix, shift), points @ matrix.T + shift, atol=1e-5)
    moved = points @ matrix.T
    np.testing.assert_allclose(extent(points, matrix), [moved.min(axis=0), moved.max(axis=0)], atol=1e-5)


@pytest.mark.parametrize("place", range(4))
def test_the_nearest_triangles_of_a_body_are_the_rasterizers(placed, place):
    body, size = placed[place].body, (96, 48)
    points = placed[place].places(body.vertices, 0, size)
    shown, depth = nearest_triangles(points, body.faces, *size)
    expected, inside = rasterize(points, body.faces, *size)
    np.testing.assert_array_equal(shown >= 0, expected >= 0)
    there = expected >= 0
    z = np.einsum("nc,nc->n", inside[there], points[body.faces[expected[there]]][:, :, 2])
    assert np.mean(np.abs(depth[there] - z) < 1e-4) > 0.999  # the eyes are no closed surface
    assert np.isinf(depth[~there]).all()


def _hidden_by_rays(vertices: np.ndarray, faces: np.ndarray, chosen: np.ndarray, slack: float) -> np.ndarray:
    """Whether a ray from each chosen vertex towards the camera (-y) meets a triangle more than `slack` away."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    hidden = []
    for x, y, z in vertices[chosen].astype(np.float64):
        area = (b[:, 0] - a[:, 0]) * (c[:, 2] - a[:, 2]) - (b[:, 2] - a[:, 2]) * (c[:, 0] - a[:, 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            in_b = ((x - a[:, 0]) * (c[:, 2] - a[:, 2]) - (z - a[:, 2]) * (c[:, 0] - a[:, 0])) / area
            in_c = ((b[:, 0] - a[:, 0]) * (z - a[:, 2]) - (b[:, 2] - a[:, 2]) * (x - a[:, 0])) / area
        in_a = 1 - in_b - in_c
        met = (in_a >= 0) & (in_b >= 0) & (in_c >= 0)
        met &= in_a * a[:, 1] + in_b * b[:, 1] + in_c * c[:, 1] < y - slack
        hidden.append(met.any())
    return np.array(hidden)


@pytest.mark.parametrize("place", range(4))
def test_what_is_seen_is_what_rays_to_the_camera_leave(placed, topology, place):
    body, size = placed[place].body, (1024, 512)
    points = placed[place].places(body.vertices, 0, size)
    view = view_matrix(0, body.elevation)
    facing = -vertex_normals(body.vertices, body.faces) @ view[1]
    weights = seen_weights(points, facing, nearest_triangles(points, body.faces, *size)[1], 0, np.float32(0.04))
    np.testing.assert_array_equal(weights[facing <= 0.1], 0)
    chosen = np.random.default_rng(place).choice(np.flatnonzero(facing > 0.2), 300, replace=False)
    hidden = _hidden_by_rays(body.vertices @ view.T, body.faces, chosen, 0.04)
    assert 0.02 < hidden.mean() < 0.6
    assert np.mean((weights[chosen] == 0) == hidden) > 0.985  # a pixel of 1.7 mm decides for all of itself
    open_ones = weights[chosen][~hidden & (weights[chosen] > 0)]
    np.testing.assert_allclose(open_ones, np.clip((facing[chosen] - 0.1) / 0.4, 0, 1)[~hidden & (weights[chosen] > 0)])


def test_an_edge_that_hides_reaches_as_far_as_told_and_outside_nothing_is_seen():
    depth = np.full((5, 9), 2.0, dtype=np.float32)
    depth[:, :3] = 1.0
    points = np.array([[column + 0.5, 2.5, 2.0] for column in range(-1, 10)], dtype=np.float32)
    seen = seen_weights(points, np.ones(11, dtype=np.float32), depth, 2, np.float32(0.04)) > 0
    assert seen.tolist() == [False] * 6 + [True] * 4 + [False]
    nothing = np.full_like(points, np.nan)
    assert not seen_weights(nothing, np.ones(11, dtype=np.float32), depth, 2, np.float32(0.04)).any()


def test_colours_are_read_bilinearly_and_the_border_goes_on():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    places = random.uniform(-3, 9, (200, 2)).astype(np.float32)
    wanted = random.random(200) < 0.7
    found = sample(picture, places, wanted)
    for channel in range(3):
        expected = map_coordinates(picture[..., channel].astype(float), places.T[::-1] - 0.5, order=1, mode="nearest")
        np.testing.assert_allclose(found[wanted, channel], expected[wanted], atol=1e-3)
    np.testing.assert_array_equal(found[~wanted], 0)


def test_sums_and_blends_are_those_of_loops():
    random = np.random.default_rng(0)
    patch, mirror = random.integers(0, 4, 20).astype(np.int32), np.arange(20, dtype=np.int32)[::-1].copy()
    own, filling = (random.uniform(0, 255, size).astype(np.float32) for size in ((20, 3), (4, 3)))
    seen = np.where(random.random(20) < 0.5, random.random(20), 0).astype(np.float32)
    kept = seen * random.integers(0, 2, 20).astype(np.float32)
    sums = patch_sums(patch, seen, own, 4)
    for each in range(4):
        mine = patch == each
        np.testing.assert_allclose(sums[each, 0], seen[mine].sum(), rtol=1e-5)
        np.testing.assert_allclose(sums[each, 1:], (seen[mine, None] * own[mine]).sum(axis=0), rtol=1e-5)
    colours, shares = blend(own, kept, seen, mirror, filling, patch)
    for vertex in range(20):
        other = (1 - kept[vertex]) * seen[mirror[vertex]]
        rest = 1 - kept[vertex] - other
        np.testing.assert_allclose(shares[vertex], [rest, other, kept[vertex]], atol=1e-6)
        mixed = kept[vertex] * own[vertex] + other * own[mirror[vertex]] + rest * filling[patch[vertex]]
        np.testing.assert_allclose(colours[vertex], mixed, rtol=1e-5)


def test_a_pixel_is_the_mean_of_its_quarters_and_is_called_by_the_largest_share():
    # one triangle over the left half of a picture of 1 x 2 pixels
    points = np.array([[-9, -9, 1], [2, -9, 1], [2, 30, 1], [-9, 30, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], dtype=np.int32)
    shown, _ = nearest_triangles(points, faces, 2, 4)
    colours = np.tile(np.array([[200, 100, 0]], dtype=np.float32), (4, 1))
    shares = np.tile(np.array([[0.2, 0.5, 0.3]], dtype=np.float32), (4, 1))
    behind = np.full((1, 2, 3), 50, dtype=np.float32)
    view, source = paint(shown, points, faces, colours, shares, behind)
    np.testing.assert_array_equal(view[0], [[200, 100, 0], [50, 50, 50]])
    np.testing.assert_array_equal(source[0], [2, 0])
    shown[:, 1] = -1  # half of the pixel
    view, source = paint(shown, points, faces, colours, shares, behind)
    np.testing.assert_array_equal(view[0, 0], [125, 75, 25])
    assert source[0, 0] == 0  # 2 quarters of background, 1 mirrored


def test_a_mask_grows_by_the_radius():
    mask = np.random.default_rng(0).random((30, 20)) < 0.02
    mask[10:18, 4:12] = True
    for radius in (0.0, 1.0, 1.7, 3.4):
        np.testing.assert_array_equal(grow(mask, radius), np.asarray(distance_transform_edt(~mask)) <= radius)


def test_half_sizes_are_weighted_means_and_whole_pixels_stay():
    random = np.random.default_rng(0)
    colours = random.uniform(0, 255, (5, 6, 3)).astype(np.float32)
    weights = (random.random((5, 6)) < 0.6).astype(np.float32)
    mean, total = halve(colours, weights)
    assert mean.shape == (3, 3, 3)
    block = weights[0:2, 2:4]
    expected = (colours[0:2, 2:4] * block[..., None]).sum((0, 1)) / max(block.sum(), 1)
    np.testing.assert_allclose(mean[0, 1], expected, rtol=1e-5)
    assert total[0, 1] == min(block.sum(), 1)
    filled = colours.copy()
    spread(mean, filled, weights)
    np.testing.assert_array_equal(filled[weights == 1], colours[weights == 1])
    assert not np.isclose(filled[weights == 0], colours[weights == 0]).all()
