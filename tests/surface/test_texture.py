"""Colours read off a picture: what is seen is right, what is not comes from the mirror image or the surroundings."""

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.rasterizer import vertex_normals
from gcl_core.surface.loops import patch_sums
from gcl_core.surface.placement import Placement
from gcl_core.surface.texture import ENOUGH, Texture, read_texture, surroundings
from gcl_core.surface.topology import Topology


def _read(picture: np.ndarray, placement: Placement, topology: Topology) -> Texture:
    body = placement.body
    return read_texture(picture, placement, vertex_normals(body.vertices, body.faces), topology)


def test_seen_colours_are_the_painted_ones(placed, topology, painted):
    for placement in placed:
        colours = np.tile(200 - 60 * placement.body.vertices[:, 2:], (1, 3)).astype(np.float32)  # by height
        texture = _read(painted(placement, colours), placement, topology)
        seen = texture.shares[:, 2] > 0.9
        assert 0.1 < seen.mean() < 0.5
        assert np.median(np.abs(texture.colours - colours)[seen]) < 2
        np.testing.assert_allclose(texture.shares.sum(axis=1), 1, atol=1e-6)
        assert (texture.shares >= 0).all()


def test_a_side_view_shows_the_other_side_by_the_mirror(placed, topology, painted):
    side = placed[2]
    texture = _read(painted(side, np.full((len(topology.patch), 3), 150, dtype=np.float32)), side, topology)
    filled, mirrored, seen = texture.shares.sum(axis=0)
    assert seen > mirrored > 0.5 * seen
    twins = texture.shares[topology.mirror]
    np.testing.assert_allclose(texture.shares[:, 1], (1 - texture.shares[:, 2]) * twins[:, 2], atol=1e-6)
    assert filled > 0


def test_the_surroundings_are_those_of_plain_sums(topology):
    random = np.random.default_rng(0)
    count = len(topology.patch)
    own = random.uniform(0, 255, (count, 3)).astype(np.float32)
    seen = np.where(random.random(count) < 0.02, random.random(count), 0).astype(np.float32)
    found = surroundings(own, seen, topology)
    sums = patch_sums(topology.patch, topology.area * seen, own, len(topology.ring)).astype(np.float64)
    area = np.bincount(topology.patch, topology.area, len(topology.ring))
    for patch in range(0, len(topology.ring), 97):
        ring = topology.ring[patch]
        colour, told, left = np.zeros(3), 0.0, 1.0
        for kernel in topology.wide.astype(np.float64):
            under = kernel[ring][topology.ring]
            share = (under @ sums[:, 0]) / (under @ area)
            say = share / (share + ENOUGH)
            colour += left * say * (under @ sums[:, 1:]) / (under @ sums[:, 0])
            told, left = told + left * say, left * (1 - say)
        under = topology.near.toarray()[patch].astype(np.float64)
        share = (under @ sums[:, 0]) / (under @ area)
        say = share / (share + ENOUGH)
        expected = say * (under @ sums[:, 1:]) / max(under @ sums[:, 0], 1e-30) + (1 - say) * colour / told
        np.testing.assert_allclose(found[patch], expected, rtol=1e-3, atol=0.05)


def test_a_single_seen_patch_colours_everything(topology):
    own = np.full((len(topology.patch), 3), 90, dtype=np.float32)
    seen = (topology.patch == topology.patch[0]).astype(np.float32)
    np.testing.assert_allclose(surroundings(own, seen, topology), 90, rtol=1e-4)


def test_a_picture_that_shows_nothing_of_the_body_has_no_colours(placed, topology):
    away = placed[0]
    for column in (-5.0, 5.0):
        frame = type(away.frame)(away.frame.scale, column, away.frame.row)
        outside = Placement(away.body, frame, away.aspect, away.slack)
        with pytest.raises(MeshError, match="nothing of the body is seen"):
            _read(np.zeros((64, 32, 3), dtype=np.uint8), outside, topology)
