"""Arrays decoded once: filled chunk by chunk and checksummed, gone on with after a kill, read memory-mapped."""

import io
import math
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from gcl_core.data.index import DataError
from gcl_core.files import RunError, read_json, write_json
from gcl_core.machine import cores
from gcl_core.provenance import fingerprint

CHUNK_BYTES = 32 * 2**20  # decoded, written and checksummed together: no more is lost by a kill
BLOCKS = 32  # of a chunk; each is a thread's task. Processes decode a fifth faster, but take seconds to start


def partial_path(target: Path) -> Path:
    """Return the file in which an array is filled before it takes its name."""
    return target.with_name(f"{target.name}.partial")


def journal_path(target: Path) -> Path:
    """Return the file that says which chunks of a partial array are finished, with their checksums."""
    return target.with_name(f"{target.name}.journal")


def fill_array(
    target: Path,
    shape: Sequence[int],
    read: Callable[[int], np.ndarray | None],
    *,
    identity: str,
    bad: type[ValueError],
    leave_out: bool,
    what: str,
    workers: int | None = None,
) -> dict[int, str]:
    """Fill `<target>.partial`, a uint8 .npy file, with `read(i)` for all rows i of `shape`; return the bad rows.

    A row is bad when `read` raises `bad`; its text is returned. With `leave_out` the array has no such rows, without
    they are zero, as are rows for which `read` returns None; zero rows take no space on disk.
    Finished chunks are kept after a kill: the next call with the same `identity` (of all that `read` depends on)
    verifies their checksums and goes on behind them; another identity starts anew. `place_array` ends it.
    Raises RunError when the folder cannot be written or the disk is full.
    """
    count, row = shape[0], tuple(shape[1:])
    row_bytes, start = math.prod(row), len(_header(shape))
    step = max(1, CHUNK_BYTES // row_bytes)
    size = max(1, step // BLOCKS)
    identity = fingerprint([identity, list(shape), step])
    partial = partial_path(target)

    def attempt(index: int) -> np.ndarray | str | None:
        try:
            return read(index)
        except bad as error:
            return str(error)

    def attempt_all(block: range) -> list[np.ndarray | str | None]:
        return list(map(attempt, block))

    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        chunks = _finished_chunks(target, identity, start, row_bytes)
        with (
            partial.open("r+b" if chunks else "wb") as stream,
            ThreadPoolExecutor(workers or cores()) as pool,
            tqdm(total=count, initial=min(count, len(chunks) * step), desc=what, mininterval=2) as bar,
        ):
            stream.truncate(start + row_bytes * _rows(chunks))
            stream.seek(0, os.SEEK_END)
            for first in range(len(chunks) * step, count, step):
                last = min(first + step, count)
                blocks = [range(begin, min(begin + size, last)) for begin in range(first, last, size)]
                results = [result for block in pool.map(attempt_all, blocks) for result in block]
                failed = {first + place: text for place, text in enumerate(results) if isinstance(text, str)}
                kept = [result for result in results if not (leave_out and isinstance(result, str))]
                chunks.append({"rows": len(kept), "crc32": _append(stream, kept, row), "bad": failed})
                write_json(journal_path(target), {"identity": identity, "chunks": chunks})
                bar.update(last - first)
            stream.seek(0)
            stream.write(_header((_rows(chunks), *row)))
    except OSError as error:
        raise RunError(
            f"cannot write {partial}: {error.strerror or error}; finished chunks are kept. Free space or check "
            "permissions, then run the same again"
        ) from error
    return {int(index): text for chunk in chunks for index, text in chunk["bad"].items()}


def place_array(target: Path) -> None:
    """Give a filled array its name and forget its journal."""
    partial_path(target).replace(target)
    journal_path(target).unlink()


def require_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes fit beside what `folder` holds; partial arrays in it count as part of them.

    Raises RunError that says how much is needed and how much is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = sum(path.stat().st_blocks * 512 for path in folder.glob("*.partial"))
    free = shutil.disk_usage(folder).free + begun
    if needed > free:
        raise RunError(
            f"{folder}: what is to be stored there needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free; free "
            "space there, or choose a smaller picture size"
        )


def open_array(path: Path) -> np.ndarray:
    """Open a stored array read-only, memory-mapped. Raises DataError when it is missing or broken."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be opened ({error}); run notebook 00_data_preparation again") from error


def _header(shape: Sequence[int]) -> bytes:
    """Return the head of a uint8 .npy file; its length is the same for any number of rows."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)})
    return stream.getvalue()


def _append(stream: BinaryIO, rows: Sequence[np.ndarray | str | None], shape: tuple[int, ...]) -> int:
    """Write rows at the stream's end, a hole for each that has no pixels, and return the CRC-32 of all."""
    crc, hole = 0, bytes(math.prod(shape))
    for row in rows:
        values = row.reshape(shape).tobytes() if isinstance(row, np.ndarray) else hole
        crc = zlib.crc32(values, crc)
        if values is hole:
            stream.seek(len(hole), os.SEEK_CUR)
        else:
            stream.write(values)
    stream.truncate()  # a hole at the end counts only now
    stream.flush()
    return crc


def _finished_chunks(target: Path, identity: str, start: int, row_bytes: int) -> list[dict[str, Any]]:
    """Return the chunks of an earlier call up to the first whose checksum does not hold."""
    try:
        journal = read_json(journal_path(target))
        stream = partial_path(target).open("rb")
    except (RunError, FileNotFoundError):  # begun by nobody
        return []
    with stream:
        if journal["identity"] != identity:
            return []
        stream.seek(start)
        for number, chunk in enumerate(journal["chunks"]):
            values = stream.read(chunk["rows"] * row_bytes)
            if len(values) != chunk["rows"] * row_bytes or zlib.crc32(values) != chunk["crc32"]:
                print(f"{partial_path(target)}: chunk {number} does not have its checksum; decoding from there on anew")
                return journal["chunks"][:number]
        return journal["chunks"]


def _rows(chunks: Sequence[dict[str, Any]]) -> int:
    return sum(chunk["rows"] for chunk in chunks)
