"""Pseudo labels: DBSCAN on Jaccard distances, its radius taken from the data."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import coo_array
from sklearn.cluster import DBSCAN
from torch import Tensor

from gcl_core.clustering.jaccard import ZERO, JaccardDistances, jaccard_distance


@dataclass(frozen=True)
class Clusters:
    """Pseudo labels of n pictures: 0..C-1, numbered by first member, and -1 for outliers; `eps` is DBSCAN's radius."""

    labels: Int64[np.ndarray, "n"]
    eps: float

    @property
    def clusters(self) -> int:
        """Number of clusters, 0 if everything is an outlier."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def outliers(self) -> int:
        """Number of pictures in no cluster."""
        return int((self.labels < 0).sum())


def cluster(
    features: Float[Tensor, "n d"],
    *,
    k1: int = 30,
    k2: int = 6,
    k1_counts_self: bool = True,
    rho: float | int = 0.002,
    duplicates: Literal["within_rounding", "exact_zero"] = "within_rounding",
    min_samples: int = 4,
) -> Clusters:
    """Return the pseudo labels of unit features: Jaccard distances, radius by `rho`, DBSCAN.

    Finding no cluster or a single one is a plain result. Raises ValueError as `jaccard_distance` and `choose_eps` do.
    Source: METHOD.md §4.
    """
    distances = jaccard_distance(features, k1=k1, k2=k2, k1_counts_self=k1_counts_self, duplicates=duplicates)
    eps = choose_eps(distances, rho=rho)
    return Clusters(density_labels(distances, eps=eps, min_samples=min_samples), eps)


def choose_eps(distances: JaccardDistances, *, rho: float) -> float:
    """Return DBSCAN's radius: the mean of the smallest fraction `rho` of the pairs that are not at distance 0.

    Pairs at distance 1 count. At least one pair is taken. If no pair is left (one picture, or nothing but duplicates)
    the answer is 1e-6, a radius that joins duplicates only. Raises ValueError unless 0 < rho <= 1.
    Source: METHOD.md §4.6, D13.
    """
    if not 0 < rho <= 1:
        raise ValueError(f"rho is {rho}: expected a fraction of all pairs in (0, 1], such as 0.002")
    stored = distances.similarity.data
    near = 1.0 - stored[stored < 1].astype(np.float64)
    pairs = distances.count * (distances.count - 1) // 2 - (len(stored) - len(near))
    if pairs == 0:
        return ZERO
    taken = max(1, round(rho * pairs))
    smallest = np.partition(near, taken - 1)[:taken] if taken < len(near) else near
    return float((np.sort(smallest).sum() + (taken - len(smallest))) / taken)  # the rest are at distance 1


def density_labels(distances: JaccardDistances, *, eps: float, min_samples: int) -> Int64[np.ndarray, "n"]:
    """Return DBSCAN's labels at radius `eps`, 0..C-1 by first member, -1 for outliers.

    A picture is its own neighbour and counts towards `min_samples`. Pictures at distance 1 have nothing in common and
    are never neighbours, not even for eps = 1. Source: METHOD.md §4.7.
    """
    upper = distances.similarity.tocoo()
    near = 1.0 - upper.data.astype(np.float64)
    keep = near <= eps
    row, column, near = upper.row[keep], upper.col[keep], near[keep]
    # scikit-learn reads absent entries of a sparse graph as "not neighbours" and stored zeros as distance 0; as adding
    # a transposed matrix would drop those zeros, both triangles and the diagonal are laid side by side
    own = np.arange(distances.count)
    place = (np.concatenate([row, column, own]), np.concatenate([column, row, own]))
    graph = coo_array((np.concatenate([near, near, np.zeros(len(own))]), place), shape=upper.shape).tocsr()
    found = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(graph)
    return _numbered_by_first_member(found)


def _numbered_by_first_member(labels: np.ndarray) -> np.ndarray:
    members = labels >= 0
    _, first, inverse = np.unique(labels[members], return_index=True, return_inverse=True)
    numbered = np.full(len(labels), -1, dtype=np.int64)
    numbered[members] = np.argsort(np.argsort(first))[inverse]
    return numbered
