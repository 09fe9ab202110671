"""Bodies of rounded limbs: closed and turned outwards, mirrored exactly, posed as the free body is."""

import numpy as np
import pytest

from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton
from gcl_core.mesh.capsules import capsule_bodies
from gcl_core.mesh.fitted import pose_body
from gcl_core.mesh.projection import project_body
from gcl_core.mesh.stick_figure import FREE, make_family
from gcl_core.surface.topology import make_topology


@pytest.fixture(scope="module")
def capsules(bodies) -> tuple[Skeleton, RestBody]:
    skeleton, rest_body = capsule_bodies(*bodies)
    return skeleton, rest_body(AVERAGE)


def test_every_part_is_a_surface_that_turns_outwards(capsules):
    skeleton, rest = capsules
    a, b, c = (rest.vertices[skeleton.faces[:, corner]].astype(np.float64) for corner in range(3))
    volumes = np.einsum("ij,ij->i", a - rest.vertices.mean(axis=0), np.cross(b - a, c - a)) / 6
    assert 0.05 < volumes.sum() < 0.11  # cubic metres; parts overlap
    edges = np.concatenate([skeleton.faces[:, [0, 1]], skeleton.faces[:, [1, 2]], skeleton.faces[:, [2, 0]]])
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 1).all()  # each edge is gone along once in a direction: neighbours turn the same way
    moved = {tuple(edge) for edge in edges.tolist()}
    open_ends = [edge for edge in moved if edge[::-1] not in moved]
    assert len(open_ends) < 0.02 * len(edges)  # around the poles
    ends = rest.vertices[np.array(open_ends)]
    assert np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).max() < 1e-3


def test_the_topology_of_the_free_body_is_made_of_it_too(capsules):
    skeleton, rest = capsules
    topology = make_topology(skeleton, rest)
    np.testing.assert_allclose(rest.vertices[topology.mirror] * [-1, 1, 1], rest.vertices, atol=3e-6)
    np.testing.assert_array_equal(topology.patch[topology.mirror], topology.patch)
    assert 1.6 < topology.area.sum() < 2.8
    np.testing.assert_allclose(skeleton.weights.sum(axis=1), 1, atol=1e-6)


def test_it_stands_where_the_free_body_does_in_every_pose_and_is_of_another_shape(bodies):
    free, other = make_family(*bodies), make_family(*capsule_bodies(*bodies))
    assert len(other.average.vertices) != len(free.average.vertices)
    random = np.random.default_rng(0)
    for step in range(3):
        values = {name: angle.mean + 0.7 * step * angle.deviation * random.normal() for name, angle in FREE.items()}
        values |= {"height": 0.3 + 0.2 * step, "gender": 0.5}
        one, two = (pose_body(family, values, 30.0) for family in (free, other))
        assert np.abs(np.ptp(one.vertices[:, 2]) - np.ptp(two.vertices[:, 2])) < 0.08
        for yaw in (0, 90):
            mine, its = (project_body(body, yaw, height=64, width=32) < 240 for body in (one, two))
            assert 0.5 < np.sum(mine & its) / np.sum(mine | its) < 0.97
