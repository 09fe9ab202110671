"""Re-ranking of a gallery against a plain dense reading with loops, and cases made by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.evaluation import ranking
from gcl_core.evaluation.gallery_reranking import rerank_gallery
from gcl_core.evaluation.ranking import evaluate_ranking, rank_distances
from gcl_core.seeding import rng


def people(count: int, pictures: int, spread: float, *, size: int = 12) -> Tensor:
    """Unit features of `count` people with `pictures` pictures each, in float64, people taking turns."""
    random = rng(0, "test re-ranking")
    centres = normalize(torch.randn(count, size, generator=random, dtype=torch.float64))
    noise = torch.randn(count * pictures, size, generator=random, dtype=torch.float64) / math.sqrt(size)
    return normalize(centres.repeat(pictures, 1) + spread * noise)


def plain_reranking(query: Tensor, gallery: Tensor, k1: int, k2: int, share: float) -> np.ndarray:
    x = torch.cat([query, gallery]).double().numpy()
    n, q = len(x), len(query)
    squared = [[sum((a - b) ** 2 for a, b in zip(x[i], x[j], strict=True)) for j in range(n)] for i in range(n)]
    order = [sorted(range(n), key=lambda j, i=i: (j != i, round(squared[i][j], 12), j)) for i in range(n)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoding = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for candidate in near:
            core = reciprocal(candidate, round(k1 / 2))
            if len(core & near) > 2 / 3 * len(core):
                expanded |= core
        total = sum(math.exp(-squared[i][j]) for j in expanded)
        for j in expanded:
            encoding[i, j] = math.exp(-squared[i][j]) / total
    encoding = np.array([sum(encoding[j] for j in order[i][:k2]) / min(k2, n) for i in range(n)])
    result = np.empty((q, n - q))
    for i in range(q):
        largest = max(squared[i][q:])
        for j in range(q, n):
            overlap = sum(min(a, b) for a, b in zip(encoding[i], encoding[j], strict=True))
            result[i, j - q] = (1 - share) * (1 - overlap / (2 - overlap)) + share * squared[i][j] / largest
    return result


@pytest.mark.parametrize(("k1", "k2", "share"), [(20, 6, 0.3), (9, 3, 0.0), (4, 1, 0.8), (6, 2, 1), (90, 6, 0.3)])
@pytest.mark.parametrize("spread", [0.4, 1.2])
def test_equals_loops(k1: int, k2: int, share: float, spread: float) -> None:
    features = people(9, 8, spread)
    query, gallery = features[:17], features[17:]
    expected = plain_reranking(query, gallery, k1, k2, share)
    for dtype in (torch.float32, torch.float64):
        distances = rerank_gallery(query.to(dtype), gallery.to(dtype), k1=k1, k2=k2, original_share=share)
        assert np.allclose(distances, expected, atol=1e-5)


def test_equals_loops_with_duplicates() -> None:
    features = (people(5, 6, 0.7) * 2**20).round() / 2**20  # products are exact: copies tie on every processor
    query, gallery = features[:8], torch.cat([features[8:], features[3:12], features[20:22]])
    expected = plain_reranking(query, gallery, 6, 3, 0.3)
    distances = rerank_gallery(query, gallery, k1=6, k2=3)
    assert np.allclose(distances, expected, atol=1e-5)
    assert abs(distances[3, 22]) < 1e-6  # the query itself is in the gallery


def test_equal_pictures_are_at_distance_zero_of_a_zero_range() -> None:
    feature = people(1, 1, 0.0).float()
    assert np.abs(rerank_gallery(feature.repeat(3, 1), feature.repeat(15, 1))).max() < 1e-6


def ids(query: int, gallery: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    pids = 1 + np.arange(query + gallery) % count
    return pids[:query], pids[query:], np.zeros(query, np.int64), np.ones(gallery, np.int64)


@pytest.mark.parametrize("block", [1 << 24, 200])
def test_the_original_distance_alone_ranks_as_without(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK", block)
    features = people(9, 8, 1.3).float()
    query, gallery, whose = features[:18], features[18:], ids(18, 54, 9)
    plain = evaluate_ranking(query, gallery, *whose)
    original = rank_distances(rerank_gallery(query, gallery, original_share=1), *whose)
    mixed = rank_distances(rerank_gallery(query, gallery, k1=8, k2=3), *whose)
    assert np.array_equal(original.average_precision, plain.average_precision)
    assert original.cmc == plain.cmc
    assert plain.map < 1
    assert mixed.map > plain.map


def test_a_stranger_nearer_than_the_right_picture_falls_behind_it() -> None:
    """On a circle: the query's person is an arc of pictures, the stranger lies nearer but among its own like."""
    degrees = torch.tensor([0.0, 10, 4, 7, -9, -12, -13, -14, -15], dtype=torch.float64).deg2rad()
    features = torch.stack([degrees.cos(), degrees.sin()], dim=1)
    query, gallery = features[:1], features[1:]
    whose = (np.array([1]), np.array([1, 1, 1, 2, 2, 2, 2, 2]), np.array([1]), np.array([2, 1, 1, 2, 2, 2, 2, 2]))
    assert evaluate_ranking(query, gallery, *whose).first_match.tolist() == [2]
    distances = rerank_gallery(query, gallery, k1=3, k2=1)
    assert rank_distances(distances, *whose).first_match.tolist() == [1]


def test_values_are_shares_of_the_largest_distance() -> None:
    features = people(6, 6, 1.0).float()
    original = rerank_gallery(features[:6], features[6:], original_share=1)
    assert np.allclose(original.max(axis=1), 1)
    mixed = rerank_gallery(features[:6], features[6:], k1=5, k2=2, original_share=0.3)
    jaccard = rerank_gallery(features[:6], features[6:], k1=5, k2=2, original_share=0)
    assert np.allclose(mixed, 0.7 * jaccard + 0.3 * original, atol=1e-6)
    assert jaccard.max() == 1


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_outside_the_unit_range_is_refused(share: float) -> None:
    features = people(2, 4, 0.5)
    with pytest.raises(ValueError, match="original_share is"):
        rerank_gallery(features[:2], features[2:], original_share=share)


def test_a_bad_gallery_row_is_counted_after_the_queries() -> None:
    features = people(2, 6, 0.5)
    features[7] = math.nan
    with pytest.raises(ValueError, match="row 7 has length nan"):
        rerank_gallery(features[:4], features[4:])
