"""Facts of a body model: the mirror is exact, patches and rings are the same at both sides, kernels stay where told."""

import numpy as np
import pytest

from gcl_core.mesh.body import AVERAGE, RestBody
from gcl_core.mesh.errors import MeshError
from gcl_core.surface.topology import PARTS, make_topology


def test_the_mirror_is_exact_for_every_shape(topology, bodies):
    for shape in (AVERAGE, AVERAGE | {"height": 0.2, "gender": 0.9, "weight": 0.8}):
        vertices = bodies[1](shape).vertices
        np.testing.assert_allclose(vertices[topology.mirror] * [-1, 1, 1], vertices, atol=3e-6)
    np.testing.assert_array_equal(topology.mirror[topology.mirror], np.arange(len(topology.mirror)))


def test_left_and_right_share_patches_and_no_patch_lies_in_two_parts(topology, skeleton):
    np.testing.assert_array_equal(topology.patch[topology.mirror], topology.patch)
    strongest = np.array(skeleton.bones)[skeleton.weights.toarray().argmax(axis=1)]
    parts = [{name for name, begins in PARTS.items() if str(bone).startswith(begins)} for bone in strongest]
    assert all(len(part) == 1 for part in parts)
    names = np.array([part.pop() for part in parts])
    for patch in range(len(topology.ring)):
        assert len(set(names[topology.patch == patch])) == 1
    assert (np.diff(topology.ring) >= 0).all()


def test_areas_are_those_of_a_grown_persons_skin(topology):
    assert 1.4 < topology.area.sum() < 2.6  # square metres, mouth and eyes counted
    np.testing.assert_allclose(topology.area[topology.mirror], topology.area, rtol=1e-2, atol=1e-6)


def test_near_kernels_stay_within_a_part_and_the_widest_reaches_all(topology, skeleton):
    strongest = np.array(skeleton.bones)[skeleton.weights.toarray().argmax(axis=1)]
    hand = np.unique(topology.patch[[str(bone).startswith(("wrist", "finger", "metacarpal")) for bone in strongest]])
    assert set(np.flatnonzero(topology.near[hand].sum(axis=0))) == set(hand)
    assert (topology.wide[-1] > 0).all()
    np.testing.assert_array_equal(topology.near.diagonal(), 1)
    for kernel in topology.wide:
        np.testing.assert_array_equal(kernel, kernel.T)


def test_a_body_without_mirror_image_is_refused(skeleton, rest):
    bent = rest.vertices.copy()
    bent[bent[:, 0] > 0.3] += 0.01
    with pytest.raises(MeshError, match="no mirror image"):
        make_topology(skeleton, RestBody(bent, rest.heads))
