"""What tests of data share."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.data.small_market import market as market


@pytest.fixture
def unprivileged() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A block in which files without rights cannot be read, also where tests run as root."""
    return _unprivileged


@contextlib.contextmanager
def _unprivileged() -> Iterator[None]:
    """Root may read everything; be somebody else for a moment."""
    if not hasattr(os, "seteuid"):
        pytest.skip("no users here whose rights could be dropped")
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
    except OSError:
        pytest.skip("rights cannot be dropped here")
    try:
        yield
    finally:
        os.seteuid(before)
