"""Arrays filled in chunks: every row in its place, a killed build goes on, what is broken is found."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gcl_core.data import store
from gcl_core.data.index import DataError
from gcl_core.data.store import fill_array, journal_path, open_array, partial_path, place_array, require_space
from gcl_core.files import RunError, read_json
from gcl_core.seeding import numpy_rng
from tests.lab import Killed

SHAPE = (100, 4, 3)  # a chunk holds seven rows: the last one is short
CHUNK = 7 * 12


class Spoilt(ValueError):
    """Marks a row as bad."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", CHUNK)


def values(row: int) -> np.ndarray:
    return numpy_rng(0, "store test", row).integers(1, 256, SHAPE[1:], dtype=np.uint8)


def fill(target: Path, read: Callable[[int], np.ndarray | None] = values, **changes: object) -> dict[int, str]:
    settings = {"identity": "these", "bad": Spoilt, "leave_out": False, "what": "test", "workers": 2, **changes}
    return fill_array(target, SHAPE, read, **settings)  # pyright: ignore[reportArgumentType]


def counted(rows: list[int], stop_at: int | None = None) -> Callable[[int], np.ndarray]:
    """Return `values`, noting in `rows` what was read, killed at row `stop_at`."""

    def read(row: int) -> np.ndarray:
        if row == stop_at:
            raise Killed
        rows.append(row)
        return values(row)

    return read


def test_every_row_is_in_its_place_and_nothing_else_remains(tmp_path: Path):
    target = tmp_path / "new" / "array.npy"
    assert fill(target) == {}
    assert not target.exists()
    place_array(target)
    expected = np.stack([values(row) for row in range(100)])
    assert np.array_equal(open_array(target), expected)
    np.save(tmp_path / "plain.npy", expected)
    assert target.read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("stop_at", [0, 6, 7, 50, 99])
def test_an_interrupted_build_reads_no_finished_chunk_again(tmp_path: Path, stop_at: int):
    with pytest.raises(Killed):
        fill(tmp_path / "array.npy", counted([], stop_at))
    read: list[int] = []
    fill(tmp_path / "array.npy", counted(read))
    assert min(read) == stop_at // 7 * 7
    place_array(tmp_path / "array.npy")
    fill(tmp_path / "whole.npy")
    assert (tmp_path / "array.npy").read_bytes() == partial_path(tmp_path / "whole.npy").read_bytes()


SLOW_BUILD = """
import sys, time
from pathlib import Path
from gcl_core.data import store
from test_store import CHUNK, fill, values
store.CHUNK_BYTES = CHUNK
fill(Path(sys.argv[1]), lambda row: time.sleep(0.02) or values(row))
"""


def test_a_build_killed_by_a_signal_goes_on_to_the_same_bytes(tmp_path: Path):
    target, here = tmp_path / "array.npy", Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, target], env=environment, stderr=subprocess.DEVNULL
    ) as run:
        deadline = time.monotonic() + 60
        while not journal_path(target).is_file() or len(read_json(journal_path(target))["chunks"]) < 3:
            assert run.poll() is None, "the build ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    finished = len(read_json(journal_path(target))["chunks"])
    assert 3 <= finished < 15
    read: list[int] = []
    fill(target, counted(read))
    assert min(read) == 7 * finished
    fill(tmp_path / "whole.npy")
    assert partial_path(target).read_bytes() == partial_path(tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("spoil", ["flip a byte", "cut the file"])
def test_a_finished_chunk_that_was_damaged_is_found(tmp_path: Path, spoil: str, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "array.npy"
    fill(target)
    whole = partial_path(target).read_bytes()
    place = len(whole) - 100 * 12 + 30 * 12  # row 30, in chunk 4
    damaged = (
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] if spoil == "flip a byte" else whole[:place]
    )
    partial_path(target).write_bytes(damaged)
    read: list[int] = []
    fill(target, counted(read))
    assert sorted(read) == list(range(28, 100))
    assert "chunk 4 does not have its checksum" in capsys.readouterr().out
    assert partial_path(target).read_bytes() == whole


def test_another_identity_or_shape_of_chunks_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path / "array.npy")
    for change in ("identity", "chunks", "journal"):
        if change == "chunks":
            monkeypatch.setattr(store, "CHUNK_BYTES", 3 * CHUNK)
        if change == "journal":
            journal_path(tmp_path / "array.npy").write_text("{")
        read: list[int] = []
        fill(tmp_path / "array.npy", counted(read), identity="others")
        assert sorted(read) == list(range(100)), change
    read = []
    fill(tmp_path / "array.npy", counted(read), identity="others")
    assert read == []


@pytest.mark.parametrize("leave_out", [True, False])
def test_bad_rows_are_told_and_left_out_or_empty_even_across_a_kill(tmp_path: Path, leave_out: bool):
    spoilt = {0, 6, 7, 30, 99}

    def read(row: int) -> np.ndarray:
        if row in spoilt:
            raise Spoilt(f"row {row} is spoilt")
        return values(row)

    def killed(row: int) -> np.ndarray:
        return read(row) if row < 60 else counted([], row)(row)

    with pytest.raises(Killed):
        fill(tmp_path / "array.npy", killed, leave_out=leave_out)
    told = fill(tmp_path / "array.npy", read, leave_out=leave_out)
    assert told == {row: f"row {row} is spoilt" for row in spoilt}
    place_array(tmp_path / "array.npy")
    zero = np.zeros(SHAPE[1:], np.uint8)
    expected = [zero if row in spoilt else values(row) for row in range(100) if not (leave_out and row in spoilt)]
    assert np.array_equal(open_array(tmp_path / "array.npy"), np.stack(expected))


def test_rows_without_values_are_zero_and_take_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "CHUNK_BYTES", 2**20)
    shape = (64, 256, 256)
    full = np.full(shape[1:], 9, np.uint8)
    fill_array(
        tmp_path / "array.npy",
        shape,
        lambda row: full if row == 5 else None,
        identity="holes",
        bad=Spoilt,
        leave_out=False,
        what="test",
    )
    place_array(tmp_path / "array.npy")
    array = open_array(tmp_path / "array.npy")
    assert array.shape == shape
    assert [int(row.max()) for row in array] == [9 if row == 5 else 0 for row in range(64)]
    assert (tmp_path / "array.npy").stat().st_blocks * 512 < 4 * full.size


def test_a_programming_error_in_a_row_is_not_taken_for_a_bad_row(tmp_path: Path):
    with pytest.raises(ValueError, match="reshape"):
        fill(tmp_path / "array.npy", lambda row: np.zeros((2, 2), np.uint8))


def test_a_full_disk_is_told_and_finished_chunks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    append, calls = store._append, []

    def full(*arguments: object) -> int:
        calls.append(arguments)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(store, "_append", full)
    with pytest.raises(RunError, match=r"array\.npy\.partial: No space left on device; finished chunks are kept"):
        fill(tmp_path / "array.npy")
    monkeypatch.setattr(store, "_append", append)
    read: list[int] = []
    fill(tmp_path / "array.npy", counted(read))
    assert min(read) == 21


def test_too_little_space_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**10, 8 * 10**9, 2 * 10**9))
    require_space(tmp_path / "new", 10**9)
    with pytest.raises(RunError, match=r"new: .* needs 3,000 MB, 2,000 MB are free; free space"):
        require_space(tmp_path / "new", 3 * 10**9)


@pytest.mark.parametrize("content", [None, b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_broken_array_is_named(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "array.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"array\.npy cannot be opened .*00_data_preparation again"):
        open_array(tmp_path / "array.npy")
