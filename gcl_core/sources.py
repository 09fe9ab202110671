"""Which source files a notebook stands on: what the DAG compares to know that a step has to run again."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from gcl_core.config import REPOSITORY

PACKAGE = "gcl_core"
# the DAG compares the settings themselves, so editing the files that describe them re-runs nothing
BY_VALUE = ("gcl_core/config.py", "gcl_core/fidelity.py", "gcl_core/settings/")


def source_files(notebook: Path) -> list[str]:
    """Return the files of gcl_core that a notebook's imports reach, directly or not, sorted.

    Paths are relative to the repository; tables (CSV) beside an imported module count as part of it.
    Raises SyntaxError for a cell or module that is not Python.
    """
    waiting = [name for cell in code_cells(notebook) for name in _imports(ast.parse(cell, filename=str(notebook)))]
    found: set[Path] = set()
    while waiting:
        path = _module(waiting.pop())
        if path is None or path in found:
            continue
        found |= {path, *path.parent.glob("*.csv")}
        waiting += _imports(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    names = {path.relative_to(REPOSITORY).as_posix() for path in found}
    return sorted(name for name in names if not name.startswith(BY_VALUE))


def code_cells(notebook: Path) -> list[str]:
    """Return the source of a notebook's code cells, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield every dotted name of gcl_core that a tree may import; `from a import b` may mean the module a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _module(name: str) -> Path | None:
    path = REPOSITORY.joinpath(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
