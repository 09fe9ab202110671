"""The temporal model and the joint distance against loops (METHOD.md §6.2)."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from gcl_core.clustering import blocks
from gcl_core.seeding import numpy_rng
from gcl_core.training.baselines.jvtc.capture import SLOT_GAP, Captures
from gcl_core.training.baselines.jvtc.temporal import joint_distances, learn_gaps

INTERVAL, BINS, SIGMA = 100, 40, 2.0


def walk(count: int, clusters: int, *, longest: int = 6000, purpose: str = "train") -> tuple[np.ndarray, Captures]:
    """Random pictures: labels from -1, cameras 2, 3, 5, 9."""
    random = numpy_rng(0, f"test walk {purpose}")
    labels = random.integers(-1, clusters, count)
    camids = random.choice([2, 3, 5, 9], count)
    frames = random.integers(0, longest, count)
    return labels, Captures(camids.astype(np.int64), frames.astype(np.int64), np.full(count, ""))


def plain_model(labels: np.ndarray, captures: Captures) -> dict[tuple[int, int], list[float]]:
    """Histograms by (later camid, earlier camid)."""
    counts: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0] * BINS)
    for label in sorted({int(label) for label in labels if label >= 0}):
        frames = defaultdict(list)
        for own, camid, frame in zip(labels, captures.camids, captures.frames, strict=True):
            if own == label:
                frames[int(camid)].append(int(frame))
        means = {camid: sum(values) / len(values) for camid, values in frames.items()}
        for one in means:
            for other in means:
                place = int((means[one] - means[other]) // INTERVAL)
                later = means[one] > means[other] or (means[one] == means[other] and one > other)
                if later and place < BINS:
                    counts[one, other][place] += 1
        for camid, values in frames.items():
            for frame in values if len(values) > 1 else []:
                place = (frame - min(values)) // INTERVAL
                if place < BINS:
                    counts[camid, camid][place] += len(values)
    reach = 3 * SIGMA
    smooth = {}
    for pair, histogram in counts.items():
        values = [
            sum(
                histogram[j] * math.exp(-((i - j) ** 2) / (2 * SIGMA**2)) / (SIGMA * math.sqrt(2 * math.pi))
                for j in range(BINS)
                if abs(i - j) <= reach
            )
            for i in range(BINS)
        ]
        smooth[pair] = [value / (sum(values) + 1e-7) for value in values]
    return smooth


def plain_chance(model: dict[tuple[int, int], list[float]], one: tuple[int, int], other: tuple[int, int]) -> float:
    (later, late), (earlier, early) = (one, other) if (one[1], one[0]) >= (other[1], other[0]) else (other, one)
    place = (late - early) // INTERVAL
    return model[later, earlier][place] if place < BINS and (later, earlier) in model else 0.0


@pytest.mark.parametrize(("count", "clusters"), [(90, 12), (25, 20), (40, 1)])
def test_equals_loops(count: int, clusters: int):
    labels, captures = walk(count, clusters)
    _, asked = walk(30, 1, purpose="test")
    model = learn_gaps(labels, captures, interval=INTERVAL, bins=BINS, smoothing=SIGMA)
    plain = plain_model(labels, captures)
    expected = [
        [
            plain_chance(plain, (int(a), int(s)), (int(b), int(t)))
            for b, t in zip(captures.camids, captures.frames, strict=True)
        ]
        for a, s in zip(asked.camids, asked.frames, strict=True)
    ]
    assert np.abs(model.chances(asked, captures) - expected).max() < 1e-6  # of the 1e-7 beside sums
    assert np.array_equal(model.chances(captures, captures), model.chances(captures, captures).T)


def test_every_histogram_that_saw_something_sums_to_one():
    labels, captures = walk(60, 3)
    model = learn_gaps(labels, captures, interval=INTERVAL, bins=BINS, smoothing=SIGMA)
    assert model.cameras.tolist() == [2, 3, 5, 9]
    sums = model.chance.sum(axis=2)
    assert np.isclose(np.diag(sums)[:4], 1).all()
    assert not model.chance[4].any()
    assert not model.chance[:, 4].any()
    assert not model.chance[:, :, BINS].any()


def test_a_picture_alone_in_a_cluster_tells_nothing_of_its_camera():
    captures = Captures(np.array([1, 1, 1]), np.array([50, 9000, 9500], dtype=np.int64), np.full(3, ""))
    model = learn_gaps(np.array([0, 1, 1]), captures, interval=100, bins=3000, smoothing=2)
    of_pair = learn_gaps(np.array([-1, 0, 0]), captures, interval=100, bins=3000, smoothing=2)
    assert np.array_equal(model.chance, of_pair.chance)


def test_order_of_cameras_and_time_count():
    """Everybody goes from camera 1 to camera 2 in about 1000 frames, never back."""
    frames = np.array([50, 1050, 7000, 8010], dtype=np.int64)
    captures = Captures(np.array([1, 2, 1, 2]), frames, np.full(4, ""))
    model = learn_gaps(np.array([0, 0, 1, 1]), captures, interval=100, bins=3000, smoothing=2)
    start = Captures(np.array([1]), np.array([20_000]), np.array([""]))
    after = Captures(np.array([2, 2, 2, 3]), np.array([21_000, 19_000, 24_000, 21_000]), np.full(4, ""))
    right, backwards, late, unknown = model.chances(start, after)[0]
    assert right > 0.1
    assert backwards == late == unknown == 0


def test_gaps_across_time_slots_have_no_chance():
    captures = Captures(np.array([1, 2]), np.array([5, 15 + SLOT_GAP]), np.array(["a", "b"]))
    model = learn_gaps(np.array([0, 0]), captures, interval=1, bins=3000, smoothing=50)
    assert model.chances(captures, captures)[0, 1] == 0


def test_without_any_cluster_all_chances_are_zero():
    labels, captures = walk(20, 2)
    model = learn_gaps(np.full_like(labels, -1), captures, interval=INTERVAL, bins=BINS, smoothing=SIGMA)
    assert not model.chances(captures, captures).any()


def test_joint_distance_equals_loops_in_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "BLOCK", 200)
    labels, captures = walk(50, 4)
    _, asked = walk(30, 1, purpose="test")
    model = learn_gaps(labels, captures, interval=INTERVAL, bins=BINS, smoothing=SIGMA)
    random = numpy_rng(0, "test joint")
    left, right = (random.normal(0, 0.4, size=(n, 5)).astype(np.float32) for n in (30, 50))
    found = joint_distances(torch.from_numpy(left), torch.from_numpy(right), asked, captures, model)
    chances = model.chances(asked, captures)
    for i, one in enumerate(left.astype(float)):
        for j, other in enumerate(right.astype(float)):
            s = one @ other
            expected = 1 - 1 / (1 + math.exp(-5 * s)) * 1 / (1 + 2 * math.exp(-5 * chances[i, j]))
            assert found[i, j] == pytest.approx(expected, abs=1e-6)
