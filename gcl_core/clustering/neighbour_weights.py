"""Pictures as weights over their neighbours (METHOD.md §4 step 4), and how much of them two share (step 5)."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int32
from numba import njit
from scipy.sparse import csr_array
from torch import Tensor

from gcl_core.clustering.blocks import in_threads, row_slices, stacked_rows

ROW = 1 << 12  # other pictures that one may share neighbours with; more are made room for


def softmax_weights(features: Float[Tensor, "n d"], pattern: csr_array) -> csr_array:
    """Return softmax(-(2 - 2 f_i·f_j)) over the pattern's entries of each row, in float32.

    Every row of the pattern holds at least the picture itself. Source: METHOD.md §4 step 4.
    """
    rows = np.ascontiguousarray(features.cpu().numpy())
    weights = np.empty(pattern.nnz, np.float32)

    def fill(piece: slice) -> None:
        start, stop = pattern.indptr[piece.start], pattern.indptr[piece.stop]
        products = _products(rows, pattern.indptr, pattern.indices, piece.start, piece.stop).astype(np.float64)
        lengths = np.diff(pattern.indptr[piece.start : piece.stop + 1])
        exponents = np.exp(2 * products - 2)
        sums = np.add.reduceat(exponents, pattern.indptr[piece] - start)
        weights[start:stop] = exponents / np.repeat(sums, lengths)

    for _ in in_threads(fill, row_slices(len(rows), width=rows.shape[1] * -(-pattern.nnz // len(rows)))):
        pass
    return csr_array((weights, pattern.indices, pattern.indptr), shape=pattern.shape)


def mean_over_nearest(weights: csr_array, nearest: Int32[np.ndarray, "n k"]) -> csr_array:
    """Return every row's mean of `weights` over the rows of its nearest, in float32: local query expansion (§4)."""
    n, k = nearest.shape
    columns = np.sort(nearest, axis=1)

    def mean(rows: slice) -> csr_array:
        count = rows.stop - rows.start
        own = (np.ones(count * k), columns[rows].ravel(), np.arange(0, count * k + 1, k))
        found = csr_array(csr_array(own, shape=(count, n)) @ weights) / k
        found.sort_indices()
        return csr_array(found.astype(np.float32))

    return stacked_rows(map(mean, row_slices(n, width=k * -(-weights.nnz // n))), width=n)


def jaccard_similarity(encoding: csr_array, *, zero: float | int, rounded: bool) -> csr_array:
    """Return 1 - Jaccard distance = S / (2 - S), S = Σ_l min(V_il, V_jl), of all i < j that share anything.

    An upper triangle in float32, the columns of a row in no order. S is summed in float64 and a distance below `zero`
    becomes 0, or in float32 over ascending l as the release does it (`rounded`), whose zeros are left as they come.
    Source: METHOD.md §4 step 5.
    """
    encoding = encoding.sorted_indices()
    columns = encoding.tocsc()
    number = np.float32 if rounded else np.float64
    limits = number(0), number(1 if rounded else 1 - zero), number(2)
    n = len(encoding.indptr) - 1

    def share(rows: slice) -> csr_array:
        matrices = (encoding.indptr, encoding.indices, encoding.data, columns.indptr, columns.indices, columns.data)
        starts, others, similarity = _shared_rows(*matrices, rows.start, rows.stop, *limits)
        return csr_array((similarity, others, starts), shape=(rows.stop - rows.start, n))

    return stacked_rows(in_threads(share, row_slices(n, width=ROW)), width=n)


@njit(cache=True, nogil=True)
@no_type_check
def _products(features, starts, columns, start, stop):
    products, place = np.empty(starts[stop] - starts[start], features.dtype), 0
    for row in range(start, stop):
        for entry in range(starts[row], starts[row + 1]):
            products[place] = np.dot(features[row], features[columns[entry]])
            place += 1
    return products


@njit(cache=True, nogil=True)
@no_type_check
def _shared_rows(starts, columns, weights, column_starts, column_rows, column_weights, start, stop, zero, limit, two):
    n = len(starts) - 1
    sums, touched = np.full(n, zero), np.empty(n, np.int32)
    others, similarity = np.empty(ROW, np.int32), np.empty(ROW, np.float32)
    ends, end = np.zeros(stop - start + 1, np.int32), 0
    for row in range(start, stop):
        count = 0
        for entry in range(starts[row], starts[row + 1]):
            column, weight = columns[entry], weights[entry]
            place, last = column_starts[column], column_starts[column + 1]
            place += np.searchsorted(column_rows[place:last], row, side="right")  # only rows below this one
            for meeting in range(place, last):
                other = column_rows[meeting]
                if sums[other] == zero:  # weights are above 0
                    touched[count] = other
                    count += 1
                sums[other] += min(weight, column_weights[meeting])
        if end + count > len(others):
            room = 2 * (end + count)
            others, old = np.empty(room, np.int32), others
            others[:end] = old[:end]
            similarity, values = np.empty(room, np.float32), similarity
            similarity[:end] = values[:end]
        for other in touched[:count]:
            alike = sums[other] / (two - sums[other])
            others[end], similarity[end] = other, 1 if alike > limit else alike
            sums[other] = zero
            end += 1
        ends[row - start + 1] = end
    return ends, others[:end], similarity[:end]
