"""Whom retrieval finds wrongly: baseline, control and GCL query by query, and whether the view is the reason."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.gallery_reranking import rerank_gallery
from gcl_core.evaluation.queries import Retrieval, query_table, rank_again, retrieve
from gcl_core.evaluation.ranking import RankingResult, rank_distances, squared_distances
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, numbers, where
from gcl_core.models.weights import load_encoder

COMPARED = ("baseline", "tda", "gcl")
VIEW_STEPS = (0, 60, 120, 180)  # view differences told apart, degrees
PLAIN, RERANKED = "distance", "re-ranked"

Retrievals = Mapping[str, Retrieval]  # of each stage in COMPARED


def retrievals(layout: Layout, people: PersonSet, seed: int) -> dict[str, Retrieval]:
    """Return what the encoders of the baseline, the control and GCL find; raises RunError as `finished_run` does."""
    study = layout.study
    device = resolve_device(study.device)
    encoders = {stage: load_encoder(study, finished_run(layout, stage, seed), device) for stage in COMPARED}
    return {stage: retrieve(encoder, people, study.evaluation) for stage, encoder in encoders.items()}


def stage_title(study: Study, stage: str) -> str:
    """Return a stage's name in tables and texts."""
    return study.variants[stage].title if stage in study.variants else stage


def query_lines(study: Study, found: Retrievals) -> pd.DataFrame:
    """Return `query_table`'s lines of all stages, one below the other, the stage in the first column."""
    tables = [query_table(retrieval) for retrieval in found.values()]
    lines = pd.concat(tables, keys=[stage_title(study, stage) for stage in found], names=["stage", None])
    return lines.reset_index(level="stage").reset_index(drop=True)


def view_differences(retrieval: Retrieval, truth: Truth) -> Float[np.ndarray, "q g"]:
    """Return by how much the view of each gallery picture differs from each query's, 0 ... 180 degrees."""
    yaws = truth.people.set_index("file")["yaw"]
    query, gallery = (yaws.reindex(lines["file"]).to_numpy() for lines in (retrieval.queries, retrieval.gallery))
    turn = np.abs(query[:, None] - gallery) % 360
    return np.minimum(turn, 360 - turn)


def precision_by_view(
    retrieval: Retrieval, distances: Float[np.ndarray, "q g"], differences: Float[np.ndarray, "q g"]
) -> Float[np.ndarray, "q bins"]:
    """Return each query's average precision in [0, 1] at finding its person by another camera from another side.

    One column for each range between VIEW_STEPS (the last includes its end). For a range, the query's right pictures
    whose view differs by less or more are taken out of its gallery; all wrong answers stay. NaN where none is right.
    Ours: docs/METHOD.md has no such measure. Ranges have their own numbers of right pictures: compare encoders within
    a range, not ranges with each other.
    """
    return precision_by_range(retrieval, distances, np.digitize(differences, VIEW_STEPS[1:-1]), len(VIEW_STEPS) - 1)


def precision_by_range(
    retrieval: Retrieval, distances: Float[np.ndarray, "q g"], ranges: Int64[np.ndarray, "q g"], count: int
) -> Float[np.ndarray, "q {count}"]:
    """Return `precision_by_view` for ranges of one's own: for each query and gallery picture one of 0 ... count - 1."""
    query_pids, gallery_pids, query_camids, gallery_camids = retrieval.ids
    precision = np.full((len(distances), count), np.nan)
    for query in range(len(distances)):
        right, one = retrieval.right(query), slice(query, query + 1)
        for place in sorted(set(ranges[query, right])):
            keep = ~right | (ranges[query] == place)
            result = rank_distances(
                distances[one, keep],
                query_pids[one],
                gallery_pids[keep],
                query_camids[one],
                gallery_camids[keep],
                average_precision=retrieval.settings.average_precision,
            )
            precision[query, place] = result.map
    return precision


def error_table(study: Study, found: Retrievals, truth: Truth | None) -> pd.DataFrame:
    """Return two rows a stage, ranked by distance and re-ranked: accuracy (%) and wrong first answers.

    Where true views are known, also mAP by view difference (means of `precision_by_view` over the queries that have
    such a picture). Re-ranking is by k-reciprocal neighbours; GCL's published rows have none (§5.4).
    """
    rows = []
    for stage, retrieval in found.items():
        again = rerank_gallery(retrieval.query_features, retrieval.gallery_features)
        rows.append(_row(study, stage, PLAIN, retrieval.result))
        rows.append(_row(study, stage, RERANKED, rank_again(retrieval, again)))
        if truth is not None:
            differences = view_differences(retrieval, truth)
            plain = np.concatenate(list(squared_distances(retrieval.query_features, retrieval.gallery_features)))
            for row, distances in zip(rows[-2:], (plain, again), strict=True):
                precision = precision_by_view(retrieval, distances, differences)
                row |= {name: _mean(values) for name, values in zip(view_columns(), precision.T, strict=True)}
    return pd.DataFrame(rows)


def view_columns() -> list[str]:
    """Return the columns of mAP by view difference."""
    return [f"{low}-{high}° mAP" for low, high in itertools.pairwise(VIEW_STEPS)]


def _row(study: Study, stage: str, ranking: str, result: RankingResult) -> dict[str, float | int | str]:
    return {
        "stage": stage_title(study, stage),
        "ranking": ranking,
        "mAP": 100 * result.map,
        "rank-1": 100 * result.cmc[1],
        "queries": int((result.first_match > 0).sum()),
        "wrong first": int((result.first_match > 1).sum()),
    }


def _mean(precision: np.ndarray) -> float:
    known = precision[np.isfinite(precision)]
    return 100 * float(known.mean()) if len(known) else float("nan")


def error_reading(study: Study, table: pd.DataFrame, lines: pd.DataFrame) -> str:
    """Return a paragraph that reads the tables: who errs how often, on the same queries or not, and what view does."""
    titles = {stage: stage_title(study, stage) for stage in COMPARED}
    plain, again = where(table, ranking=PLAIN).set_index("stage"), where(table, ranking=RERANKED).set_index("stage")
    wrong = {stage: numbers(where(lines, stage=title), "first_match") > 1 for stage, title in titles.items()}
    gcl, tda = wrong["gcl"], wrong["tda"]
    shares = [f"{titles[stage]} {wrong[stage].sum()}" for stage in COMPARED]
    sentences = [
        f"Of {plain['queries'].iloc[0]} queries these get a wrong first answer: {', '.join(shares)}. "
        f"{(gcl & tda).sum()} are wrong by both {titles['gcl']} and {titles['tda']}, {(gcl & ~tda).sum()} only by "
        f"{titles['gcl']}, {(tda & ~gcl).sum()} only by {titles['tda']}."
    ]
    if set(view_columns()) <= set(table):
        sentences += _view_sentences(plain, titles)
    gains = [f"{titles[stage]} {again['mAP'][titles[stage]] - plain['mAP'][titles[stage]]:+.1f}" for stage in COMPARED]
    sentences.append(f"Re-ranking changes mAP by: {', '.join(gains)}; GCL's published rows are without it.")
    sentences.append(
        "These are the queries of one seed: differences are single draws, repeat them before believing one."
    )
    return " ".join(sentences)


def _view_sentences(plain: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    known = plain[view_columns()].dropna(axis="columns")
    ranges = [name.removesuffix(" mAP") for name in known]
    values = {stage: known.loc[title].to_numpy(dtype=np.float64) for stage, title in titles.items()}
    told = [f"{titles[stage]} {' / '.join(f'{value:.1f}' for value in values[stage])}" for stage in COMPARED]
    leads = values["gcl"] - values["tda"]
    lead = f"The lead of {titles['gcl']} over {titles['tda']} is {' / '.join(f'{value:+.1f}' for value in leads)}"
    if leads.max() <= 0:
        verdict = "it leads in no range, so the view makes no difference in its favour"
    elif leads.argmax() == len(leads) - 1:
        verdict = "it is largest where views differ most, as view-invariance would have it"
    else:
        verdict = f"it is largest at {ranges[leads.argmax()]}, not where views differ most"
    return [
        f"Where only right pictures of one range of view differences ({' / '.join(ranges)}) are searched for, mAP is: "
        f"{', '.join(told)}.",
        f"{lead}: {verdict}.",
    ]
