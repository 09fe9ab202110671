"""Work in pieces: rows of a matrix a block at a time, blocks on as many threads as torch may use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array

BLOCK = 1 << 22  # numbers held at once
GROWTH = 8  # an eighth more room is made whenever there is none left

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def rows_at_once(width: int) -> int:
    """Return how many rows of `width` numbers make a block; at least one."""
    return max(1, BLOCK // max(1, width))


def row_slices(rows: int, *, width: int) -> list[slice]:
    """Return slices of `rows` rows that hold about BLOCK numbers each, `width` numbers per row."""
    step = rows_at_once(width)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def in_threads(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield `work` of every piece, in order, few pieces ahead of who takes them.

    Meant for compiled work, which lets go of Python's lock.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def stacked_rows(pieces: Iterable[csr_array], *, width: int) -> csr_array:
    """Return sparse matrices of `width` columns on top of each other, taken in one by one: memory holds them once."""
    starts, end = [np.zeros(1, np.int64)], 0
    columns, data = np.empty(0, np.int32), np.empty(0)
    for matrix in pieces:
        begin, end = end, end + matrix.nnz
        if not begin:
            data = data.astype(matrix.dtype)
        if end > len(columns):
            for whole in (columns, data):  # in place where the system can move pages
                whole.resize(end + end // GROWTH, refcheck=False)
        starts.append(begin + matrix.indptr[1:].astype(np.int64))
        columns[begin:end], data[begin:end] = matrix.indices, matrix.data
    for whole in (columns, data):
        whole.resize(end, refcheck=False)
    ends = np.concatenate(starts)
    ends = ends.astype(np.int32) if end <= np.iinfo(np.int32).max else ends  # scipy gives columns the type of ends
    return csr_array((data, columns, ends), shape=(len(ends) - 1, width))
