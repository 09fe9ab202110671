"""mAP and CMC: hand-made galleries, scikit-learn's average precision, released values."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

from gcl_core.evaluation import ranking
from gcl_core.evaluation.ranking import RankingResult, evaluate_ranking, rank_distances
from gcl_core.seeding import generator, numpy_generator


def rank(distances: list[list[float]], query: list[tuple[int, int]], gallery: list[tuple[int, int]]) -> RankingResult:
    """Rank with (pid, camid) pairs."""
    (query_pids, query_camids), (gallery_pids, gallery_camids) = np.array(query).T, np.array(gallery).T
    return rank_distances(np.array(distances), query_pids, gallery_pids, query_camids, gallery_camids)


def test_toy_gallery_by_hand() -> None:
    # in order of distance: same pid and camera (dropped), junk (removed), distractor (wrong), right, wrong, right
    gallery = [(5, 1), (-1, 2), (0, 1), (5, 2), (6, 2), (5, 3)]
    result = rank([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], [(5, 1)], gallery)
    assert result.average_precision.tolist() == [pytest.approx((1 / 2 + 2 / 4) / 2)]
    assert result.map == pytest.approx(0.5)
    assert result.first_match.tolist() == [2]
    assert result.cmc == {1: 0.0, 5: 1.0, 10: 1.0}


def test_order_of_the_gallery_does_not_matter_without_ties() -> None:
    gallery = [(5, 3), (6, 2), (-1, 2), (5, 2), (0, 1), (5, 1)]
    assert rank([[0.6, 0.5, 0.2, 0.4, 0.3, 0.1]], [(5, 1)], gallery).map == pytest.approx(0.5)


def test_queries_without_a_match_are_skipped_and_counted() -> None:
    gallery = [(1, 1), (2, 2), (-1, 3)]
    result = rank([[0.1, 0.9, 0.5]] * 4, [(1, 1), (2, 1), (9, 1), (-1, 1)], gallery)
    assert result.skipped == 3
    assert np.isnan(result.average_precision).tolist() == [True, False, True, True]
    assert result.first_match.tolist() == [0, 2, 0, 0]
    assert result.map == pytest.approx(0.5)
    assert result.cmc[1] == 0


def test_other_pids_of_the_same_camera_stay() -> None:
    assert rank([[0.1, 0.2]], [(1, 1)], [(2, 1), (1, 2)]).first_match.tolist() == [2]


def test_ties_are_one_step_for_precision_and_ordered_by_index_for_first_match() -> None:
    gallery = [(2, 2), (1, 2), (3, 2), (1, 3)]
    result = rank([[0.5, 0.5, 0.5, 0.7]], [(1, 1)], gallery)
    assert result.first_match.tolist() == [2]
    assert result.map == pytest.approx((1 / 3 + 2 / 4) / 2)


def random_case(queries: int, gallery: int) -> tuple[np.ndarray, ...]:
    random = numpy_generator(0, "test ranking")
    distances = random.integers(0, 60, (queries, gallery)) / 60  # many ties
    pids = random.integers(-1, 9, gallery)
    return (
        distances,
        random.integers(1, 11, queries),
        pids,
        random.integers(0, 3, queries),
        random.integers(0, 3, gallery),
    )


def test_average_precision_equals_scikit_learn() -> None:
    distances, query_pids, gallery_pids, query_camids, gallery_camids = random_case(25, 80)
    result = rank_distances(distances, query_pids, gallery_pids, query_camids, gallery_camids)
    evaluated = []
    for q in range(25):
        keep = [
            g
            for g in range(80)
            if gallery_pids[g] != -1 and not (gallery_pids[g] == query_pids[q] and gallery_camids[g] == query_camids[q])
        ]
        match = gallery_pids[keep] == query_pids[q]
        if not match.any():
            assert np.isnan(result.average_precision[q])
            continue
        expected = average_precision_score(match, -distances[q, keep])
        assert result.average_precision[q] == pytest.approx(expected)
        order = np.argsort(distances[q, keep], kind="stable")
        assert result.first_match[q] == np.flatnonzero(match[order])[0] + 1
        evaluated.append(expected)
    assert result.map == pytest.approx(np.mean(evaluated))
    assert result.skipped == 25 - len(evaluated) > 0


def test_trapezoid_average_precision_is_market_1501s() -> None:
    """Against Market-1501's own loop over the ranks: each match adds the mean of the precision before it and at it."""
    distances, query_pids, gallery_pids, query_camids, gallery_camids = random_case(30, 80)
    result = rank_distances(
        distances, query_pids, gallery_pids, query_camids, gallery_camids, average_precision="trapezoid"
    )
    step = rank_distances(distances, query_pids, gallery_pids, query_camids, gallery_camids)
    for query in range(30):
        keep = (gallery_pids != ranking.JUNK) & ~(
            (gallery_pids == query_pids[query]) & (gallery_camids == query_camids[query])
        )
        good = gallery_pids[keep][np.argsort(distances[query, keep], kind="stable")] == query_pids[query]
        if not good.any():
            assert np.isnan(result.average_precision[query])
            continue
        area, old_recall, old_precision, found = 0.0, 0.0, 1.0, 0
        for rank, hit in enumerate(good):
            found += hit
            recall, precision = found / good.sum(), found / (rank + 1)
            area += (recall - old_recall) * (old_precision + precision) / 2
            old_recall, old_precision = recall, precision
        assert result.average_precision[query] == pytest.approx(area, rel=1e-12)
    assert result.map != step.map
    assert result.cmc == step.cmc


def test_features_equal_squared_euclidean_distances_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *ids = random_case(25, 80)
    random = generator(0, "test ranking features")
    query = normalize(torch.randn(25, 16, generator=random))
    gallery = normalize(torch.randn(80, 16, generator=random))
    exact = (query.double()[:, None] - gallery.double()[None]).square().sum(-1).numpy()
    expected = rank_distances(exact, *ids)
    for block in (1 << 24, 200):
        monkeypatch.setattr(ranking, "BLOCK", block)
        result = evaluate_ranking(query, gallery, *map(torch.from_numpy, ids))
        assert np.array_equal(result.average_precision, expected.average_precision, equal_nan=True)
        assert (result.map, result.cmc, result.skipped) == (expected.map, expected.cmc, expected.skipped)


def test_no_query_with_a_match() -> None:
    with pytest.raises(ValueError, match="none of 2 queries has a match"):
        rank([[0.1], [0.2]], [(1, 1), (2, 1)], [(1, 1)])


def test_bad_features_and_distances_are_named() -> None:
    ids = (np.ones(4, np.int64), np.ones(5, np.int64), np.zeros(4, np.int64), np.ones(5, np.int64))
    query, gallery = torch.ones(4, 3), torch.ones(5, 3)
    gallery[2, 1] = torch.nan
    with pytest.raises(ValueError, match="gallery feature row 2 is not finite"):
        evaluate_ranking(query, gallery, *ids)
    distances = np.zeros((4, 5))
    distances[3, 1] = np.nan
    with pytest.raises(ValueError, match="query 3 to gallery picture 1 is NaN"):
        rank_distances(distances, *ids)


def test_golden_map_and_cmc(shared: Path) -> None:
    golden = np.load(shared / "reference" / "golden_released.npz")
    names = ("distance", "query_ids", "gallery_ids", "query_cams", "gallery_cams")
    result = rank_distances(*(golden[f"eval.in.{name}"] for name in names), topk=range(1, 51))
    assert result.map == pytest.approx(float(golden["eval.out.mAP"]), abs=1e-6)
    assert np.allclose(list(result.cmc.values()), golden["eval.out.cmc"], atol=1e-6)
