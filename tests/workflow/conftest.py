"""What tests of the workflow share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def study(repository: Path, tmp_path: Path) -> Path:
    """A checkout of its own."""
    for name in ("gcl_core", "configs", "notebooks", "scripts"):
        shutil.copytree(repository / name, tmp_path / name)
    shutil.copy(repository / "Snakefile", tmp_path)
    return tmp_path
