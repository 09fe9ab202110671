"""DBSCAN on sparse Jaccard distances, its radius taken from the data (METHOD.md §4 steps 6-7)."""

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gcl_core.clustering.blocks import BLOCK
from gcl_core.clustering.jaccard import ZERO, JaccardDistances
from gcl_core.clustering.numbering import number_by_first_member


def choose_eps(
    distances: JaccardDistances, *, rho: float | int = 0.002, pairs_per_picture: float | int | None = None
) -> float:
    """Return DBSCAN's radius: the mean of the smallest fraction `rho` of the pairs that are not at distance 0.

    With `pairs_per_picture` as many pairs are taken for every picture instead, whatever `rho`; a fraction of all pairs
    grows with the square of the number of pictures. Pairs at distance 1 count. At least one pair is taken. If no
    pair is left (one picture, or nothing but duplicates) the answer is 1e-6, a radius that joins duplicates only.
    What is held at once are the taken pairs, not all. Raises ValueError unless 0 < rho <= 1 and pairs_per_picture > 0.
    Source: METHOD.md §4.6 and its porting note, D13.
    """
    if not 0 < rho <= 1:
        raise ValueError(f"rho is {rho}: expected a fraction of all pairs in (0, 1], such as 0.002")
    if pairs_per_picture is not None and not 0 < pairs_per_picture < np.inf:
        raise ValueError(f"pairs_per_picture is {pairs_per_picture}: expected a number above 0, such as 13")
    similarity, count = distances.similarity.data, distances.count
    pairs = count * (count - 1) // 2 - sum(int((part == 1).sum()) for part in _parts(similarity, BLOCK))
    if pairs == 0:
        return ZERO
    taken = rho * pairs if pairs_per_picture is None else pairs_per_picture * count
    taken = min(pairs, max(1, round(taken)))
    nearest = np.empty(0, similarity.dtype)  # as similarities, the highest below 1
    for part in _parts(similarity, max(BLOCK, taken)):
        nearest = np.concatenate([nearest, part[part < 1]])
        if len(nearest) > taken:
            nearest = np.partition(nearest, len(nearest) - taken)[-taken:]
    farthest = np.float64(nearest.min()) if len(nearest) == taken else 0.0  # 0: some of those taken are at distance 1
    nearest = nearest.astype(np.float64)
    nearest -= farthest  # so that equal distances have exactly their own value as mean
    return float(1 - farthest - nearest.sum() / taken)


def density_labels(distances: JaccardDistances, *, eps: float | int, min_samples: int) -> Int64[np.ndarray, "n"]:
    """Return DBSCAN's labels at radius `eps`, 0..C-1 by first member, -1 for outliers.

    A picture is its own neighbour and counts towards `min_samples`. Pictures at distance 1 have nothing in common and
    are never neighbours, not even for eps = 1. Clusters are the connected components of core pictures; a picture within
    reach of several joins the one whose first core picture comes first, as in scikit-learn. Source: METHOD.md §4.7.
    """
    similarity, count = distances.similarity, distances.count
    near = np.concatenate(
        [np.empty(0, bool), *(1.0 - part.astype(np.float64) <= eps for part in _parts(similarity.data, BLOCK))]
    )
    places = np.flatnonzero(near)
    one = np.searchsorted(similarity.indptr, places, side="right") - 1
    other = similarity.indices[places]
    core = np.bincount(one, minlength=count) + np.bincount(other, minlength=count) + 1 >= min_samples

    both = core[one] & core[other]
    graph = coo_array((np.ones(both.sum(), np.int8), (one[both], other[both])), shape=(count, count))
    component = connected_components(graph, directed=False)[1]
    labels = np.full(count, count)  # no cluster has so high a number
    labels[core] = number_by_first_member(np.where(core, component, -1))[core]
    for core_end, border in ((one, other), (other, one)):
        reached = core[core_end] & ~core[border]
        np.minimum.at(labels, border[reached], labels[core_end[reached]])
    return number_by_first_member(np.where(labels < count, labels, -1))


def _parts(values: np.ndarray, length: int) -> list[np.ndarray]:
    return [values[start : start + length] for start in range(0, len(values), length)]
