"""Runs one notebook of the study: `python -m gcl_core.workflow.notebook NOTEBOOK EXECUTED`, as scripts/step.sh does.

The notebook runs in the interpreter that runs this module, whatever kernels are installed under its kernel's name, and
without the startup files and settings of IPython that somebody keeps in the home folder.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from gcl_core.config import REPOSITORY

NOTEBOOKS = REPOSITORY / "notebooks"  # where they run, as in JupyterLab


class OwnKernel(AsyncKernelManager):
    """Starts IPython in this very interpreter."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """What is started, in place of what the kernel's name stands for."""
        command = [sys.executable, "-m", "gcl_core.workflow.kernel", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def run_notebook(notebook: Path, executed: Path, parameters: dict[str, str | int]) -> None:
    """Execute a notebook into a copy, printing what it prints. Raises papermill's error when a cell fails."""
    # jsonschema goes without this package; it compiles a grammar of web addresses, which takes longer than all else.
    # Never stopped: that would also take out of sys.modules what was imported since, and the next import starts over.
    patch.dict(sys.modules, {"rfc3987_syntax": None}).start()
    from papermill import execute_notebook

    with tempfile.TemporaryDirectory(prefix="gcl_core-") as scratch:
        search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        os.environ.update({"PYTHONPATH": search, "IPYTHONDIR": scratch, "JUPYTER_RUNTIME_DIR": scratch})
        os.environ.pop("PYTHONSTARTUP", None)
        execute_notebook(
            notebook,
            executed,
            parameters,
            cwd=NOTEBOOKS,
            progress_bar=False,
            stdout_file=sys.stdout,
            kernel_manager_class=OwnKernel,
            start_timeout=600,  # seconds: the first import of PyTorch from a slow disk
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("notebook", type=Path)
    parser.add_argument("executed", type=Path)
    parser.add_argument("-r", nargs=2, action="append", default=[], metavar=("NAME", "TEXT"))
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "NUMBER"))
    chosen = parser.parse_args()
    run_notebook(chosen.notebook, chosen.executed, {**dict(chosen.r), **{name: int(value) for name, value in chosen.p}})
