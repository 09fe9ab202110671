"""Merged views: a stranger has no say, what is seen stays, no one to merge with is no change, casts are mended."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS
from gcl_core.surface.loops import nearest_triangles, transform
from gcl_core.surface.merging import DONORS, LEAST, MergedViews, Plan, say
from gcl_core.surface.merging_loops import compare, merge
from gcl_core.surface.placement import Placement
from gcl_core.surface.stored import StoredViews
from gcl_core.surface.textures import pack_texture, texture_type
from gcl_core.surface.topology import Topology
from gcl_core.surface.views import carry_views

NOVEL = np.array(YAWS[1:])
LIGHT, DARK, BLACK, WHITE = (np.array(rgb) for rgb in ([190, 110, 60], [60, 90, 160], [10] * 3, [250] * 3))


def _merging(
    pictures: Sequence[np.ndarray], placed: Sequence[Placement], topology: Topology, there: np.ndarray | None = None
) -> MergedViews:
    kind = texture_type(topology)
    views = np.stack([carry_views(*each, topology).views for each in zip(pictures, placed, strict=True)])
    packed = np.stack([pack_texture(*each, topology) for each in zip(pictures, placed, strict=True)])
    every = np.ones(len(views), dtype=bool)
    return MergedViews(StoredViews(views, every), packed.view(kind)[:, 0], every if there is None else there, topology)


def _coats(rest: Body, front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return vertex colours: one at the front of the body, another at its back."""
    return np.where(rest.vertices[:, 1:2] < 0, front, back).astype(np.float32)


def _plan(merged: MergedViews, labels: Sequence[int], features: torch.Tensor | None = None) -> Plan:
    same = torch.ones(len(labels), 1)
    return merged.plan(torch.tensor(labels), same if features is None else features)


def _views(merged: MergedViews, row: int, plan: Plan) -> np.ndarray:
    return merged.at(np.full(len(NOVEL), row), NOVEL, plan)


@pytest.fixture(scope="module")
def front_and_back(placed, topology, painted, rest) -> MergedViews:
    """One coat, light in front and dark behind: from the front, the back and the side."""
    coat = _coats(rest, LIGHT, DARK)
    return _merging([painted(each, coat) for each in placed[:3]], placed[:3], topology)


def test_a_picture_without_companions_has_its_own_views(front_and_back):
    for labels in ([0, 1, 2], [-1, -1, -1], [0, -1, 0]):
        plan = _plan(front_and_back, labels)
        assert (plan.donors[1] == -1).all()
        assert (plan.weights[1] == 0).all()
        np.testing.assert_array_equal(_views(front_and_back, 1, plan), front_and_back.stored.views[1])


def test_what_others_see_is_seen_from_behind(front_and_back, placed, painted, rest):
    plan = _plan(front_and_back, [0, 0, 0])
    assert set(plan.donors[0].tolist()) == {1, 2, -1}
    true = painted(placed[0], _coats(rest, LIGHT, DARK), yaw=180).astype(float)
    alone, merged = front_and_back.stored.views[0, 3].astype(float), _views(front_and_back, 0, plan)[3].astype(float)
    body = binary_erosion((true != 40).any(axis=2))
    before, after = (np.abs(each - true)[body].mean() for each in (alone, merged))
    assert before > 60  # the light front stands for the dark back
    assert after < 0.4 * before


def test_what_a_picture_sees_itself_stays_to_the_byte(front_and_back, topology):
    plan = _plan(front_and_back, [0, 0, 0])
    texture, changed = front_and_back._textures[0], 0
    for turn, view in enumerate(_views(front_and_back, 0, plan)):
        points = transform(texture["points"], texture["cameras"][turn, :3], texture["cameras"][turn, 3])
        shown, _ = nearest_triangles(points, topology.faces, 128, 64)
        certain = (texture["seen"][topology.faces] == 255).all(axis=1)
        own = (np.where(shown < 0, True, certain[shown]).reshape(64, 2, 32, 2)).all(axis=(1, 3))
        before = front_and_back.stored.views[0, turn]
        np.testing.assert_array_equal(view[own], before[own])
        changed += (view[~own] != before[~own]).sum()
        assert own.sum() > 300
    assert changed > 500


def test_a_stranger_in_the_cluster_has_no_say(front_and_back, placed, topology, painted, rest):
    coat, other = _coats(rest, LIGHT, DARK), _coats(rest, BLACK, WHITE)
    pictures = [*(painted(each, coat) for each in placed[:3]), painted(placed[2], other)]
    merged = _merging(pictures, [*placed[:3], placed[2]], topology)
    plan, alone = _plan(merged, [0, 0, 0, 0]), _plan(merged, [0, 0, 0, -1])
    assert 3 not in plan.donors[2].tolist()
    assert (plan.donors[3] == -1).all()
    np.testing.assert_array_equal(_views(merged, 2, plan), _views(merged, 2, alone))


def test_a_far_feature_has_no_say(front_and_back):
    features = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [-0.5, 1]]), dim=1)
    plan = _plan(front_and_back, [0, 0, 0], features)
    assert plan.donors[0].tolist()[:2] == [1, -1]
    assert plan.donors[2].tolist()[0] == -1


def test_say_falls_with_colours_and_with_features():
    levels = np.linspace(0, 80, 9, dtype=np.float32)
    alike = say(levels, np.ones(9, dtype=np.float32))
    assert (np.diff(alike) <= 0).all()
    assert alike[0] > 0.99
    assert alike[-1] < LEAST
    apart = say(levels, np.full(9, 0.5, dtype=np.float32))
    assert (apart <= alike).all()
    assert apart[0] > 0.9
    with np.errstate(all="raise"):
        assert say(np.full(1, 2000, dtype=np.float32), np.ones(1, dtype=np.float32)) == 0


def test_a_colour_cast_is_corrected(placed, topology, painted, rest):
    coat = _coats(rest, LIGHT, DARK)
    cast = np.array([1.2, 0.9, 0.8])
    front, side = painted(placed[0], coat), painted(placed[3], coat)
    tinted = np.clip(np.rint(side * cast), 0, 255).astype(np.uint8)
    plain, under_cast = (_merging([front, each], [placed[0], placed[3]], topology) for each in (side, tinted))
    one, two = (_plan(each, [0, 0]) for each in (plain, under_cast))
    np.testing.assert_allclose(one.gains[0, 0], 1, atol=0.08)
    wanted = 1 / cast  # part of the way: a little grey is taken to be shared before
    assert ((np.abs(two.gains[0, 0].numpy() * cast - 1)) < 0.6 * np.abs(wanted - 1)).all()
    blind = two._replace(gains=torch.ones_like(two.gains))
    true = painted(placed[0], coat, yaw=90).astype(float)
    body = binary_erosion((true != 40).any(axis=2))
    corrected, uncorrected = (
        np.abs(_views(under_cast, 0, each)[1].astype(float) - _views(plain, 0, one)[1])[body].mean()
        for each in (two, blind)
    )
    assert corrected < 0.7 * uncorrected


def test_the_same_inputs_give_the_same_bytes(front_and_back):
    features = torch.nn.functional.normalize(torch.rand(3, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    one, two = (_plan(front_and_back, [0, 0, 0], features) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    np.testing.assert_array_equal(_views(front_and_back, 1, one), _views(front_and_back, 1, two))
    mixed = front_and_back.at(np.array([2, 1, 1]), np.array([90, 315, 45]), one)
    np.testing.assert_array_equal(mixed[1:], _views(front_and_back, 1, one)[[6, 0]])


def test_pictures_without_a_body_take_and_give_nothing(placed, topology, painted, rest):
    pictures = [painted(each, _coats(rest, LIGHT, DARK)) for each in placed[:3]]
    merged = _merging(pictures, placed[:3], topology, there=np.array([True, False, True]))
    plan = _plan(merged, [0, 0, 0])
    assert (plan.donors[1] == -1).all()
    assert plan.donors[0].tolist()[:2] == [2, -1]


def test_a_body_that_is_hidden_or_no_number_has_no_texture(placed, topology):
    outside = replace(placed[0], frame=replace(placed[0].frame, column=9.0))
    with pytest.raises(MeshError, match="nothing of the body is seen"):
        pack_texture(np.zeros((64, 32, 3), dtype=np.uint8), outside, topology)
    body = placed[0].body
    with pytest.raises(MeshError, match="not finite"):
        replace(placed[0], body=replace(body, vertices=np.full_like(body.vertices, np.nan)))


def test_of_many_companions_the_nearest_are_taken(placed, topology, painted, rest):
    picture = painted(placed[0], _coats(rest, LIGHT, DARK))
    one = _merging([picture], placed[:1], topology)
    count = DONORS + 4
    every = np.ones(count, dtype=bool)
    stored = StoredViews(np.repeat(one.stored.views, count, axis=0), every)
    merged = MergedViews(stored, np.repeat(one._textures, count), every, topology)
    angles = torch.linspace(0, 0.3, count)
    plan = _plan(merged, [0] * count, torch.stack([angles.cos(), angles.sin()], dim=1))
    assert plan.donors[0].tolist() == list(range(1, DONORS + 1))


def test_comparing_and_merging_are_what_their_sums_say():
    random = np.random.default_rng(0)
    own, others = (random.uniform(0, 1, shape).astype(np.float32) for shape in ((5, 4), (2, 5, 4)))
    own[0], others[1, 3] = 0, 0
    own[:, 1:], others[..., 1:] = 100 * own[:, 1:], 100 * others[..., 1:]
    gains, levels = compare(own, others, np.float32(0.1), np.float32(120), np.float32(1.7))
    for each in range(2):
        shared = [patch for patch in range(5) if own[patch, 0] > 0 and others[each, patch, 0] > 0]
        weight = np.array([min(own[patch, 0], others[each, patch, 0]) for patch in shared])
        mine, theirs = (np.array([a[patch, 1:] / a[patch, 0] for patch in shared]) for a in (own, others[each]))
        gain = np.clip((12 + weight @ mine) / (12 + weight @ theirs), 1 / 1.7, 1.7)
        np.testing.assert_allclose(gains[each], gain, rtol=1e-4)
        assert levels[each] == pytest.approx((weight @ np.abs(mine - gain * theirs)).sum() / 3 / weight.sum(), rel=1e-4)

    guess, colours = (random.integers(0, 256, shape, dtype=np.uint8) for shape in ((4, 3), (2, 4, 3)))
    seen, theirs_seen = np.array([0, 100, 255, 0], np.uint8), np.array([[255, 0, 255, 0], [0, 51, 0, 0]], np.uint8)
    weights, mirror = np.array([1, 0.5], np.float32), np.array([1, 0, 3, 2], np.int32)
    trust = (np.float32(0.3), np.float32(3))
    given = (guess, seen, colours, theirs_seen, weights, gains, mirror, np.array([True, True, True, True]))
    change = merge(*given, trust, np.float32(0.5))
    for vertex in range(4):
        sums, total, twin = np.zeros(3), 0.0, mirror[vertex]
        for each in range(2):
            for place, part in ((vertex, 1.0), (twin, 0.5)):
                share = part * weights[each] * theirs_seen[each, place] / 255
                sums, total = sums + share * gains[each] * colours[each, place], total + share
        own_say = 0.3 + 3 * float(seen[twin]) / 255
        mean = (sums + own_say * guess[vertex]) / (total + own_say)
        expected = (1 - seen[vertex] / 255) * (mean - guess[vertex]) if total else np.zeros(3)
        np.testing.assert_allclose(change[vertex], expected, rtol=1e-4, atol=1e-3)
    assert (change[2] == 0).all()
