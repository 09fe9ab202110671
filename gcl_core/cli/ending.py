"""How a command ends that is stopped from outside, or whose words nobody reads any more."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """End by SIGTERM as by an interruption: what a command has begun is removed, and what is kept is said."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    ours = threading.current_thread() is threading.main_thread()
    earlier = signal.signal(signal.SIGTERM, end) if ours else None
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, earlier)


def print_no_more() -> None:
    """Drop what is still to be printed: the interpreter would fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
