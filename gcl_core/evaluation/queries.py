"""Retrieval query by query: whom each query finds, at which rank, and the top of its ranked gallery."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gcl_core.config import EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.ranking import JUNK, RankingResult, evaluate_ranking, rank_distances, squared_distances
from gcl_core.models.identity_encoder import IdentityEncoder

NOBODY = -1  # a place in a ranked list beyond the end of the gallery

Ids = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # pids of queries and gallery, camids of both


@dataclass(frozen=True)
class Retrieval:
    """Queries and gallery of a set as one encoder sees them: index lines, unit features in their order, accuracy.

    queries, gallery: columns file, pid, camid; result: by squared Euclidean distance; settings: what it was made with.
    """

    queries: pd.DataFrame
    gallery: pd.DataFrame
    query_features: Float[Tensor, "q d"]
    gallery_features: Float[Tensor, "g d"]
    result: RankingResult
    settings: EvaluationSettings

    @property
    def ids(self) -> Ids:
        """pids of queries and gallery, camids of queries and gallery, as `rank_distances` takes them."""
        return _ids(self.queries, self.gallery)

    def counts(self, query: int) -> Bool[np.ndarray, " g"]:
        """Which gallery pictures count for a query: neither junk nor its person by its own camera (§5.4)."""
        query_pids, gallery_pids, query_camids, gallery_camids = self.ids
        own = (gallery_pids == query_pids[query]) & (gallery_camids == query_camids[query])
        return (gallery_pids != JUNK) & ~own

    def right(self, query: int) -> Bool[np.ndarray, " g"]:
        """Which gallery pictures are right for a query: its person, seen by another camera."""
        return self.counts(query) & (self.gallery["pid"].to_numpy() == self.queries["pid"].iloc[query])


def retrieve(encoder: IdentityEncoder, people: PersonSet, settings: EvaluationSettings) -> Retrieval:
    """Extract the features of queries and gallery once and rank by them (§5.4).

    Raises ValueError as `evaluate_ranking` does.
    """
    rows = [people.rows(split) for split in ("query", "gallery")]
    queries, gallery = (people.index.loc[part, ["file", "pid", "camid"]].reset_index(drop=True) for part in rows)
    query_features, gallery_features = (
        extract_features(encoder, people.pictures, part, batch_size=settings.batch_size) for part in rows
    )
    result = evaluate_ranking(
        query_features,
        gallery_features,
        *_ids(queries, gallery),
        average_precision=settings.average_precision,
    )
    return Retrieval(queries, gallery, query_features, gallery_features, result, settings)


def rank_again(retrieval: Retrieval, distances: Float[np.ndarray, "q g"]) -> RankingResult:
    """Return the accuracy of the same queries by other distances, such as re-ranked ones (`rank_distances`)."""
    return rank_distances(distances, *retrieval.ids, average_precision=retrieval.settings.average_precision)


def query_table(retrieval: Retrieval) -> pd.DataFrame:
    """Return one line per query, in listing order: what it is, how well it finds its person, and whom it finds first.

    Columns: file, pid, camid; average_precision in [0, 1], NaN without a match; first_match, the rank of the first
    right picture from 1, 0 without one; matches, right pictures in the gallery; nearest and nearest_pid, the best
    ranked picture that counts (blank where none does).
    """
    result, count = retrieval.result, len(retrieval.queries)
    first = ranked_gallery(retrieval, np.arange(count), 1)[:, 0]
    nearest = retrieval.gallery.reindex(first)  # no line has the number NOBODY
    return retrieval.queries.assign(
        average_precision=result.average_precision,
        first_match=result.first_match,
        matches=[int(retrieval.right(query).sum()) for query in range(count)],
        nearest=nearest["file"].to_numpy(),
        nearest_pid=nearest["pid"].astype("Int64").array,
    )


def ranked_gallery(retrieval: Retrieval, queries: Int64[np.ndarray, " n"], k: int) -> Int64[np.ndarray, "n {k}"]:
    """Return the first `k` gallery lines for given queries in order of distance, equals in order of the gallery.

    Junk and the query's person by the query's camera are left out; NOBODY fills up a list that ends before `k`.
    """
    ranked = np.full((len(queries), k), NOBODY)
    blocks = squared_distances(retrieval.query_features[queries], retrieval.gallery_features)
    rows = zip(queries.tolist(), itertools.chain.from_iterable(blocks), strict=True)
    for place, (query, distances) in enumerate(rows):
        lines = np.flatnonzero(retrieval.counts(query))
        best = lines[_smallest(distances[lines], k)]
        ranked[place, : len(best)] = best
    return ranked


def _ids(queries: pd.DataFrame, gallery: pd.DataFrame) -> Ids:
    pids, camids = ((queries[name].to_numpy(), gallery[name].to_numpy()) for name in ("pid", "camid"))
    return *pids, *camids


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the `k` smallest values, in order; of equal ones the first come first."""
    border = np.partition(values, k - 1)[k - 1] if len(values) > k else np.inf
    within = np.flatnonzero(values <= border)
    return within[np.argsort(values[within], kind="stable")][:k]
