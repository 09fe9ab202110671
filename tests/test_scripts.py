"""The shell scripts: nothing in them that shellcheck warns of."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed: apt install shellcheck")
def test_shell_scripts_are_clean(repository: Path) -> None:
    scripts = [
        "run_all.sh",
        "run_tests.sh",
        *sorted((repository / "scripts").glob("*.sh")),
        ".ci/run",
        ".binder/postBuild",
    ]
    answer = subprocess.run(["shellcheck", *scripts], cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
