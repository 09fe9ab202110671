"""Retrieval accuracy: mAP and CMC of queries against a gallery."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from numba import njit
from torch import Tensor

from gcl_core.files import DivergedError

JUNK = -1  # pid of pictures that are neither right nor wrong
BLOCK = 1 << 24  # distances held at once
ROWS = 64  # queries that a thread ranks at a time

Precision = Literal["step", "trapezoid"]


class NoMatchError(ValueError):
    """No query has a right picture in the gallery."""


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

    def record(self) -> dict[str, float]:
        """Return mAP and rank-k as an epoch's record keeps them: `map`, `rank1`, …"""
        return {"map": self.map, **{f"rank{k}": value for k, value in self.cmc.items()}}


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

    See `rank_distances` for the protocol and for what raises ValueError. Raises DivergedError for features that are not
    finite. Source: METHOD.md §5.4.
    """
    _check_features("query", query_features)
    _check_features("gallery", gallery_features)
    blocks = squared_distances(query_features, gallery_features)
    shape = (len(query_features), len(gallery_features))
    return _rank(blocks, shape, query_pids, gallery_pids, query_camids, gallery_camids, topk, average_precision)


def squared_distances(
    query_features: Float[Tensor, "q d"], gallery_features: Float[Tensor, "g d"]
) -> Iterator[Float32[np.ndarray, "rows g"]]:
    """Yield squared Euclidean distances to the whole gallery, one block of queries (rows) after the other.

    A block holds about 16 million numbers, in float32: those of equal features can be slightly below 0.
    """
    query, gallery = query_features.detach().float(), gallery_features.detach().float()
    gallery_squares = gallery.square().sum(dim=1)
    for block in query.split(max(1, BLOCK // max(1, len(gallery)))):
        distances = block.square().sum(dim=1, keepdim=True) + gallery_squares - 2 * block @ gallery.T
        yield distances.cpu().numpy()


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
    Raises NoMatchError if no query has a match, ValueError if a distance is NaN. Source: METHOD.md §5.4, D28.
    """
    shape = (len(distances), distances.shape[1])
    return _rank([distances], shape, query_pids, gallery_pids, query_camids, gallery_camids, topk, average_precision)


def _rank(
    blocks: Iterable[np.ndarray],
    shape: tuple[int, int],
    query_pids: np.ndarray | Tensor,
    gallery_pids: np.ndarray | Tensor,
    query_camids: np.ndarray | Tensor,
    gallery_camids: np.ndarray | Tensor,
    topk: Sequence[int],
    average_precision: Precision,
) -> RankingResult:
    """Rank blocks of rows of a matrix of distances of that shape, which are computed one after the other."""
    query_pid, query_camid = _array(query_pids), _array(query_camids)
    gallery_pid, gallery_camid = _array(gallery_pids), _array(gallery_camids)
    if not shape == (len(query_pid), len(gallery_pid)) == (len(query_camid), len(gallery_camid)):
        raise ValueError(  # the kernel would read beyond the end
            f"{shape[0]} queries against {shape[1]} gallery pictures, but pids of {len(query_pid)} and "
            f"{len(gallery_pid)}, camids of {len(query_camid)} and {len(gallery_camid)}: expected one for each"
        )
    columns = np.flatnonzero(gallery_pid != JUNK)
    usable = (columns, gallery_pid[columns], gallery_camid[columns])
    precision = np.full(len(query_pid), np.nan)
    first = np.zeros(len(query_pid), dtype=np.int64)

    def rank_some(start: int, distances: np.ndarray) -> None:
        # float16 is no type of the kernel's, and for another order in memory it would be compiled again
        distances = np.ascontiguousarray(distances, dtype=np.result_type(distances, np.float32))
        if np.isnan(distances.min(initial=0)):
            row, column = np.argwhere(np.isnan(distances))[0]
            raise ValueError(f"the distance of query {start + row} to gallery picture {column} is NaN: check features")
        rows = slice(start, start + len(distances))
        asked, answers = (query_pid[rows], query_camid[rows]), (precision[rows], first[rows])
        _rank_rows(distances, *asked, *usable, *answers, average_precision == "trapezoid")

    query = 0
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the kernel lets go of the interpreter's lock
        for block in blocks:
            pieces = [block[start : start + ROWS] for start in range(0, len(block), ROWS)]
            list(pool.map(rank_some, itertools.count(query, ROWS), pieces))  # the list raises what a thread raised
            query += len(block)

    found = first > 0
    if not found.any():
        raise NoMatchError(
            f"none of {len(query_pid)} queries has a match among {len(columns)} gallery pictures: expected the "
            "same pid seen by another camera; check that pids and camids of query and gallery belong together"
        )
    cmc = {int(k): float((first[found] <= k).mean()) for k in topk}
    return RankingResult(float(precision[found].mean()), cmc, precision, first, int((~found).sum()))


@njit(cache=True, nogil=True)
@no_type_check
def _rank_rows(distances, query_pid, query_camid, columns, gallery_pid, gallery_camid, precision, first, trapezoid):
    """Fill in average precision and first match of queries with a match; `columns` are the gallery's without junk."""
    kept = np.empty(len(columns), distances.dtype)
    matches = np.empty(len(columns), np.int64)
    for query in range(len(distances)):
        size = found = 0
        for place, column in enumerate(columns):
            if gallery_pid[place] == query_pid[query]:
                if gallery_camid[place] == query_camid[query]:
                    continue
                matches[found] = size
                found += 1
            kept[size] = distances[query, column]
            size += 1
        if found > 0:
            precision[query], first[query] = _rank_one(kept[:size], matches[:found], trapezoid)


@njit(cache=True, nogil=True)
@no_type_check
def _rank_one(distances, matches, trapezoid):
    """Return average precision and the rank of the first match (from 1) of one query.

    Nothing is sorted: matches are few, and to count what is ahead of one is a single vectorised pass.
    """
    hits = distances[matches]
    total = 0.0
    for match, hit in enumerate(hits):
        if trapezoid:
            place = _count_ahead(distances, hit, matches[match])  # from 0
            found = _count_ahead(hits, hit, match)
            before = found / place if place > 0 else 1.0  # precision one place earlier
            total += (before + (found + 1) / (place + 1)) / 2
        else:
            total += _count_ahead(hits, hit, len(hits)) / _count_ahead(distances, hit, len(distances))
    nearest = np.argmin(hits)
    return total / len(hits), _count_ahead(distances, hits[nearest], matches[nearest]) + 1


@njit(cache=True, nogil=True)
@no_type_check
def _count_ahead(distances, limit, index):
    """Return how many distances are below `limit`, or equal to it and of an index below `index`."""
    count = np.int32(0)  # as wide as a float32, so that compilers count three times faster than in numba's own int64
    for place in range(index):
        count = np.int32(count + (distances[place] <= limit))
    for place in range(index, len(distances)):
        count = np.int32(count + (distances[place] < limit))
    return count


def _check_features(name: str, features: Tensor) -> None:
    wrong = ~features.isfinite().all(dim=1)
    if wrong.any():
        raise DivergedError(
            f"{name} feature row {int(wrong.nonzero()[0])} is not finite ({int(wrong.sum())} of {len(features)} rows): "
            "the encoder diverged; evaluate an earlier checkpoint"
        )


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.cpu().numpy() if isinstance(values, Tensor) else values, dtype=np.int64)
