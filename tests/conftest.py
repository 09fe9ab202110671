"""Fixtures shared by all tests; switches on the run-time check of array shapes in gcl_core's signatures."""

import gc
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

gc.disable()  # until all tests are collected


def checked(*, typechecker: Any) -> Callable[[Any], Any]:
    """Stand in for jaxtyping's decorator, whose every call is dear: leave functions without arrays as they are."""

    def decorated(what: Any) -> Any:
        plain = inspect.isfunction(what) and "jaxtyping" not in str(what.__annotations__)
        return what if plain else with_shapes(what, typechecker=typechecker)

    return decorated


with_shapes, jaxtyping.jaxtyped = jaxtyping.jaxtyped, checked  # what the hook puts over every function
jaxtyping.install_import_hook("gcl_core", "beartype.beartype")

pytest_plugins = ("tests.made_up", "tests.free_body")  # after the hook: they import gcl_core
REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST = (
    "test_smoke_study.py",
    "test_study.py",
    "test_redraw.py",
    "test_parallel_stages.py",
    "test_types.py",
    "test_gpu_check.py",
)


def pytest_collection_finish() -> None:
    """Leave what is imported by now alone: looking through it for garbage takes a good part of the tests' time."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Let Python take apart at its end what it made: else libraries tell of leaks."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that no process is left with one of them alone at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference material beside the checkout; tests that need it are skipped in a clone without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside this clone: published golden outputs are not at hand")
    return folder
