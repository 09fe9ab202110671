"""Labels numbered so that equal clusterings have equal labels."""

import numpy as np
from jaxtyping import Int, Int64


def number_by_first_member(labels: Int[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return the same clusters numbered 0..C-1 by their first members; any negative label is an outlier, -1."""
    members = labels >= 0
    _, first, inverse = np.unique(labels[members], return_index=True, return_inverse=True)
    numbered = np.full(len(labels), -1, dtype=np.int64)
    numbered[members] = np.argsort(np.argsort(first))[inverse]
    return numbered
