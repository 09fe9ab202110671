"""mAP and CMC: hand-made galleries, scikit-learn's average precision, released values."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

from gcl_core.evaluation import ranking
from gcl_core.evaluation.ranking import NoMatchError, RankingResult, evaluate_ranking, rank_distances
from gcl_core.seeding import numpy_rng, rng


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
    random = numpy_rng(0, "test ranking")
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


def plain_ranking(distances: np.ndarray, right: np.ndarray) -> tuple[float, int]:
    """Average precision and first match of one query, by walking down the ranks; equal distances are one step."""
    order = sorted(range(len(distances)), key=lambda picture: distances[picture])
    found, since_step, total, first = 0, 0, 0.0, 0
    for rank, picture in enumerate(order, start=1):
        if right[picture]:
            found, since_step, first = found + 1, since_step + 1, first or rank
        if rank == len(order) or distances[order[rank]] != distances[picture]:
            total, since_step = total + since_step * found / rank, 0
    return (total / found, first) if found else (np.nan, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("levels", [7, 300, 1 << 40])
def test_equals_a_loop_down_the_ranks_for_any_type_ties_and_order_in_memory(dtype: type, levels: int) -> None:
    queries, gallery = 150, 220  # more than a thread ranks at a time
    random = numpy_rng(levels, "test ranking loop")
    distances = (random.integers(0, levels, (queries, gallery)) / levels).astype(dtype)
    distances[random.random(distances.shape) < 0.02] = np.inf
    query_pids, gallery_pids = random.integers(1, 25, queries), random.integers(-1, 20, gallery)
    query_camids, gallery_camids = random.integers(0, 6, queries), random.integers(0, 6, gallery)
    expected = []
    for query in range(queries):
        own = (gallery_pids == query_pids[query]) & (gallery_camids == query_camids[query])
        keep = (gallery_pids != ranking.JUNK) & ~own
        expected.append(plain_ranking(distances[query, keep], (gallery_pids == query_pids[query])[keep]))
    precision, first = np.array(expected).T
    ids = [values.astype(np.int32) for values in (query_pids, gallery_pids, query_camids, gallery_camids)]
    for same in (distances, np.asfortranarray(distances)):
        result = rank_distances(same, *ids, topk=range(1, gallery + 1))
        assert np.allclose(result.average_precision, precision, rtol=1e-12, equal_nan=True)
        assert np.array_equal(result.first_match, first)
        assert result.map == pytest.approx(np.nanmean(precision), rel=1e-12)
        cmc = np.array([np.mean([place <= k for place in first if place]) for k in range(1, gallery + 1)])
        assert np.allclose(list(result.cmc.values()), cmc, rtol=1e-12)
        assert result.skipped == (first == 0).sum() > 0


def test_float64_distances_that_float32_cannot_tell_apart_are_no_tie() -> None:
    result = rank([[0.5 + 1e-12, 0.5]], [(1, 1)], [(2, 2), (1, 2)])
    assert result.first_match.tolist() == [1]
    assert result.map == 1


def test_features_equal_squared_euclidean_distances_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *ids = random_case(25, 80)
    random = rng(0, "test ranking features")
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
    with pytest.raises(NoMatchError, match="none of 2 queries has a match"):
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


def test_the_first_of_many_nan_distances_is_named_wherever_its_thread_began() -> None:
    distances = np.zeros((300, 5), np.float32)
    distances[201:, 2:] = np.nan
    pids, camids = np.ones(300, np.int64), np.zeros(300, np.int64)
    with pytest.raises(ValueError, match="query 201 to gallery picture 2 is NaN"):
        rank_distances(distances, pids, np.ones(5, np.int64), camids, np.ones(5, np.int64))


@pytest.mark.parametrize("short", range(4))
def test_ids_that_do_not_fit_the_distances_are_refused(short: int) -> None:
    unchecked = inspect.unwrap(rank_distances)  # as it is outside tests, where nothing else checks shapes
    ids = [np.ones(size, np.int64) for size in (4, 5, 4, 5)]
    ids[short] = ids[short][:-1]
    with pytest.raises(ValueError, match="4 queries against 5 gallery pictures, but pids of"):
        unchecked(np.zeros((4, 5)), *ids)


def test_golden_map_and_cmc(shared: Path) -> None:
    golden = np.load(shared / "reference" / "golden_released.npz")
    names = ("distance", "query_ids", "gallery_ids", "query_cams", "gallery_cams")
    result = rank_distances(*(golden[f"eval.in.{name}"] for name in names), topk=range(1, 51))
    assert result.map == pytest.approx(float(golden["eval.out.mAP"]), abs=1e-6)
    assert np.allclose(list(result.cmc.values()), golden["eval.out.cmc"], atol=1e-6)
