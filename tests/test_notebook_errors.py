"""What a notebook says that cannot go on: its last line names what is missing and who makes it, or what is known."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

CASES = [
    ("06_cluster_count_curves", "smok", "", ["no profile 'smok'", "known profiles:", "mini", "smoke"]),
    (
        "06_cluster_count_curves",
        "smoke",
        "profile=never_run",
        ["runs/never_run/gcl/seed0", 'notebooks/04_joint_training.ipynb with variant="gcl" and seed=0'],
    ),
]


@pytest.mark.parametrize(("name", "profile", "overrides", "words"), CASES)
def test_the_last_line_says_what_to_do(
    name: str, profile: str, overrides: str, words: list[str], repository: Path, tmp_path: Path
):
    executed = tmp_path / "executed.ipynb"
    command = [sys.executable, "-m", "papermill", repository / "notebooks" / f"{name}.ipynb", executed]
    given = ["-r", "profile", profile, "-r", "overrides", overrides, "--cwd", "notebooks", "--no-progress-bar"]
    answer = subprocess.run([*command, *given], cwd=repository, capture_output=True, text=True)
    assert answer.returncode != 0
    outputs = [output for cell in nbformat.read(executed, as_version=4).cells for output in cell.get("outputs", [])]
    (error,) = [output for output in outputs if output.output_type == "error"]
    assert error.ename in ("ConfigError", "RunError")
    assert "\n" not in error.evalue
    for word in words:
        assert word in error.evalue
    assert answer.stderr.rstrip().splitlines()[-1].endswith(error.evalue)
    assert not (repository / "runs" / "never_run").exists()
