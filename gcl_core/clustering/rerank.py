"""Re-ranking of a whole distance matrix as JVTC does it, and DBSCAN on what comes out (METHOD.md §6.2)."""

import numpy as np
from jaxtyping import Float32, Int64
from scipy.sparse import csr_array

from gcl_core.clustering.blocks import row_slices
from gcl_core.clustering.jaccard import ZERO
from gcl_core.clustering.neighbour_sets import expanded_neighbours
from gcl_core.clustering.neighbour_weights import jaccard_similarity, mean_over_nearest
from gcl_core.clustering.numbering import number_by_first_member

Distances = Float32[np.ndarray, "n n"]


def rerank(distances: Distances, *, k1: int, k2: int, original_share: float | int) -> None:
    """Turn distances, IN PLACE, into (1 - original_share) · Jaccard + original_share · original, all in [0, 1].

    `distances` may be any that are finite, smaller being nearer; row i ranks the pictures as i sees them. Original
    means scaled: every row less its minimum, over its range (a constant row becomes 0), so that the result is not
    exactly symmetric. A ranking has the picture itself first, then its `k1` nearest others, ties by index; weights
    are exp(-scaled distance) and the expansion is the mean over the first `k2` of the ranking. What is below 1e-6 is a
    duplicate up to rounding and becomes exactly 0, as does the diagonal.

    In place, because the matrix of 13,000 pictures takes 0.7 GB. Raises ValueError for distances that are not finite.
    Source: METHOD.md §6.2, §4 steps 2-5.
    """
    n = len(distances)
    low, high = distances.min(axis=1, keepdims=True), distances.max(axis=1, keepdims=True)
    if not np.isfinite(high - low).all():
        gaps = (~np.isfinite(distances)).sum(axis=0)  # a picture whose features are no numbers leaves one in every row
        wrong = gaps >= min(gaps.max(), n // 2 + 1)
        raise ValueError(
            f"distances to picture {int(wrong.argmax())} are not finite ({int(wrong.sum())} such pictures): "
            "their features hold NaN or infinity, so the encoder diverged; lower its learning rate"
        )
    distances -= low
    distances /= np.where(high > low, high - low, 1)

    ranking = _ranking(distances, min(k1 + 1, n))
    pattern = expanded_neighbours(ranking, half=round(k1 / 2) + 1)
    of_row = np.repeat(np.arange(n), np.diff(pattern.indptr))
    weights = np.exp(-distances[of_row, pattern.indices].astype(np.float64))
    weights /= np.add.reduceat(weights, pattern.indptr[:-1])[of_row]  # every row holds at least the picture itself
    encoding = csr_array((weights, pattern.indices, pattern.indptr), shape=pattern.shape)
    upper = jaccard_similarity(mean_over_nearest(encoding, ranking[:, :k2]), zero=ZERO, rounded=False)
    similarity = csr_array(upper + upper.T)
    for rows in row_slices(n, width=n):
        block = distances[rows]
        block *= original_share
        block += (1 - original_share) * (1 - similarity[rows].toarray())
        block[block < ZERO] = 0
    np.fill_diagonal(distances, 0)


def radius_of(distances: Distances, *, rho: float | int) -> float:
    """Return DBSCAN's radius: the mean of the smallest share `rho` of the entries above the diagonal that are not 0.

    At least one entry is taken. Without any (one picture, or nothing but duplicates) it is 1e-6, a radius that joins
    duplicates only. Source: METHOD.md §4.6.
    """
    n = len(distances)
    pairs = sum(int(np.count_nonzero(np.triu(distances[rows], 1 + rows.start))) for rows in row_slices(n, width=n))
    if pairs == 0:
        return ZERO
    taken = max(1, round(rho * pairs))
    smallest = np.empty(0, np.float32)
    for rows in row_slices(n, width=n):
        near = np.triu(distances[rows], 1 + rows.start).ravel()
        smallest = np.concatenate([smallest, near[near != 0]])
        if len(smallest) > taken:
            smallest = np.partition(smallest, taken - 1)[:taken]
    return float(np.sort(smallest).mean(dtype=np.float64))


def labels_within(distances: Distances, *, eps: float | int, min_samples: int) -> Int64[np.ndarray, " n"]:
    """Return DBSCAN's labels at radius `eps`, 0..C-1 by first member, -1 for outliers (none with min_samples 1).

    The neighbours of picture i are those of row i up to `eps`, itself always among them.
    Source: METHOD.md §4.7, §6.2.
    """
    from sklearn.cluster import DBSCAN  # only here: the package takes a second and a half to import

    n, radius = len(distances), np.float64(eps)  # float64, lest the radius be rounded to the distances' float32
    indices, data, lengths = [np.empty(0, np.int64)], [np.empty(0)], [np.zeros(1, np.int64)]
    for rows in row_slices(n, width=n):
        near = distances[rows] <= radius
        np.fill_diagonal(near[:, rows], True)
        row, column = near.nonzero()
        value = distances[rows][row, column].astype(np.float64)
        value[row + rows.start == column] = 0
        indices.append(column)
        data.append(value)
        lengths.append(near.sum(axis=1))
    # built by hand, as scikit-learn reads stored zeros as distance 0 and a sum of sparse matrices would drop them
    graph = csr_array((np.concatenate(data), np.concatenate(indices), np.cumsum(np.concatenate(lengths))), shape=(n, n))
    found = DBSCAN(eps=float(eps), min_samples=min_samples, metric="precomputed").fit_predict(graph)
    return number_by_first_member(found)


def _ranking(distances: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest pictures of each row, itself first, ties by index: n x k."""
    blocks = []
    for rows in row_slices(len(distances), width=len(distances)):
        block = distances[rows].copy()
        np.fill_diagonal(block[:, rows], -np.inf)
        index = np.sort(np.argpartition(block, k - 1, axis=1)[:, :k], axis=1)
        nearest = np.take_along_axis(block, index, axis=1)
        index = np.take_along_axis(index, np.argsort(nearest, axis=1, kind="stable"), axis=1)
        # the partition chose freely among equals at the border
        tied = (block <= nearest.max(axis=1, keepdims=True)).sum(axis=1) > k
        index[tied] = np.argsort(block[tied], axis=1, kind="stable")[:, :k]
        blocks.append(index)
    return np.concatenate(blocks).astype(np.int32)
