"""Errors of retrieval: whose they are, on which queries, and between which views."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

from gcl_core.config import EvaluationSettings, load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.queries import Retrieval
from gcl_core.evaluation.ranking import evaluate_ranking, rank_distances
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure import retrievals as error_analysis
from gcl_core.measure.retrievals import (
    COMPARED,
    error_reading,
    error_table,
    precision_by_view,
    query_lines,
    retrievals,
    view_columns,
    view_differences,
)
from gcl_core.models.weights import build_encoder, save_weights
from gcl_core.seeding import numpy_rng, rng

STUDY = load_study("smoke")


def made_up(seed: int) -> Retrieval:
    """Return 12 queries of 4 people in a gallery of 50, distractors and junk among them, at random features."""
    random, features = numpy_rng(0, "test error analysis"), rng(seed, "test error analysis")
    tables = []
    for split, low, count in (("query", 1, 12), ("gallery", -1, 50)):
        ids = {"pid": random.integers(low, 5, count), "camid": random.integers(1, 4, count)}
        tables.append(pd.DataFrame({"file": [f"{split}/{place}" for place in range(count)], **ids}))
    queries, gallery = tables
    query, shown = (normalize(torch.randn(len(table), 4, generator=features)) for table in tables)
    ids = [table[name].to_numpy() for name in ("pid", "camid") for table in tables]
    return Retrieval(queries, gallery, query, shown, evaluate_ranking(query, shown, *ids), EvaluationSettings())


@pytest.fixture
def found() -> dict[str, Retrieval]:
    return {stage: made_up(seed) for seed, stage in enumerate(COMPARED)}


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    """Return random yaws of all pictures of `made_up`, in an order of their own."""
    files = [f"query/{place}" for place in range(12)] + [f"gallery/{place}" for place in range(50)]
    random = numpy_rng(0, "test error analysis yaws")
    people = pd.DataFrame({"file": files, "yaw": random.uniform(0, 360, len(files))})
    return Truth(tmp_path, people.iloc[random.permutation(len(files))], 64, 32)


def test_views_differ_by_the_shorter_way_round(tmp_path: Path, found: dict[str, Retrieval]):
    retrieval = found["gcl"]
    files = [*retrieval.queries["file"], *retrieval.gallery["file"]]
    yaws = pd.DataFrame({"file": files, "yaw": [350.0] * 12 + [10.0, 170.0, 180.0, 350.0] + [90.0] * 46})
    differences = view_differences(retrieval, Truth(tmp_path, yaws.iloc[::-1], 64, 32))
    assert differences.shape == (12, 50)
    assert differences[:, :5].tolist() == [[20, 180, 170, 0, 100]] * 12


def test_precision_by_view_by_hand():
    # near to far: own camera, right at 30, wrong, right at 60, junk, right at 180, right at 59.9, wrong
    gallery = pd.DataFrame(
        {"file": list("abcdefgh"), "pid": [5, 5, 6, 5, -1, 5, 5, 6], "camid": [1, 2, 2, 2, 2, 3, 3, 3]}
    )
    queries = pd.DataFrame({"file": ["q"], "pid": [5], "camid": [1]})
    query, shown = torch.zeros(1, 1), torch.arange(1.0, 9.0)[:, None]
    ids = [table[name].to_numpy() for name in ("pid", "camid") for table in (queries, gallery)]
    retrieval = Retrieval(queries, gallery, query, shown, evaluate_ranking(query, shown, *ids), EvaluationSettings())
    differences = np.array([[10.0, 30, 0, 60, 0, 180, 59.9, 0]])
    # 0-60: ranks 1 and 3 of right, wrong, right, wrong; the two others: right at rank 2 after the wrong one
    found = precision_by_view(retrieval, np.arange(1.0, 9.0)[None], differences)
    assert found[0] == pytest.approx([(1 + 2 / 3) / 2, 1 / 2, 1 / 2])


@pytest.mark.parametrize("precision", ["step", "trapezoid"])
def test_precision_by_view_equals_evaluating_each_range_in_plain_loops(
    found: dict[str, Retrieval], truth: Truth, precision: str
):
    retrieval = found["gcl"]
    settings = EvaluationSettings.model_validate({"average_precision": precision})
    retrieval = Retrieval(**{**vars(retrieval), "settings": settings})
    random = numpy_rng(0, "test error analysis distances")
    distances, differences = random.uniform(size=(12, 50)), view_differences(retrieval, truth)
    values = precision_by_view(retrieval, distances, differences)
    queries, gallery = (table.to_dict("records") for table in (retrieval.queries, retrieval.gallery))
    for query, asked in enumerate(queries):
        for place, (low, high) in enumerate([(0, 60), (60, 120), (120, 180.1)]):
            kept, right = [], []
            for line, other in enumerate(gallery):
                same = other["pid"] == asked["pid"]
                outside = not low <= differences[query, line] < high
                if other["pid"] == -1 or (same and (other["camid"] == asked["camid"] or outside)):
                    continue
                kept.append(distances[query, line])
                right.append(same)
            if not any(right):
                assert np.isnan(values[query, place])
            elif precision == "step":
                assert values[query, place] == pytest.approx(average_precision_score(right, -np.array(kept)))
            else:
                ids = (
                    np.ones(1, np.int64),
                    np.array(right, np.int64),
                    np.zeros(1, np.int64),
                    np.ones(len(kept), np.int64),
                )
                expected = rank_distances(np.array([kept]), *ids, average_precision="trapezoid")
                assert values[query, place] == pytest.approx(expected.map)
    assert np.isnan(values).any()
    assert np.isfinite(values).any(axis=0).all()


def test_table_has_two_rows_a_stage_and_views_where_they_are_known(
    found: dict[str, Retrieval], truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    other = numpy_rng(0, "test error analysis again").uniform(size=(12, 50)).astype(np.float32)
    monkeypatch.setattr(error_analysis, "rerank_gallery", lambda query, gallery: other)
    table = error_table(STUDY, found, truth)
    assert table["stage"].tolist() == ["baseline"] * 2 + ["TDA control"] * 2 + ["GCL"] * 2
    assert table["ranking"].tolist() == ["distance", "re-ranked"] * 3
    assert table["mAP"].tolist()[::2] == [100 * found[stage].result.map for stage in COMPARED]
    gcl = found["gcl"]
    again = rank_distances(other, *gcl.ids)
    assert table["mAP"].iloc[-1] == 100 * again.map != table["mAP"].iloc[-2]
    first = gcl.result.first_match
    line = table.iloc[-2]
    assert (line["queries"], line["wrong first"]) == ((first > 0).sum(), (first > 1).sum())
    assert line["rank-1"] == pytest.approx(100 * (1 - line["wrong first"] / line["queries"]))
    for row, distances in (
        (-2, (gcl.query_features[:, None] - gcl.gallery_features).square().sum(-1).numpy()),
        (-1, other),
    ):
        expected = 100 * np.nanmean(precision_by_view(gcl, distances, view_differences(gcl, truth)), axis=0)
        assert table[view_columns()].to_numpy(dtype=float)[row] == pytest.approx(expected)
    assert not set(view_columns()) & set(error_table(STUDY, found, None))


def test_a_range_without_any_right_picture_is_blank(found: dict[str, Retrieval], truth: Truth):
    same = Truth(truth.root, truth.people.assign(yaw=45.0), 64, 32)
    table = error_table(STUDY, found, same)
    assert table[view_columns()[0]].to_numpy() == pytest.approx(table["mAP"].to_numpy())
    assert table[view_columns()[1:]].isna().to_numpy().all()
    assert "(0-60°)" in error_reading(STUDY, table, query_lines(STUDY, found))


def test_lines_of_all_stages_stand_below_each_other(found: dict[str, Retrieval]):
    lines = query_lines(STUDY, found)
    assert lines.columns[0] == "stage"
    assert lines["stage"].tolist() == ["baseline"] * 12 + ["TDA control"] * 12 + ["GCL"] * 12
    assert lines["file"].tolist() == found["gcl"].queries["file"].tolist() * 3
    precision = np.concatenate([found[stage].result.average_precision for stage in COMPARED])
    assert np.array_equal(lines["average_precision"], precision, equal_nan=True)


def known(gcl: list[float], ranks: dict[str, list[int]]) -> str:
    """Return the reading of a made-up table: the control has 50 mAP in every range, GCL has `gcl`."""
    titles = {"baseline": "baseline", "tda": "TDA control", "gcl": "GCL"}
    rows = [
        {"stage": title, "ranking": ranking, "mAP": 60.0 + more, "queries": 4}
        | dict(zip(view_columns(), gcl if stage == "gcl" else [50.0] * 3, strict=True))
        for stage, title in titles.items()
        for ranking, more in (("distance", 0), ("re-ranked", 2.5))
    ]
    lines = [{"stage": titles[stage], "first_match": rank} for stage, all_ in ranks.items() for rank in all_]
    return error_reading(STUDY, pd.DataFrame(rows), pd.DataFrame(lines))


RANKS = {"baseline": [2, 3, 9, 0], "tda": [2, 2, 1, 0], "gcl": [1, 5, 2, 0]}


def test_reading_counts_errors_one_by_one():
    text = known([51.0, 52.0, 53.0], RANKS)
    assert "baseline 3, TDA control 2, GCL 2" in text
    assert "1 are wrong by both GCL and TDA control, 1 only by GCL, 1 only by TDA control" in text
    assert "Re-ranking changes mAP by: baseline +2.5, TDA control +2.5, GCL +2.5" in text


@pytest.mark.parametrize(
    ("gcl", "words"),
    [
        ([51.0, 52.0, 53.0], "+1.0 / +2.0 / +3.0: it is largest where views differ most"),
        ([49.0, 52.0, 51.0], "-1.0 / +2.0 / +1.0: it is largest at 60-120°, not where views differ most"),
        ([48.0, 49.0, 50.0], "-2.0 / -1.0 / +0.0: it leads in no range"),
    ],
)
def test_reading_credits_views_only_where_they_differ_most(gcl: list[float], words: str):
    assert words in known(gcl, RANKS)


def test_each_stage_is_ranked_by_its_own_weights(layout: Layout, people: PersonSet, write_run: Callable[..., Path]):
    for seed, stage in enumerate(COMPARED[:2]):
        save_weights(build_encoder(layout.study, seed), write_run(layout, stage, 0, []) / "encoder.safetensors")
    with pytest.raises(RunError, match=r'04_joint_training\.ipynb with variant="gcl" and seed=0'):
        retrievals(layout, people, 0)
    save_weights(build_encoder(layout.study, 2), write_run(layout, "gcl", 0, []) / "encoder.safetensors")
    found = retrievals(layout, people, 0)
    assert list(found) == list(COMPARED)
    features = [found[stage].query_features for stage in COMPARED]
    assert not torch.allclose(features[0], features[1])
    assert not torch.allclose(features[1], features[2])
