"""How well pseudo labels agree with true identities."""

import math

import numpy as np
from jaxtyping import Int, Int64
from scipy.sparse import coo_array, csr_array, find
from torch import Tensor


def clustering_quality(
    labels: Int[np.ndarray, "n"] | Int[Tensor, "n"], identities: Int[np.ndarray, "n"] | Int[Tensor, "n"]
) -> dict[str, float]:
    """Return counts, cluster sizes and agreement with identities of pseudo labels (-1 = outlier); all are finite.

    Counts: clusters, outliers, identities. Sizes in pictures, 0 if there is no cluster: smallest, median_size, largest.
    `ari` (adjusted Rand index, at most 1) and `nmi` (normalised mutual information, in [0, 1]) take every outlier as a
    cluster of its own. `purity`, in [0, 1], is the share of the clustered pictures that have their cluster's most
    frequent identity; outliers are left out, and it is 0 if there is no cluster. `pair_precision` is the share of the
    pairs in one cluster that are of one identity, `pair_recall` the share of the pairs of one identity that are in one
    cluster; both are 0 without any such pair, so that finding nothing never looks like a success.
    Raises ValueError for no pictures. Source: METHOD.md §7.2 (not in the paper).
    """
    found, true = np.asarray(labels), np.asarray(identities)
    if len(found) == 0:
        raise ValueError("no pseudo labels to judge: expected at least one picture")
    outlier = found < 0
    singled = np.where(outlier, found.max() + 1 + np.arange(len(found)), found)
    people, person = np.unique(true, return_inverse=True)
    parts, part = np.unique(singled, return_inverse=True)
    shared = _contingency(person, part, shape=(len(people), len(parts)))
    _, cluster, sizes = np.unique(found[~outlier], return_inverse=True, return_counts=True)
    ranged = sizes if len(sizes) else np.zeros(1, np.int64)
    table = _contingency(person[~outlier], cluster, shape=(len(people), len(ranged)))
    together = _pairs(table.data)
    return {
        "clusters": float(len(sizes)),
        "outliers": float(outlier.sum()),
        "identities": float(len(people)),
        "smallest": float(ranged.min()),
        "median_size": float(np.median(ranged)),
        "largest": float(ranged.max()),
        "ari": _adjusted_rand_index(shared),
        "nmi": _normalised_mutual_information(shared),
        "purity": float(table.max(axis=0).sum() / max(1, len(cluster))),
        "pair_precision": together / max(1, _pairs(sizes)),
        "pair_recall": together / max(1, _pairs(np.bincount(person))),
    }


def _contingency(
    rows: Int64[np.ndarray, " n"], columns: Int64[np.ndarray, " n"], *, shape: tuple[int, int]
) -> csr_array:
    """Return how many pictures are in each row and column; sparse, as a million have tens of thousands of either."""
    return coo_array((np.ones(len(rows), np.int64), (rows, columns)), shape=shape).tocsr()


def _adjusted_rand_index(table: csr_array) -> float:
    """Return the adjusted Rand index of the two partitions that a table counts, as scikit-learn's to the last bit."""
    squares = int(np.square(table.data).sum())
    rows, columns = (int(np.square(table.sum(axis=axis)).sum()) for axis in (1, 0))
    both, first, second = squares - int(table.sum()), rows - squares, columns - squares  # ordered pairs of pictures
    if first == second == 0:
        return 1.0
    neither = int(table.sum()) ** 2 - first - second - squares
    chance = (both + first) * (first + neither) + (both + second) * (second + neither)
    return 2.0 * (both * neither - first * second) / chance


def _normalised_mutual_information(table: csr_array) -> float:
    """Return mutual information over the mean of both entropies, computed as scikit-learn does, to the last bit."""
    rows, columns, pictures = table.sum(axis=1), table.sum(axis=0), table.sum()
    if len(rows) == len(columns) == 1:
        return 1.0
    if 1 in (len(rows), len(columns)):
        return 0.0
    row, column, count = find(table)
    share, log = count / pictures, math.log(pictures)
    terms = share * (np.log(count) - log) + share * (-np.log(rows[row] * columns[column]) + log + log)
    mutual = np.where(np.abs(terms) < np.finfo(np.float64).eps, 0.0, terms).sum()
    if mutual <= 0:
        return 0.0
    entropies = [float(-np.sum(sizes / pictures * (np.log(sizes) - log))) for sizes in (rows, columns)]
    return float(mutual / np.mean(entropies))


def _pairs(sizes: np.ndarray) -> int:
    """Return how many pairs groups of these sizes hold."""
    return int((sizes * (sizes - 1) // 2).sum())
