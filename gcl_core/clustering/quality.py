"""How well pseudo labels agree with true identities."""

import warnings

import numpy as np
from jaxtyping import Int
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor


def clustering_quality(
    labels: Int[np.ndarray, "n"] | Int[Tensor, "n"], identities: Int[np.ndarray, "n"] | Int[Tensor, "n"]
) -> dict[str, float]:
    """Return clusters, outliers, identities (counts) and ari, nmi, purity of pseudo labels (-1 = outlier).

    For `ari` (adjusted Rand index, at most 1) and `nmi` (normalised mutual information, in [0, 1]) every outlier is a
    cluster of its own. `purity`, in [0, 1], is the share of the clustered pictures that have their cluster's most
    frequent identity; outliers are left out, and it is 0 if there is no cluster. All values are finite.
    Raises ValueError for no pictures. Source: METHOD.md §7.2 (not in the paper).
    """
    found, true = np.asarray(labels), np.asarray(identities)
    if len(found) == 0:
        raise ValueError("no pseudo labels to judge: expected at least one picture")
    outlier = found < 0
    singled = np.where(outlier, found.max() + 1 + np.arange(len(found)), found)
    with warnings.catch_warnings():
        # many outliers make many classes: intended here, suspicious to scikit-learn
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        ari, nmi = adjusted_rand_score(true, singled), normalized_mutual_info_score(true, singled)
    majority = contingency_matrix(true[~outlier], found[~outlier]).max(axis=0).sum() if not outlier.all() else 0
    return {
        "clusters": float(len(np.unique(found[~outlier]))),
        "outliers": float(outlier.sum()),
        "identities": float(len(np.unique(true))),
        "ari": float(ari),
        "nmi": float(nmi),
        "purity": float(majority / max(1, (~outlier).sum())),
    }
