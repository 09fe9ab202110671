"""A study on data that change, in checkouts of any name, with files dated ahead, and where nothing can be written."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gcl_core.config import load_study
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.workflow import study as workflow
from tests.test_cluster import planner, targets


def test_words_of_any_characters_reach_the_notebook_in_a_checkout_of_any_name(repository: Path, tmp_path: Path) -> None:
    """One part of the path a run takes is Snakemake, one is the shell, and each has characters of its own."""
    study = tmp_path / "my #2 'checkout' {x} 😀"
    for name in ("gcl_core", "configs", "notebooks", "scripts"):
        shutil.copytree(repository / name, study / name)
    shutil.copy(repository / "Snakefile", study)
    (study / "gcl_core" / "workflow" / "notebook.py").write_text(
        "import json, sys\nopen('told.json', 'w').write(json.dumps(sys.argv[1:]))\nraise SystemExit('told')\n"
    )
    given = f"{tmp_path}/a #b: 'c' \"d\" {{seed}} $HOME \\ \t\n😀 "
    (tmp_path / "own =#1.yaml").write_text("profile: own\nextends: smoke\n")
    command = [sys.executable, "-m", "gcl_core", "run", str(tmp_path / "own =#1.yaml"), f"data_root={given}"]
    environment = {**os.environ, "PYTHONPATH": str(study)}
    answer = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True)
    assert "00_data_preparation failed: told" in answer.stderr
    told = json.loads((study / "told.json").read_text())
    assert told[told.index("profile") + 1] == str(tmp_path / "own =#1.yaml")
    assert str(load_study("smoke", told[told.index("overrides") + 1]).data_root) == given


def test_what_is_dated_ahead_is_set_back_in_its_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout, now = Layout(load_study("smoke"), root=tmp_path), time.time()
    steps, figures = layout.runs / "steps", layout.figures
    files = [steps / "a.done", figures / "a.png", figures / "records" / "a.csv", steps / "b.done"]
    for place, path in enumerate(files):
        write_text(path, "x")
        os.utime(path, (now, now + 3600 * place))
    workflow._set_back_dates(layout)
    times = [path.stat().st_mtime for path in files]
    assert times == sorted(times)
    assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [3600, 3600, 3600]
    assert abs(times[-1] - now) < 60
    assert "dated up to 3.0 h ahead" in capsys.readouterr().out
    workflow._set_back_dates(layout)
    assert [path.stat().st_mtime for path in files] == times


def stand_in_for_data(study: Path, *overrides: str, profile: str = "smoke") -> list[str]:
    """Have notebook 00 only touch what it promises; return those files."""
    promised = [line.split("\t")[0] for line in summary(study, profile, *overrides).splitlines() if "\t" in line]
    first = [file for file in promised if "/dataset" in file or "/mesh_ways" in file]
    lines = ["from pathlib import Path", f"for file in {first}:", "    Path(file).parent.mkdir(exist_ok=True)"]
    text = "\n".join([*lines, "    Path(file).touch()"])
    (study / "gcl_core" / "workflow" / "notebook.py").write_text(text)
    return first


def test_a_checkout_dated_ahead_runs(study: Path) -> None:
    """As copied with its times from a machine of another time zone."""
    first = stand_in_for_data(study)
    ahead = time.time() + 5 * 3600
    for path in study.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            os.utime(path, (ahead, ahead))
    run = planner(study, "smoke", [], "--cores", "2", *targets("00_data_preparation"))
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert all((study / file).is_file() for file in first)


def test_changed_data_are_prepared_again_and_the_plan_says_so(study: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("bounding_box_train/1_c1.png", "query/2_c1.png", "bounding_box_test/2_c1.png"):
        write_text(root / name, "not looked into here")
    words = (f"data_root={root}", "profile=mine")
    stand_in_for_data(study, *words, profile="real_small")
    mark = targets("00_data_preparation", profile="mine")
    run = planner(study, "real_small", words, "--cores", "2", *mark)
    told, _ = run.communicate()
    assert run.returncode == 0, told
    (root / "query" / "@eaDir").mkdir()
    assert planned(summary(study, "real_small", *words), *mark) == "no update"
    (root / "bounding_box_test" / "2_c1.png").rename(root / "bounding_box_test" / "2_c2.png")
    assert planned(summary(study, "real_small", *words), *mark) == "update pending"


def planned(told: str, mark: str) -> str:
    return next(line.rpartition("\t")[2] for line in told.splitlines() if line.startswith(mark))


def summary(study: Path, profile: str, *overrides: str) -> str:
    run = planner(study, profile, overrides, "--cores", "2", "--summary")
    told, _ = run.communicate()
    assert run.returncode == 0, told
    return told


@pytest.mark.parametrize("folder", [".snakemake", "runs/smoke", "figures/smoke"])
def test_a_checkout_that_cannot_be_written_is_told_before_any_work(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / folder).write_text("")  # no folder can be made there, also by root
    monkeypatch.setattr(workflow, "REPOSITORY", tmp_path)
    monkeypatch.setattr(workflow, "_ended_with_us", lambda *_: pytest.fail("it began"))
    with pytest.raises(RunError, match=rf"cannot write in .*{folder}"):
        workflow.run_study(Layout(load_study("smoke"), root=tmp_path), "smoke", [])


@pytest.mark.parametrize("folder", [".snakemake", "runs", "figures", "runs/smoke", "figures/smoke"])
def test_where_no_folder_can_be_made_a_plan_says_so(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / folder).write_text("")
    monkeypatch.setattr(workflow, "REPOSITORY", tmp_path)
    with pytest.raises(RunError, match=rf"cannot write in .*{folder}"):
        workflow.step_states("smoke", [])
