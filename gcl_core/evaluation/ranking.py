"""Retrieval accuracy: mAP and CMC of queries against a gallery."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

JUNK = -1  # pid of pictures that are neither right nor wrong
BLOCK = 1 << 24  # distances held at once

Precision = Literal["step", "trapezoid"]


@dataclass(frozen=True)
class RankingResult:
    """Accuracy over the queries that have a match, in [0, 1], and the same per query.

    `cmc[k]` is the share of queries whose first match ranks among the first k; `average_precision` is NaN and
    `first_match` (a rank from 1) is 0 for a query without any match; `skipped` counts these.
    """

    map: float
    cmc: dict[int, float]
    average_precision: Float[np.ndarray, "q"]
    first_match: Int64[np.ndarray, "q"]
    skipped: int


def evaluate_ranking(
    query_features: Float[Tensor, "q d"],
    gallery_features: Float[Tensor, "g d"],
    query_pids: Int[np.ndarray, "q"] | Int[Tensor, "q"],
    gallery_pids: Int[np.ndarray, "g"] | Int[Tensor, "g"],
    query_camids: Int[np.ndarray, "q"] | Int[Tensor, "q"],
    gallery_camids: Int[np.ndarray, "g"] | Int[Tensor, "g"],
    *,
    topk: Sequence[int] = (1, 5, 10),
    average_precision: Precision = "step",
) -> RankingResult:
    """Return mAP and CMC by squared Euclidean distance between (normalised) features.

    See `rank_distances` for the protocol and for what raises ValueError, here also for features that are not finite.
    Source: METHOD.md §5.4.
    """
    _check_features("query", query_features)
    _check_features("gallery", gallery_features)

    query, gallery = query_features.detach().float(), gallery_features.detach().float()

    def blocks() -> Iterator[np.ndarray]:
        gallery_squares = gallery.square().sum(dim=1)
        for block in query.split(max(1, BLOCK // max(1, len(gallery)))):
            distances = block.square().sum(dim=1, keepdim=True) + gallery_squares - 2 * block @ gallery.T
            yield distances.cpu().numpy()

    return _rank(blocks(), query_pids, gallery_pids, query_camids, gallery_camids, topk, average_precision)


def rank_distances(
    distances: Float[np.ndarray, "q g"],
    query_pids: Int[np.ndarray, "q"] | Int[Tensor, "q"],
    gallery_pids: Int[np.ndarray, "g"] | Int[Tensor, "g"],
    query_camids: Int[np.ndarray, "q"] | Int[Tensor, "q"],
    gallery_camids: Int[np.ndarray, "g"] | Int[Tensor, "g"],
    *,
    topk: Sequence[int] = (1, 5, 10),
    average_precision: Precision = "step",
) -> RankingResult:
    """Return mAP and CMC for a matrix of distances (smaller = more alike).

    Gallery pictures of pid -1 (junk) are removed; those with the query's pid and camera are removed for that query;
    all other pids, distractors (0) included, stay as wrong answers. Average precision is by step interpolation, with
    equal distances as one step, as in scikit-learn, or by trapezoids, as Market-1501's own tool has it; that and first
    matches use the order of the gallery among equals. Queries without a match are skipped.
    Raises ValueError if no query has a match or a distance is NaN. Source: METHOD.md §5.4, D28.
    """
    return _rank(iter([distances]), query_pids, gallery_pids, query_camids, gallery_camids, topk, average_precision)


def _rank(
    blocks: Iterator[np.ndarray],
    query_pids: np.ndarray | Tensor,
    gallery_pids: np.ndarray | Tensor,
    query_camids: np.ndarray | Tensor,
    gallery_camids: np.ndarray | Tensor,
    topk: Sequence[int],
    average_precision: Precision,
) -> RankingResult:
    gallery_pid, gallery_camid = _array(gallery_pids), _array(gallery_camids)
    usable = gallery_pid != JUNK
    gallery_pid, gallery_camid = gallery_pid[usable], gallery_camid[usable]
    query_pid, query_camid = _array(query_pids), _array(query_camids)
    precision = np.full(len(query_pid), np.nan)
    first = np.zeros(len(query_pid), dtype=np.int64)
    query = 0
    for block in blocks:
        if np.isnan(block).any():
            row, column = np.argwhere(np.isnan(block))[0]
            raise ValueError(f"the distance of query {query + row} to gallery picture {column} is NaN: check features")
        for distances in block[:, usable]:
            same = gallery_pid == query_pid[query]
            keep = ~(same & (gallery_camid == query_camid[query]))
            if same[keep].any():
                precision[query], first[query] = _rank_one(distances[keep], same[keep], average_precision)
            query += 1

    found = first > 0
    if not found.any():
        raise ValueError(
            f"none of {len(query_pid)} queries has a match among {len(gallery_pid)} gallery pictures: expected the "
            "same pid seen by another camera; check that pids and camids of query and gallery belong together"
        )
    cmc = {int(k): float((first[found] <= k).mean()) for k in topk}
    return RankingResult(float(precision[found].mean()), cmc, precision, first, int((~found).sum()))


def _rank_one(distances: np.ndarray, match: np.ndarray, average_precision: Precision) -> tuple[float, int]:
    """Return average precision and the rank of the first match (from 1) of one query."""
    if average_precision == "trapezoid":
        places = np.flatnonzero(match[np.argsort(distances, kind="stable")])  # from 0
        matches = np.arange(len(places))
        before = np.where(places > 0, matches / np.maximum(places, 1), 1)  # precision one place earlier
        return float((before + (matches + 1) / (places + 1)).mean() / 2), int(places[0]) + 1
    hits = np.sort(distances[match])
    within = np.searchsorted(np.sort(distances), hits, side="right")
    matches_within = np.searchsorted(hits, hits, side="right")
    nearest = np.flatnonzero(match & (distances == hits[0]))[0]
    before = (distances < hits[0]).sum() + (distances[:nearest] == hits[0]).sum()
    return float((matches_within / within).mean()), int(before) + 1


def _check_features(name: str, features: Tensor) -> None:
    wrong = ~features.isfinite().all(dim=1)
    if wrong.any():
        raise ValueError(
            f"{name} feature row {int(wrong.nonzero()[0])} is not finite ({int(wrong.sum())} of {len(features)} rows): "
            "the encoder diverged; evaluate an earlier checkpoint"
        )


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else values
