"""Pseudo labels by other clusterers than DBSCAN: HDBSCAN, which needs no radius, and k-means, which needs a number."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

from gcl_core.clustering.jaccard import ZERO, JaccardDistances
from gcl_core.clustering.numbering import number_by_first_member
from gcl_core.seeding import derive_seed

LARGE = 20_000  # pictures from which on k-means looks at a batch at a time


def hierarchy_labels(distances: JaccardDistances, *, min_samples: int) -> Int64[np.ndarray, "n"]:
    """Return HDBSCAN's labels, 0..C-1 by first member, -1 for outliers.

    Pictures are tied from near to far by mutual reachability: the distance, but at least either's distance to its
    `min_samples`-th nearest, itself counted. Where two or more parts of at least `min_samples` pictures meet, each ends
    as a cluster; chosen are the disjoint clusters that last longest, never the one of all pictures. Ties at one
    distance are tied at once, so the order of pictures does not matter (scikit-learn's HDBSCAN takes them one by one,
    and its labels change with the order). Duplicates count as 1e-6 apart. Memory grows with the stored pairs.

    Raises ValueError for `min_samples` below 2.
    Source: Campello, Moulavi, Sander 2013 (excess of mass; not in METHOD.md).
    """
    if min_samples < 2:
        raise ValueError(
            f"min_samples is {min_samples}: HDBSCAN expects at least 2, as one picture alone is no dense region; raise "
            "clustering.min_samples or take dbscan"
        )
    tree = minimum_spanning_tree(_reachability(distances, min_samples)).tocoo()
    order = np.argsort(tree.data)
    edges = zip(tree.data[order].tolist(), tree.row[order].tolist(), tree.col[order].tolist(), strict=True)
    growth = _Growth(distances.count, min_samples)
    for distance, level in groupby(edges, key=itemgetter(0)):
        growth.tie(1 / distance, ((one, other) for _, one, other in level))
    growth.finish()
    return number_by_first_member(growth.labels)


def kmeans_labels(features: Float[Tensor, "n d"], *, clusters: int, seed: int = 0) -> Int64[np.ndarray, "n"]:
    """Return the labels of k-means on unit features, numbered by first member; there are no outliers.

    Above 20,000 pictures by mini-batches. Fewer than `clusters` come out where pictures coincide or a cluster runs
    empty. Raises ValueError unless `clusters` is between 1 and n.
    """
    if not 1 <= clusters <= len(features):
        raise ValueError(
            f"k-means is to find {clusters} clusters among {len(features)} pictures: expected 1 to {len(features)}; "
            "set clustering.kmeans_clusters accordingly"
        )
    from sklearn.cluster import KMeans, MiniBatchKMeans  # only here: the package takes a second and a half to import

    method = KMeans if len(features) <= LARGE else MiniBatchKMeans
    means = method(clusters, random_state=derive_seed(seed, "k-means") % 2**32)
    return number_by_first_member(means.fit_predict(features.detach().cpu().numpy()))


def _reachability(distances: JaccardDistances, min_samples: int) -> csr_array:
    """Return mutual reachability below 1 of pairs i < j; what is absent is at 1."""
    upper = distances.similarity.tocoo()
    both = csr_array(distances.similarity + distances.similarity.T)
    others = min_samples - 1
    core = np.zeros(distances.count)  # similarity to the last picture that counts, 0 if there are not as many
    for picture in np.flatnonzero(np.diff(both.indptr) >= others):
        near = both.data[both.indptr[picture] : both.indptr[picture + 1]]
        core[picture] = np.partition(near, -others)[-others]
    similarity = np.minimum(upper.data, np.minimum(core[upper.row], core[upper.col]))
    tied = similarity > 0
    reach = np.maximum(1 - similarity[tied], ZERO)  # a stored 0 would be no edge to scipy, and has no density
    return csr_array((reach, (upper.row[tied], upper.col[tied])), shape=upper.shape)


class _Growth:
    """Parts of the pictures as they are tied from near to far, and labels of the clusters chosen among those ended.

    Density is 1 / distance. A part that is a cluster has in `clusters` the sum over its pictures of the density at
    which they joined it, and how long the best clusters within it lasted.
    """

    def __init__(self, count: int, smallest: int) -> None:
        self.labels = np.full(count, -1, dtype=np.int64)
        self.smallest = smallest
        self.members = [[picture] for picture in range(count)]  # at a part's root; empty elsewhere
        self.above = list(range(count))  # towards the root
        self.clusters: dict[int, tuple[float, float]] = {}
        self.chosen = 0

    def tie(self, density: float, edges: Iterable[tuple[int, int]]) -> None:
        """Join the parts that edges of one density tie, however many meet, at once."""
        meetings: dict[int, list[int]] = {}
        for edge in edges:
            large, small = sorted(map(self._root, edge), key=lambda part: len(self.members[part]), reverse=True)
            meetings.setdefault(large, [large]).extend(meetings.pop(small, [small]))
            self.above[small] = large
        for root, parts in meetings.items():
            self._meet(density, root, parts)

    def finish(self) -> None:
        """End the clusters that have nothing in common, at distance 1; a last one that met no other is no cluster."""
        if len(self.clusters) > 1:
            for part in self.clusters:
                self._end(1.0, part)

    def _root(self, picture: int) -> int:
        while self.above[picture] != picture:
            self.above[picture] = picture = self.above[self.above[picture]]
        return picture

    def _meet(self, density: float, root: int, parts: list[int]) -> None:
        ended = [part for part in parts if part in self.clusters]
        size = sum(len(self.members[part]) for part in parts)
        if len(ended) == 1:  # a cluster and pictures that join it
            joined, within = self.clusters.pop(ended[0])
            self.clusters[root] = (joined + density * (size - len(self.members[ended[0]])), within)
        elif size >= self.smallest:
            within = sum(self._end(density, part) for part in ended)
            for part in ended:
                del self.clusters[part]
            self.clusters[root] = (density * size, within)
        for part in parts:
            if part != root:
                self.members[root] += self.members[part]
                self.members[part] = []

    def _end(self, density: float, part: int) -> float:
        """Choose between a cluster that ends and those within it; return how long the better lasted."""
        joined, within = self.clusters[part]
        lasted = joined - density * len(self.members[part])
        if lasted < within:
            return within
        self.labels[self.members[part]] = self.chosen
        self.chosen += 1
        return lasted
