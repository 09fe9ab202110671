"""The types: the checker finds nothing. A test, so that it runs beside the others."""

import subprocess
import sys
from pathlib import Path


def test_types_hold(repository: Path) -> None:
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
