"""How well pseudo labels agree with true identities."""

import warnings

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_array
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
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score  # a second to import

    found, true = np.asarray(labels), np.asarray(identities)
    if len(found) == 0:
        raise ValueError("no pseudo labels to judge: expected at least one picture")
    outlier = found < 0
    singled = np.where(outlier, found.max() + 1 + np.arange(len(found)), found)
    with warnings.catch_warnings():
        # many outliers make many classes: intended here, suspicious to scikit-learn
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        ari, nmi = adjusted_rand_score(true, singled), normalized_mutual_info_score(true, singled)
    people, person = np.unique(true, return_inverse=True)
    _, cluster, sizes = np.unique(found[~outlier], return_inverse=True, return_counts=True)
    ranged = sizes if len(sizes) else np.zeros(1, np.int64)
    # pictures by person and cluster; sparse, as a million pictures have tens of thousands of either
    place = (person[~outlier], cluster)
    table = coo_array((np.ones(len(cluster), np.int64), place), shape=(len(people), len(ranged))).tocsr()
    together = _pairs(table.data)
    return {
        "clusters": float(len(sizes)),
        "outliers": float(outlier.sum()),
        "identities": float(len(people)),
        "smallest": float(ranged.min()),
        "median_size": float(np.median(ranged)),
        "largest": float(ranged.max()),
        "ari": float(ari),
        "nmi": float(nmi),
        "purity": float(table.max(axis=0).sum() / max(1, len(cluster))),
        "pair_precision": together / max(1, _pairs(sizes)),
        "pair_recall": together / max(1, _pairs(np.bincount(person))),
    }


def _pairs(sizes: np.ndarray) -> int:
    """Return how many pairs groups of these sizes hold."""
    return int((sizes * (sizes - 1) // 2).sum())
