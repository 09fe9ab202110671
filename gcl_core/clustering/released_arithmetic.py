"""The Jaccard distance's sums as the release takes them: float32, in its order (D13).

Only the last bits differ from exact sums, but they decide which near-duplicates are at a distance of exactly 0, and the
release's ε leaves exactly those out.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor


def softmax_row_by_row(features: Float[Tensor, "n d"], pattern: csr_array) -> csr_array:
    """Return softmax(-(2 - 2 f_i·f_j)) over the pattern's entries, each row a product and a softmax in float32."""
    pattern, rows = pattern.sorted_indices(), []
    for row, (start, stop) in enumerate(zip(pattern.indptr[:-1], pattern.indptr[1:], strict=True)):
        others = features[torch.as_tensor(pattern.indices[start:stop].astype(np.int64), device=features.device)]
        distance = 2 - 2 * torch.mm(features[row : row + 1], others.t())
        rows.append(torch.softmax(-distance, dim=1).flatten().float().cpu().numpy())
    return csr_array((np.concatenate(rows), pattern.indices, pattern.indptr), shape=pattern.shape)


def mean_in_ranking_order(weights: csr_array, ranking: Int[np.ndarray, "n k"]) -> csr_array:
    """Return each row's mean of `weights` over its ranking: nearest first, in float32."""
    total = weights[ranking[:, 0]]
    for column in range(1, ranking.shape[1]):
        total = total + weights[ranking[:, column]]
    total.sort_indices()
    total.data /= np.float32(ranking.shape[1])  # scipy would multiply by the rounded reciprocal
    return total
