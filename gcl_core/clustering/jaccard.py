"""Exact k-reciprocal Jaccard distances between pictures, kept sparse."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int32
from scipy.sparse import csr_array
from torch import Tensor

from gcl_core.clustering.neighbour_sets import expanded_neighbours
from gcl_core.clustering.neighbour_weights import jaccard_similarity, mean_over_nearest, softmax_weights
from gcl_core.clustering.neighbours import approximate_neighbours, exact_neighbours, measured_recall
from gcl_core.clustering.released_arithmetic import mean_in_ranking_order, softmax_row_by_row
from gcl_core.device import full_float32
from gcl_core.files import DivergedError

Duplicates = Literal["within_rounding", "exact_zero"]
ZERO = 1e-6  # a Jaccard distance below this is zero up to rounding of float32 features; it is stored as exactly 0


@dataclass(frozen=True)
class JaccardDistances:
    """Symmetric distances in [0, 1] of `count` pictures, as a sparse upper triangle of similarities.

    `similarity` is `count` x `count`, float32, and holds 1 - distance for every pair i < j closer than 1. So an absent
    pair is at distance 1, a stored 1.0 is a distance of exactly 0, and the diagonal, never stored, is 0. `recall` is
    the measured share of true neighbours that they rest on: 1 if the search was exact.
    """

    count: int
    similarity: csr_array
    recall: float = 1.0

    def dense(self) -> Float[np.ndarray, "n n"]:
        """Return all distances as a float64 matrix; for looking at small sets, it takes 8 n² bytes."""
        upper = self.similarity.toarray().astype(np.float64)
        distances = 1.0 - (upper + upper.T)
        np.fill_diagonal(distances, 0.0)
        return distances


@full_float32()
def jaccard_distance(
    features: Float[Tensor, "n d"],
    *,
    k1: int = 30,
    k2: int = 6,
    k1_counts_self: bool = True,
    duplicates: Duplicates = "within_rounding",
    exact_up_to: int = 100_000,
) -> JaccardDistances:
    """Return the k-reciprocal Jaccard distances of unit features (rows of length 1).

    A ranking has `k1` entries including the picture itself, which always comes first, or besides it (`k1_counts_self`
    false); ties go to the lower index. With fewer than `k1` (or `k2`) pictures the number of pictures is used instead.
    `duplicates`: sums are exact and a distance below 1e-6 counts as 0, or sums are rounded as the release rounds them
    (float32, in its order) and only what comes out as 0 is 0, which depends on the machine.
    Of more than `exact_up_to` pictures the neighbours are approximate, and `recall` says how many of the true ones were
    found. They are searched on the device of the features, all else runs on the CPU; memory grows with n times the
    neighbours, not with n².

    Raises ValueError for no pictures and for k1 or k2 below 1, DivergedError for a row that is not finite or not of
    length 1.
    Source: METHOD.md §4 steps 1-5, D13, D26.
    """
    features = features.detach()
    features = features if features.dtype == torch.float64 else features.float()
    _check(features, k1, k2)
    k = min(k1 if k1_counts_self else k1 + 1, len(features))
    if len(features) <= exact_up_to:
        return distances_by_ranking(features, exact_neighbours(features, k), k2=k2, k1=k1, duplicates=duplicates)
    ranking = approximate_neighbours(features, k)
    distances = distances_by_ranking(features, ranking, k2=k2, k1=k1, duplicates=duplicates)
    return replace(distances, recall=measured_recall(features, ranking))


def distances_by_ranking(
    features: Float[Tensor, "n d"],
    ranking: Int32[np.ndarray, "n k"],
    *,
    k2: int,
    k1: int | None = None,
    duplicates: Duplicates = "within_rounding",
) -> JaccardDistances:
    """Return the Jaccard distances that follow from rankings, each with the picture itself first (§4 steps 2-5).

    `k1`, from which the half set follows, is the length of the rankings unless it is given. See `jaccard_distance`.
    """
    half = round((k1 or ranking.shape[1]) / 2) + 1
    expanded, rounded = expanded_neighbours(ranking, half=half), duplicates == "exact_zero"
    if rounded:
        encoding = mean_in_ranking_order(softmax_row_by_row(features, expanded), ranking[:, :k2])
    else:
        encoding = mean_over_nearest(softmax_weights(features, expanded), ranking[:, :k2])
    return JaccardDistances(len(features), jaccard_similarity(encoding, zero=ZERO, rounded=rounded))


def _check(features: Tensor, k1: int, k2: int) -> None:
    if len(features) == 0:
        raise ValueError("no features to cluster: expected at least one row")
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 is {k1} and k2 is {k2}: expected both at least 1")
    lengths = torch.linalg.vector_norm(features, dim=1)
    wrong = ~((lengths - 1).abs() < 1e-2)  # so written, NaN is wrong too
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise DivergedError(
            f"feature row {row} has length {float(lengths[row]):.4g}, expected 1 ({int(wrong.sum())} such rows): "
            "normalise the features; a NaN or zero row means that the encoder diverged or never filled it"
        )
