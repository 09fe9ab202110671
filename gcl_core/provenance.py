"""What a result comes from: code, settings, inputs, versions; and whether it is still what they give."""

import ast
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from gcl_core.config import REPOSITORY

PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "scipy", "pytorch-fid", "anny")
PACKAGE = "gcl_core"
# the DAG compares the settings themselves, so editing the files that describe them re-runs nothing
BY_VALUE = ("gcl_core/config.py", "gcl_core/fidelity.py", "gcl_core/settings/")


def hash_code(packages: Sequence[str]) -> str:
    """SHA-256 over the sources of sub-packages of gcl_core: a checkpoint goes on only under the code that wrote it."""
    digest = hashlib.sha256()
    for name in packages:
        for path in sorted((REPOSITORY / PACKAGE / name).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Short hash of anything JSON can hold, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def git_revision() -> str:
    """Return the checkout's commit, with `+changes` when files differ from it; `unknown` outside git."""
    command = ["git", "-C", str(REPOSITORY)]
    try:
        commit = subprocess.run(
            [*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        code = [*command, "status", "--porcelain", "--untracked-files=no", "--", "gcl_core", "notebooks", "configs"]
        changed = subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def provenance(device: torch.device) -> dict[str, Any]:
    """Return what a manifest says of code and machine: revision, versions, device, threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES if _installed(package)},
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


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
