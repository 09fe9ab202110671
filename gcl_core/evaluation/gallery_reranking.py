"""k-reciprocal re-ranking of a gallery: distances that know which pictures are in each other's neighbourhoods."""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.evaluation.ranking import squared_distances


def rerank_gallery(
    query_features: Float[Tensor, "q d"],
    gallery_features: Float[Tensor, "g d"],
    *,
    k1: int = 20,
    k2: int = 6,
    original_share: float | int = 0.3,
) -> Float32[np.ndarray, "q g"]:
    """Return (1 - original_share) · Jaccard + original_share · original distances, for `rank_distances`.

    All are in [0, 1] up to rounding; features have length 1. Query and gallery, junk included, are ranked together, so
    what a query finds depends on the other queries. A ranking has `k1` neighbours besides the picture itself; weights
    are exp(-‖a - b‖²), expansion is over the first `k2` of a ranking. Original is ‖a - b‖² over its largest value in
    the query's row, to the gallery. The paper adds plain distances; its authors' code divides squared ones by the
    largest in the row, to queries and gallery, and takes its weights from the quotients.
    Memory grows with q·g and with (q + g)·k1, not with (q + g)².

    Raises ValueError for a share outside [0, 1], and as `jaccard_distance` does, which counts rows queries first.
    Source: METHOD.md §4 steps 1-5; Zhong et al., CVPR 2017, "Re-ranking Person Re-identification with k-reciprocal
    Encoding".
    """
    if not 0 <= original_share <= 1:
        raise ValueError(f"original_share is {original_share}: expected a share of the original distance in [0, 1]")
    queries, start = len(query_features), 0
    union = torch.cat([query_features, gallery_features])
    found = jaccard_distance(union, k1=k1, k2=k2, k1_counts_self=False, exact_up_to=len(union))
    similarity = found.similarity[:queries, queries:]  # an upper triangle holds this corner whole
    distances = np.empty(similarity.shape, np.float32)
    for original in squared_distances(query_features, gallery_features):
        rows = slice(start, start + len(original))
        largest = original.max(axis=1, keepdims=True, initial=0)
        scale = original_share / np.where(largest > 0, largest, 1)
        distances[rows] = (1 - original_share) * (1 - similarity[rows].toarray()) + scale * original
        start = rows.stop
    return distances
