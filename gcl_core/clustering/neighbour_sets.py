"""k-reciprocal neighbours and their expansion (METHOD.md §4 steps 2-3), as patterns of sparse matrices."""

from collections.abc import Callable
from functools import partial
from typing import no_type_check

import numpy as np
from jaxtyping import Int32
from numba import njit
from scipy.sparse import csr_array

from gcl_core.clustering.blocks import in_threads, row_slices, stacked_rows


def reciprocal_neighbours(ranking: Int32[np.ndarray, "n k"]) -> csr_array:
    """Return the n x n pattern with an entry where i and j are in each other's ranking; columns ascend in a row."""
    n, k = ranking.shape
    ranking = np.ascontiguousarray(ranking)
    return _pattern(n, k, partial(_reciprocal_rows, ranking))


def expanded_neighbours(ranking: Int32[np.ndarray, "n k"], *, half: int) -> csr_array:
    """Return the n x n pattern of the expanded k-reciprocal sets; columns ascend in a row.

    To the reciprocal neighbours R(i) of all k come those of a candidate c in R(i) within the first `half` of the
    rankings, if more than two thirds of them are in R(i). Source: METHOD.md §4 steps 2-3.
    """
    n, k = ranking.shape
    full, core = reciprocal_neighbours(ranking), reciprocal_neighbours(ranking[:, :half])
    rows_of = partial(_expanded_rows, full.indptr, full.indices, core.indptr, core.indices)
    return _pattern(n, k + k * min(half, k), rows_of)


def _pattern(n: int, most: int, rows_of: Callable[[int, int, np.ndarray], np.ndarray]) -> csr_array:
    """Gather the rows of a pattern, each of at most `most` columns: `rows_of` fills them and returns their ends."""

    def piece(rows: slice) -> csr_array:
        count = rows.stop - rows.start
        columns = np.empty(count * most, np.int32)
        ends = rows_of(rows.start, rows.stop, columns)
        return csr_array((np.ones(ends[-1], np.int8), columns[: ends[-1]].copy(), ends), shape=(count, n))

    return stacked_rows(in_threads(piece, row_slices(n, width=most)), width=n)


@njit(cache=True, nogil=True)
@no_type_check
def _reciprocal_rows(ranking, start, stop, columns):
    ends, end = np.zeros(stop - start + 1, np.int32), 0
    for row in range(start, stop):
        first = end
        for other in ranking[row]:
            for back in ranking[other]:
                if back == row:
                    columns[end] = other
                    end += 1
                    break
        columns[first:end].sort()
        ends[row - start + 1] = end
    return ends


@njit(cache=True, nogil=True)
@no_type_check
def _expanded_rows(full_starts, full, core_starts, core, start, stop, columns):
    in_full = np.full(len(full_starts) - 1, -1, np.int32)  # the last row that has this picture as its neighbour
    taken = np.full(len(full_starts) - 1, -1, np.int32)
    ends, end = np.zeros(stop - start + 1, np.int32), 0
    for row in range(start, stop):
        first = end
        neighbours = full[full_starts[row] : full_starts[row + 1]]
        for other in neighbours:
            in_full[other] = taken[other] = row
            columns[end] = other
            end += 1
        for candidate in neighbours:
            theirs = core[core_starts[candidate] : core_starts[candidate + 1]]
            shared = 0
            for other in theirs:
                shared += in_full[other] == row
            if 3 * shared > 2 * len(theirs):
                for other in theirs:
                    if taken[other] != row:
                        taken[other] = row
                        columns[end] = other
                        end += 1
        columns[first:end].sort()
        ends[row - start + 1] = end
    return ends
