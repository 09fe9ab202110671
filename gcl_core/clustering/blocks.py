"""Work in pieces: rows of a matrix a block at a time, blocks on as many threads as torch may use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array

BLOCK = 1 << 22  # numbers held at once

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def rows_at_once(width: int) -> int:
    """Return how many rows of `width` numbers make a block; at least one."""
    return max(1, BLOCK // max(1, width))


def row_slices(rows: int, *, width: int) -> list[slice]:
    """Return slices of `rows` rows that hold about BLOCK numbers each, `width` numbers a row."""
    step = rows_at_once(width)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def in_threads(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield `work` of every piece, in order; meant for compiled work, which lets go of Python's lock."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        yield from pool.map(work, pieces)


def stacked_rows(pieces: Iterable[csr_array], *, width: int) -> csr_array:
    """Return sparse matrices of `width` columns on top of each other, let go one by one: memory holds them once."""
    matrices = deque(pieces)
    places = sum(matrix.nnz for matrix in matrices)
    starts = [np.zeros(1, np.int64)]
    columns, data = np.empty(places, np.int32), np.empty(places, matrices[0].dtype)
    while matrices:
        matrix, begin = matrices.popleft(), starts[-1][-1]
        starts.append(begin + matrix.indptr[1:])
        columns[begin : starts[-1][-1]], data[begin : starts[-1][-1]] = matrix.indices, matrix.data
    ends = np.concatenate(starts)
    return csr_array((data, columns, ends), shape=(len(ends) - 1, width))
