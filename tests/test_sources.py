"""The DAG must see every file that a notebook stands on: forgetting one would keep stale figures."""

import subprocess
import sys
from pathlib import Path

import nbformat

from gcl_core.provenance import source_files


def notebook(path: Path, *cells: str) -> Path:
    new = nbformat.v4
    nbformat.write(new.new_notebook(cells=[new.new_markdown_cell("import os"), *map(new.new_code_cell, cells)]), path)
    return path


def test_direct_and_indirect_imports_are_found(tmp_path: Path) -> None:
    found = source_files(notebook(tmp_path / "a.ipynb", "x = 1", "from gcl_core.layout import Layout"))
    assert found == ["gcl_core/__init__.py", "gcl_core/layout.py"]
    found = source_files(notebook(tmp_path / "b.ipynb", "from gcl_core.training.baseline import train_baseline"))
    assert {"gcl_core/training/baseline.py", "gcl_core/models/identity_encoder.py", "gcl_core/seeding.py"} < set(found)
    assert "gcl_core/training/__init__.py" in found
    assert not any(name.startswith("gcl_core/figures") for name in found)
    assert found == sorted(found)


def test_module_imported_from_its_package_is_found(tmp_path: Path) -> None:
    found = source_files(
        notebook(tmp_path / "a.ipynb", "from gcl_core import seeding\nimport gcl_core.losses.adversarial")
    )
    assert {"gcl_core/seeding.py", "gcl_core/losses/adversarial.py"} < set(found)


def test_settings_are_compared_by_value_and_tables_as_files(tmp_path: Path) -> None:
    found = source_files(notebook(tmp_path / "a.ipynb", "from gcl_core.measure.published import published"))
    assert "gcl_core/measure/paper_values.csv" in found
    assert "gcl_core/config.py" not in found
    assert not [name for name in found if name.startswith(("gcl_core/settings/", "gcl_core/fidelity"))]


def test_notebook_without_the_core_stands_on_nothing(tmp_path: Path) -> None:
    assert source_files(notebook(tmp_path / "a.ipynb", "import json\nfrom pathlib import Path")) == []


def test_nothing_that_python_really_imports_is_missing(repository: Path) -> None:
    """Oracle: import what a notebook imports and look at what is loaded."""
    path = repository / "notebooks" / "08_generated_views.ipynb"
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    imports = next(cell for cell in cells if "from gcl_core" in cell)
    show = "import sys\nprint(*(m.__file__ for n, m in sys.modules.items() if n.startswith('gcl_core')), sep='\\n')"
    command = [sys.executable, "-c", f"{imports}\n{show}"]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    imported = {Path(line).relative_to(repository).as_posix() for line in answer.stdout.splitlines()}
    sections = {path.relative_to(repository).as_posix() for path in (repository / "gcl_core" / "settings").glob("*.py")}
    settings = {"gcl_core/config.py", "gcl_core/fidelity.py", *sections}
    assert imported - set(source_files(path)) == settings
