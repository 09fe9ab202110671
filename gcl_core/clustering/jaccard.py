"""Exact k-reciprocal Jaccard distances between pictures, kept sparse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array, triu
from torch import Tensor

from gcl_core.clustering.released_arithmetic import mean_in_ranking_order, softmax_row_by_row, sum_one_by_one

ZERO = 1e-6  # a Jaccard distance below this is zero up to rounding of float32 features; it is stored as exactly 0
BLOCK = 1 << 22  # numbers held at once while working through rows block by block


@dataclass(frozen=True)
class JaccardDistances:
    """Symmetric distances in [0, 1] of `count` pictures, as a sparse upper triangle of similarities.

    `similarity` is `count` x `count` and holds 1 - distance for every pair i < j closer than 1. So an absent pair is at
    distance 1, a stored 1.0 is a distance of exactly 0, and the diagonal, never stored, is 0.
    """

    count: int
    similarity: csr_array

    def dense(self) -> Float[np.ndarray, "n n"]:
        """Return all distances as a float64 matrix; for looking at small sets, it takes 8 n² bytes."""
        upper = self.similarity.toarray().astype(np.float64)
        distances = 1.0 - (upper + upper.T)
        np.fill_diagonal(distances, 0.0)
        return distances


def jaccard_distance(
    features: Float[Tensor, "n d"],
    *,
    k1: int = 30,
    k2: int = 6,
    k1_counts_self: bool = True,
    duplicates: Literal["within_rounding", "exact_zero"] = "within_rounding",
) -> JaccardDistances:
    """Return the k-reciprocal Jaccard distances of unit features (rows of length 1).

    A ranking has `k1` entries including the picture itself, which always comes first, or besides it (`k1_counts_self`
    false); ties go to the lower index. With fewer than `k1` (or `k2`) pictures the number of pictures is used instead.
    `duplicates`: sums are exact and a distance below 1e-6 counts as 0, or sums are rounded as the release rounds them
    (float32, in its order) and only what comes out as 0 is 0, which depends on the machine.
    Products with features run on the device of the features, all else on the CPU; memory grows with n times the
    neighbours, not with n².

    Raises ValueError for no pictures, for k1 or k2 below 1, and for a row that is not finite or not of length 1.
    Source: METHOD.md §4 steps 1-5, D13, D26.
    """
    features = features.detach()
    features = features if features.dtype == torch.float64 else features.float()
    _check(features, k1, k2)
    n, half = len(features), round(k1 / 2) + 1
    ranking = _ranking(features, min(k1 if k1_counts_self else k1 + 1, n))
    expanded = _expanded_neighbours(ranking, half=half)
    close = ranking[:, :k2]
    if duplicates == "exact_zero":
        encoding = mean_in_ranking_order(softmax_row_by_row(features, expanded), close)
        return JaccardDistances(n, _similarity(encoding, rounded=True))
    encoding = _softmax_weights(features, expanded)
    if k2 > 1:  # query expansion: the mean over the first k2 of the ranking
        encoding = csr_array(_membership(close) @ encoding) / close.shape[1]
    return JaccardDistances(n, _similarity(csr_array(encoding), rounded=False))


def _check(features: Tensor, k1: int, k2: int) -> None:
    if len(features) == 0:
        raise ValueError("no features to cluster: expected at least one row")
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 is {k1} and k2 is {k2}: expected both at least 1")
    lengths = torch.linalg.vector_norm(features, dim=1)
    wrong = ~((lengths - 1).abs() < 1e-2)  # so written, NaN is wrong too
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"feature row {row} has length {float(lengths[row]):.4g}, expected 1 ({int(wrong.sum())} such rows): "
            "normalise the features; a NaN or zero row means that the encoder diverged or never filled it"
        )


def _ranking(features: Tensor, k: int) -> np.ndarray:
    """Return the k nearest pictures of each, itself first, ties by index: n x k."""
    n = len(features)
    step = max(1, BLOCK // n)
    blocks = []
    for start in range(0, n, step):
        similarity = features[start : start + step] @ features.T
        own = torch.arange(len(similarity), device=features.device)
        similarity[own, start + own] = torch.inf
        nearest, index = similarity.topk(min(k + 1, n), dim=1)
        index = index[:, :k].sort(dim=1).values
        order = similarity.gather(1, index).sort(dim=1, descending=True, stable=True).indices
        index = index.gather(1, order)
        if k < n:  # topk chose freely among equals at the border
            tied = nearest[:, k - 1] == nearest[:, k]
            index[tied] = similarity[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
        blocks.append(index.cpu().numpy())
    return np.concatenate(blocks)


def _membership(ranking: np.ndarray) -> csr_array:
    """Return the n x n matrix with 1 where column j is in the ranking of row i."""
    n, k = ranking.shape
    columns = np.sort(ranking, axis=1).ravel()
    return csr_array((np.ones(n * k), columns, np.arange(0, n * k + 1, k)), shape=(n, n))


def _reciprocal(ranking: np.ndarray) -> csr_array:
    """Return the n x n matrix with 1 where i and j are in each other's rankings."""
    member = _membership(ranking)
    return csr_array(member.multiply(member.T))


def _expanded_neighbours(ranking: np.ndarray, *, half: int) -> csr_array:
    """Return the pattern of the expanded k-reciprocal sets (§4 steps 2-3)."""
    full, core = _reciprocal(ranking), _reciprocal(ranking[:, :half])
    # at (i, c) with c in R(i): how many of c's half set are in R(i); never 0, as c itself is
    accepted = csr_array(full.multiply(full @ core.T))
    accepted.data = (3 * accepted.data > 2 * np.diff(core.indptr)[accepted.indices]).astype(np.float64)
    accepted.eliminate_zeros()
    return csr_array(full + accepted @ core)


def _softmax_weights(features: Tensor, pattern: csr_array) -> csr_array:
    """Return softmax(-(2 - 2 f_i·f_j)) over the pattern's entries of each row (§4 step 4)."""
    rows = np.repeat(np.arange(len(features)), np.diff(pattern.indptr))
    products = np.empty(len(rows))
    step = max(1, BLOCK // features.shape[1])
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        left = features[torch.as_tensor(rows[piece], device=features.device)]
        right = features[torch.as_tensor(pattern.indices[piece], device=features.device)]
        products[piece] = torch.linalg.vecdot(left, right).cpu().numpy()
    weights = np.exp(2 * products - 2)
    weights /= np.add.reduceat(weights, pattern.indptr[:-1])[rows]  # every row holds at least the picture itself
    return csr_array((weights, pattern.indices, pattern.indptr), shape=pattern.shape)


def _similarity(encoding: csr_array, *, rounded: bool) -> csr_array:
    """Return 1 - Jaccard distance = S / (2 - S), S_ij = Σ_l min(V_il, V_jl), for i < j (§4 step 5).

    `rounded`: S in float32, summed over ascending l; otherwise in float64, and distances below ZERO become 0.
    """
    n = len(encoding.indptr) - 1
    columns = encoding.tocsc()
    columns.sort_indices()
    end = columns.indptr[1:].astype(np.int64)
    first = columns.indptr[:-1].astype(np.int64)  # the first entry of each column that is not above the block
    indices, data, indptr = [np.empty(0, np.int32)], [np.empty(0, np.float32)], [np.zeros(1, np.int64)]
    for start, stop in _row_blocks(encoding, end - first):
        block = encoding[start:stop]
        lengths = (end - first)[block.indices]
        # each entry (i, l) of the block meets the entries (j, l) of its column
        meets = np.repeat(first[block.indices] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        row = np.repeat(np.arange(stop - start), np.diff(block.indptr))
        cell = np.repeat(row * (n - start), lengths) + columns.indices[meets] - start
        least = np.minimum(np.repeat(block.data, lengths), columns.data[meets])
        add = sum_one_by_one if rounded else np.bincount
        overlap = add(cell, least, minlength=(stop - start) * (n - start)).reshape(stop - start, n - start)
        pairs = csr_array(triu(csr_array(overlap), k=1))
        similarity = pairs.data / (2 - pairs.data)
        similarity[similarity > (1 if rounded else 1 - ZERO)] = 1.0
        indices.append((pairs.indices + start).astype(np.int32))
        data.append(similarity.astype(np.float32))
        indptr.append(pairs.indptr[1:] + indptr[-1][-1])
        first = first + np.bincount(block.indices, minlength=n)
    return csr_array((np.concatenate(data), np.concatenate(indices), np.concatenate(indptr)), shape=(n, n))


def _row_blocks(encoding: csr_array, column_lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) so that a block's entries meet about BLOCK others, whatever the hubs."""
    n = len(encoding.indptr) - 1
    work = np.add.reduceat(column_lengths[encoding.indices], encoding.indptr[:-1]) + n
    edges = np.flatnonzero(np.diff(np.cumsum(work) // BLOCK)) + 1
    return zip([0, *edges.tolist()], [*edges.tolist(), n], strict=True)
