"""A notebook runs in the interpreter that runs the study, whatever Jupyter and IPython find elsewhere first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

TOLD = """import os, sys
import gcl_core
print("kernel", sys.executable, os.getcwd(), gcl_core.__file__, words, seed + 1)"""


def put_kernel(folder: Path, command: list[str]) -> None:
    (folder / "kernels" / "python3").mkdir(parents=True)
    kernel = {"argv": command, "display_name": "Another", "language": "python"}
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(kernel))


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, str]:
    """Everything of somebody else's that Jupyter and IPython read: kernels called python3, start-up files, settings."""
    home = tmp_path / "home"
    for folder in (tmp_path / "share", home / ".local" / "share" / "jupyter", home / ".ipython"):
        put_kernel(folder, ["/bin/false", "{connection_file}"])
    failing = "raise SystemExit('started with files of somebody else')\n"
    for path in (
        home / ".ipython" / "profile_default" / "startup" / "00.py",
        home / ".ipython" / "profile_default" / "ipython_config.py",
        tmp_path / "startup.py",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(failing)
    return {"HOME": str(home), "JUPYTER_PATH": str(tmp_path / "share"), "PYTHONSTARTUP": str(tmp_path / "startup.py")}


def execute(folder: Path, repository: Path, code: str, kernel: str = "python3", **more: str):
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": kernel, "display_name": "x", "language": "python"}}
    )
    given = nbformat.v4.new_code_cell("words = ''\nseed = 0", metadata={"tags": ["parameters"]})
    notebook.cells = [given, nbformat.v4.new_code_cell(code)]
    nbformat.write(notebook, folder / "one.ipynb")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    command = [sys.executable, "-m", "gcl_core.workflow.notebook", folder / "one.ipynb", folder / "executed.ipynb"]
    given = ["-r", "words", "a 'b' #c 😀", "-p", "seed", "3"]
    return subprocess.run([*command, *given], cwd=repository, env=environment, capture_output=True, text=True)


def test_the_collector_is_on_and_what_is_registered_for_the_end_is_done(repository: Path, tmp_path: Path) -> None:
    code = "import atexit, gc, pathlib, sys\nprint('collects', gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
    answer = execute(tmp_path, repository, code + f"atexit.register(pathlib.Path({str(tmp_path / 'end')!r}).touch)")
    assert "collects True True" in answer.stdout, answer.stderr
    assert (tmp_path / "end").is_file()


@pytest.mark.parametrize("kernel", ["python3", "a-kernel-that-is-nowhere"])
def test_the_kernel_is_this_interpreter(kernel: str, foreign: dict[str, str], repository: Path, tmp_path: Path) -> None:
    answer = execute(tmp_path, repository, TOLD, kernel, **foreign)
    assert answer.returncode == 0, answer.stderr
    told = f"kernel {sys.executable} {repository}/notebooks {repository}/gcl_core/__init__.py a 'b' #c 😀 4"
    assert told in answer.stdout


def test_a_home_folder_that_is_not_there_is_not_needed(repository: Path, tmp_path: Path) -> None:
    answer = execute(tmp_path, repository, TOLD, HOME="/proc/nowhere", TMPDIR=str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert f"kernel {sys.executable}" in answer.stdout


def test_a_failing_cell_ends_with_its_error(repository: Path, tmp_path: Path) -> None:
    answer = execute(tmp_path, repository, "raise ValueError('picture 7 is broken')")
    assert answer.returncode == 1
    assert answer.stderr.rstrip().endswith("ValueError: picture 7 is broken")
