"""Seconds and peak memory of a piece of work in this process."""

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

Result = TypeVar("Result")
PROCESS = Path("/proc/self")  # of Linux; elsewhere memory is not measured


def measured(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """Return the result, the seconds, and the most memory above what the process had before, in GB (NaN elsewhere)."""
    gc.collect()
    if PROCESS.is_dir():
        (PROCESS / "clear_refs").write_text("5")  # the peak starts anew
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, (peak() - before) / 1e9


def peak() -> float:
    """Return the most memory the process had since the last measurement began, in bytes (NaN outside Linux)."""
    if not PROCESS.is_dir():
        return float("nan")
    status = (PROCESS / "status").read_text()
    return 1024 * float(status.split("VmHWM:")[1].split()[0])
