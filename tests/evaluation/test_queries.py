"""Query by query: whom each finds, against hand-made galleries and a full sort."""

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.config import EvaluationSettings, load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation import ranking
from gcl_core.evaluation.accuracy import evaluate_encoder
from gcl_core.evaluation.queries import (
    NOBODY,
    Retrieval,
    query_table,
    rank_again,
    ranked_gallery,
    retrieve,
)
from gcl_core.evaluation.ranking import evaluate_ranking, squared_distances
from gcl_core.models.weights import build_encoder
from gcl_core.seeding import numpy_rng


def lines(ids: list[tuple[int, int]], split: str) -> pd.DataFrame:
    """Return index lines of (pid, camid) pairs, files numbered."""
    rows = [(f"{split}/{place}", *pair) for place, pair in enumerate(ids)]
    return pd.DataFrame(rows, columns=["file", "pid", "camid"])


def made_up(
    query: list[tuple[int, int]], gallery: list[tuple[int, int]], at: np.ndarray, gallery_at: np.ndarray
) -> Retrieval:
    """Return a retrieval of pictures with given (pid, camid) at given points."""
    first, second = torch.tensor(at, dtype=torch.float32), torch.tensor(gallery_at, dtype=torch.float32)
    (pids, camids), (gallery_pids, gallery_camids) = np.array(query).T, np.array(gallery).T
    result = evaluate_ranking(first, second, pids, gallery_pids, camids, gallery_camids)
    return Retrieval(lines(query, "query"), lines(gallery, "gallery"), first, second, result, EvaluationSettings())


@pytest.fixture
def by_hand() -> Retrieval:
    """Person 5 by camera 1 at 0, person 7 whom nobody else saw at 9; a gallery from near to far."""
    gallery = [(5, 1), (-1, 2), (0, 1), (5, 2), (6, 2), (5, 3)]
    return made_up([(5, 1), (7, 1)], gallery, np.array([[0], [9]]), np.arange(1, 7)[:, None])


@pytest.fixture
def random_retrieval() -> Retrieval:
    """20 queries in a gallery of 60, at whole numbers, so that distances are exact and many are equal."""
    random = numpy_rng(0, "test queries")
    query, gallery = (
        list(zip(random.integers(low, high, count).tolist(), random.integers(0, 3, count).tolist(), strict=True))
        for low, high, count in ((1, 9, 20), (-1, 7, 60))
    )
    return made_up(query, gallery, random.integers(0, 3, (20, 2)), random.integers(0, 3, (60, 2)))


def sorted_fully(retrieval: Retrieval, query: int) -> list[int]:
    """Return all gallery lines that count for a query, sorted by distance and, among equals, by index."""
    asked = retrieval.queries.to_dict("records")[query]
    found = []
    for line, other in enumerate(retrieval.gallery.to_dict("records")):
        if other["pid"] != -1 and (other["pid"], other["camid"]) != (asked["pid"], asked["camid"]):
            gap = retrieval.query_features[query] - retrieval.gallery_features[line]
            found.append((float(gap.square().sum()), line))
    return [line for _, line in sorted(found)]


def test_one_line_a_query_by_hand(by_hand: Retrieval):
    first, second = query_table(by_hand).to_dict("records")
    # the query's own camera and junk are passed over, so the distractor is nearest; its person comes second and fourth
    assert (first["file"], first["pid"], first["camid"]) == ("query/0", 5, 1)
    assert first["average_precision"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert (first["first_match"], first["matches"]) == (2, 2)
    assert (first["nearest"], first["nearest_pid"]) == ("gallery/2", 0)
    assert np.isnan(second["average_precision"])
    assert (second["first_match"], second["matches"]) == (0, 0)
    assert (second["nearest"], second["nearest_pid"]) == ("gallery/5", 5)


def test_a_query_for_which_nothing_counts_has_a_blank_nearest():
    retrieval = made_up([(5, 1), (6, 2)], [(6, 2), (6, 2), (5, 2)], np.zeros((2, 1)), np.ones((3, 1)))
    retrieval.gallery.loc[2, ["pid", "camid"]] = [6, 2]  # now query 1 has its own camera alone
    table = query_table(retrieval)
    assert table["nearest"].isna().tolist() == [False, True]
    assert table["nearest_pid"].isna().tolist() == [False, True]


def test_ranked_lists_equal_a_full_sort_with_ties_by_index_in_any_blocks(
    random_retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch
):
    asked = np.array([7, 0, 19, 3, 3])
    for block in (1 << 24, 130):
        monkeypatch.setattr(ranking, "BLOCK", block)
        for k in (1, 5, 80):
            ranked = ranked_gallery(random_retrieval, asked, k)
            for query, row in zip(asked, ranked, strict=True):
                expected = sorted_fully(random_retrieval, int(query))[:k]
                assert row.tolist() == expected + [NOBODY] * (k - len(expected))


def test_table_agrees_with_the_ranking_and_counts_matches_one_by_one(random_retrieval: Retrieval):
    table = query_table(random_retrieval)
    for query, line in enumerate(table.to_dict("records")):
        order = sorted_fully(random_retrieval, query)
        right = [place for place in order if random_retrieval.gallery["pid"][place] == line["pid"]]
        assert line["matches"] == len(right)
        assert line["nearest"] == f"gallery/{order[0]}"
        expected = order.index(min(right, key=order.index)) + 1 if right else 0
        assert line["first_match"] == expected
        assert (line["first_match"] == 1) == (line["nearest_pid"] == line["pid"])
    assert {0, 1, 2} < set(table["first_match"])


def test_other_distances_rank_the_same_queries_anew(random_retrieval: Retrieval):
    (plain,) = squared_distances(random_retrieval.query_features, random_retrieval.gallery_features)
    again = rank_again(random_retrieval, plain)
    assert np.array_equal(again.average_precision, random_retrieval.result.average_precision, equal_nan=True)
    assert rank_again(random_retrieval, -plain).map != again.map


@pytest.mark.parametrize("precision", ["step", "trapezoid"])
def test_retrieval_by_an_encoder_has_the_accuracy_that_evaluation_tells(precision: str):
    random = numpy_rng(0, "test retrieve")
    ids = [(pid, cam, split) for split, cam in (("gallery", 2), ("train", 1), ("query", 1)) for pid in range(6)]
    index = pd.DataFrame(ids, columns=["pid", "camid", "split"]).assign(file=[f"{i}" for i in range(18)], mesh=True)
    pictures = random.integers(0, 256, (18, 64, 32, 3), dtype=np.uint8)
    people = PersonSet(index, pictures, np.ones((18, 8, 64, 32), np.uint8), fingerprint="made up")
    study = load_study("smoke", f"evaluation.average_precision={precision}")
    encoder = build_encoder(study, 0)
    found = retrieve(encoder, people, study.evaluation)
    expected = evaluate_encoder(encoder, people, study.evaluation)
    assert np.array_equal(found.result.average_precision, expected.average_precision)
    assert found.queries["file"].tolist() == [f"{i}" for i in range(12, 18)]
    assert found.gallery["file"].tolist() == [f"{i}" for i in range(6)]
