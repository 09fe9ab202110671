"""A changed evaluation reaches the tables of finished runs, and trains nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gcl_core.layout import Layout
from gcl_core.training.baseline import train_baseline
from tests.training.conftest import OVERRIDES, boxes, tiny_study

__all__ = ["boxes", "tiny_study"]
SHOW = """
import json, sys
from pathlib import Path
from gcl_core.config import load_study
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import records
layout = Layout(load_study("smoke", sys.argv[2]), root=Path(sys.argv[1]))
print(json.dumps(records(layout, ["baseline"])["map"].tolist()))
"""
RETURNED = 'return {"map": self.map,'


def shown(code: Path, layout: Layout) -> list[float]:
    """Return mAP by epoch as readers of runs see it, with the sources that lie in `code`."""
    environment = {**os.environ, "PYTHONPATH": str(code)}
    command = [sys.executable, "-c", SHOW, str(layout.root), " ".join(OVERRIDES.split())]
    answer = subprocess.run(command, env=environment, cwd=code, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_half_the_map_reaches_tables_without_training(boxes: Callable[..., Layout], repository: Path, tmp_path: Path):
    layout, code = boxes(), tmp_path / "code"
    folder = train_baseline(layout, 0)
    for name in ("gcl_core", "configs"):
        shutil.copytree(repository / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = shown(code, layout)
    path = code / "gcl_core" / "evaluation" / "ranking.py"
    assert RETURNED in path.read_text()
    path.write_text(path.read_text().replace(RETURNED, RETURNED.replace("self.map", "self.map / 2")))
    trained = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    after = shown(code, layout)
    assert after[-1] == before[-1] / 2
    assert all(value != value for value in after[:-1])  # weights of other epochs are gone: nothing is known of them
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert shown(code, layout)[-1] == after[-1]
