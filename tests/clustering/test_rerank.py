"""Re-ranking, radius and labels of a distance matrix against a plain reading of METHOD.md §6.2 with loops."""

import math

import numpy as np
import pytest
import torch

from gcl_core.clustering import blocks
from gcl_core.clustering.rerank import labels_within, radius_of, rerank
from gcl_core.seeding import rng


def blobs(count: int, pictures: int, spread: float) -> np.ndarray:
    """Squared Euclidean distances, float32, of `count` blobs with `pictures` points each."""
    random = rng(0, "test rerank")
    centres = 2 * torch.randn(count, 10, generator=random, dtype=torch.float64)
    noise = torch.randn(count * pictures, 10, generator=random, dtype=torch.float64)
    points = (centres.repeat_interleave(pictures, 0) + spread * noise).numpy()
    return (((points[:, None] - points[None]) ** 2).sum(axis=2)).astype(np.float32)


def lopsided(n: int) -> np.ndarray:
    """Distances that are not symmetric, with many ties and no zero on the diagonal: what a joint distance may be."""
    values = torch.randint(3, 12, (n, n), generator=rng(1, "test rerank")).numpy() / 16
    return values.astype(np.float32)


def plain_rerank(distances: np.ndarray, k1: int, k2: int, share: float) -> np.ndarray:
    n = len(distances)
    original = np.zeros((n, n))
    for i in range(n):
        row = [float(distances[i, j]) for j in range(n)]
        low, high = min(row), max(row)
        for j in range(n):
            original[i, j] = (row[j] - low) / (high - low) if high > low else 0
    ranking = []
    for i in range(n):
        ranking.append(
            [i, *sorted((j for j in range(n) if j != i), key=lambda j, i=i: (np.float32(original[i, j]), j))]
        )

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranking[i][: k + 1] if i in ranking[j][: k + 1]}

    weights = np.zeros((n, n))
    for i in range(n):
        full = reciprocal(i, k1)
        expanded = set(full)
        for candidate in full:
            near = reciprocal(candidate, round(k1 / 2))
            if len(near & full) > 2 / 3 * len(near):
                expanded |= near
        for j in expanded:
            weights[i, j] = math.exp(-original[i, j])
        weights[i] /= weights[i].sum()
    encoding = np.array([np.mean([weights[j] for j in ranking[i][:k2]], axis=0) for i in range(n)])
    answer = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            overlap = sum(min(a, b) for a, b in zip(encoding[i], encoding[j], strict=True))
            answer[i, j] = (1 - share) * (1 - overlap / (2 - overlap)) + share * original[i, j] if i != j else 0
    return answer


@pytest.mark.parametrize(("k1", "k2", "share"), [(20, 6, 0.3), (7, 3, 0.5), (5, 1, 0.0), (60, 50, 0.3)])
@pytest.mark.parametrize("distances", [blobs(5, 8, 0.8), lopsided(40)], ids=["blobs", "lopsided"])
def test_equals_loops(distances: np.ndarray, k1: int, k2: int, share: float):
    found = distances.copy()
    rerank(found, k1=k1, k2=k2, original_share=share)
    assert np.abs(found - plain_rerank(distances, k1, k2, share)).max() < 2e-6


def test_a_ranking_is_that_of_the_distances_also_where_one_picture_is_far_from_all():
    """Scaled by the range of each OTHER picture, far ones would look near."""
    distances = blobs(3, 4, 0.2)
    distances[-1] *= 50
    distances[:, -1] *= 50
    near = np.argsort(distances, axis=1, kind="stable")[:, :5]
    rerank(distances, k1=4, k2=1, original_share=1)
    assert np.array_equal(np.argsort(distances, axis=1, kind="stable")[:, :5], near)


def test_small_blocks_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch):
    whole, pieces = blobs(6, 7, 1.0), blobs(6, 7, 1.0)
    rerank(whole, k1=8, k2=3, original_share=0.3)
    expected = radius_of(whole, rho=0.1), labels_within(whole, eps=0.6, min_samples=2)
    monkeypatch.setattr(blocks, "BLOCK", 100)
    rerank(pieces, k1=8, k2=3, original_share=0.3)
    assert np.array_equal(whole, pieces)
    assert radius_of(pieces, rho=0.1) == expected[0]
    assert np.array_equal(labels_within(pieces, eps=0.6, min_samples=2), expected[1])


def test_separated_blobs_are_the_clusters():
    distances = blobs(5, 8, 0.2)
    rerank(distances, k1=10, k2=4, original_share=0.3)
    eps = radius_of(distances, rho=0.25)  # 195 of 780 pairs; 140 lie within blobs
    assert labels_within(distances, eps=eps, min_samples=1).tolist() == [blob for blob in range(5) for _ in range(8)]


@pytest.mark.parametrize("count", [1, 2, 21])
def test_nothing_but_duplicates_is_one_cluster(count: int):
    distances = np.zeros((count, count), np.float32)
    rerank(distances, k1=20, k2=6, original_share=0.3)
    assert not distances.any()
    eps = 0.8 * radius_of(distances, rho=0.01)
    assert labels_within(distances, eps=eps, min_samples=1).tolist() == [0] * count


def test_more_duplicates_than_neighbours_are_finite():
    """Ties go by index, so rankings of equal pictures differ; labels are arbitrary then, but there are some."""
    distances = np.zeros((60, 60), np.float32)
    rerank(distances, k1=20, k2=6, original_share=0.3)
    assert np.isfinite(distances).all()
    assert labels_within(distances, eps=radius_of(distances, rho=0.01), min_samples=1).min() == 0


def test_duplicates_within_rounding_are_at_zero():
    distances = blobs(4, 3, 0.2).repeat(2, axis=0).repeat(2, axis=1)
    even = np.arange(0, 24, 2)
    distances[even, even + 1] = distances[even + 1, even] = 1e-6
    rerank(distances, k1=5, k2=1, original_share=0.3)
    assert not distances[even, even + 1].any()


def test_radius_is_the_mean_of_the_smallest_share_above_the_diagonal_without_zeros():
    distances = np.array([[0, 0, 0.5, 0.1], [9, 0, 0.2, 0.4], [9, 9, 0, 0.3], [9, 9, 9, 0]], np.float32)
    assert radius_of(distances, rho=0.6) == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert radius_of(distances, rho=0.001) == pytest.approx(0.1)
    assert radius_of(np.zeros((3, 3), np.float32), rho=0.5) == 1e-6


def test_labels_follow_rows_and_the_radius_is_inclusive():
    distances = np.ones((5, 5), np.float32)
    distances[0, 3] = distances[3, 1] = np.float32(0.1)  # seen from one side only, and a diagonal that is not 0
    labels = labels_within(distances, eps=float(np.float32(0.1)), min_samples=1)
    assert labels.tolist() == [0, 0, 1, 0, 2]
    assert labels_within(distances, eps=0.05, min_samples=1).tolist() == [0, 1, 2, 3, 4]
    assert labels_within(distances, eps=0.05, min_samples=2).tolist() == [-1] * 5


def test_distances_that_are_not_finite_are_refused():
    distances = blobs(2, 3, 1.0)
    distances[:, 4] = distances[4] = np.nan
    with pytest.raises(ValueError, match=r"picture 4 are not finite \(1 such"):
        rerank(distances, k1=3, k2=2, original_share=0.3)
