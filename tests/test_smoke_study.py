"""The whole study in small, by the command that people type: every notebook, every figure, every table."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from gcl_core.cli import main
from gcl_core.config import load_study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.redraw import PLOTS, redraw
from gcl_core.files import hash_file
from gcl_core.outputs import GALLERY, OUTPUTS
from gcl_core.workflow.study import step_states
from tests import lab
from tests.documented import MODULE, commands

PROFILE = "smoke_test"  # beside `smoke`, so that the test leaves a user's own runs alone
WORDS = (  # without the ablations of a single loss: their steps are as no_vi's, C5 is tested in tests/tables
    f"profile={PROFILE}",
    "variants=[gcl,tda,no_vi]",
)
MADE = [each for each in OUTPUTS if each.made_by(load_study("smoke", WORDS))]
FIGURES, TABLES = ([each for each in MADE if each.kind == kind] for kind in ("figure", "table"))
REPORT = {"report.html", "how-to-cite.md"}  # they show the manifest and have no entry in it


def run_all(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [repository / "run_all.sh", "smoke", *WORDS, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def study(repository: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    folders = [repository / "runs" / PROFILE, repository / "figures" / PROFILE]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    answer = run_all(repository)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    yield answer
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def figures(repository: Path, study: object) -> Path:
    return repository / "figures" / PROFILE


@pytest.fixture(scope="module")
def runs(repository: Path, study: object) -> Path:
    return repository / "runs" / PROFILE


def test_progress_and_summary_are_shown(study: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"^01_baseline_seed0 \| .*epoch 4/4", study.stdout, re.MULTILINE)
    assert re.search(r"^04_joint_training_gcl_seed0 \| done in", study.stdout, re.MULTILINE)
    assert "18 of 18 steps done" in study.stdout
    for name in ("baseline", "gcl", "tda", "no_vi"):
        line = rf"^{name} +0 +\d+ +\d+\.\d +\d+\.\d +\d+  runs/{PROFILE}/{name}/seed0$"
        assert re.search(line, study.stdout, re.MULTILINE)
    assert f"figures/{PROFILE}/" in study.stdout.splitlines()[-1]


def test_every_notebook_was_executed_without_error(runs: Path, repository: Path) -> None:
    executed = sorted((runs / "notebooks").glob("*.ipynb"))
    assert {path.name[:2] for path in executed} == {
        path.name[:2] for path in (repository / "notebooks").glob("*.ipynb")
    }
    assert len(executed) == 17
    for path in executed:
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), path
        assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("name", [each.name for each in FIGURES])
def test_figure_is_there_in_both_formats(name: str, figures: Path) -> None:
    assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    pdf = (figures / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile" in pdf  # fonts are embedded


@pytest.mark.parametrize("name", [each.name for each in TABLES])
def test_table_is_there_in_all_formats(name: str, figures: Path) -> None:
    assert len((figures / f"{name}.csv").read_text().splitlines()) > 1
    assert "|" in (figures / f"{name}.md").read_text()
    assert r"\toprule" in (figures / f"{name}.tex").read_text()


def test_manifest_knows_every_file_and_its_runs(figures: Path, repository: Path) -> None:
    manifest = read_manifest(figures)
    files = {path.relative_to(figures).as_posix() for path in figures.rglob("*") if path.is_file()}
    assert files == set(manifest) | {"manifest.json", "records/runs.csv", *REPORT}
    assert set(manifest) == {name for each in MADE for name in each.files()} | {GALLERY}
    for name, entry in manifest.items():
        assert entry["sha256"] == hash_file(figures / name)
        assert entry["profile"] == PROFILE
        assert all(entry[key] for key in ("caption", "settings", "git_revision"))
        assert entry["runs"] or name == GALLERY
        assert all((repository / run["folder"]).is_dir() for run in entry["runs"])


def test_every_table_and_plot_is_redrawn_from_records_without_runs(figures: Path, tmp_path: Path) -> None:
    """By the records alone, in a folder that holds no run: the same bytes."""
    shutil.copytree(figures, tmp_path / "figures", ignore=shutil.ignore_patterns("*.pdf", "*.png"))
    for each in TABLES:
        if each.records:
            (tmp_path / "figures" / f"{each.name}.csv").unlink()
    study, start = load_study("smoke", WORDS), time.monotonic()
    files = redraw(study, tmp_path / "figures", tmp_path / "redrawn")
    assert time.monotonic() - start < 60  # a few seconds on a quiet machine
    assert [path.name for path in files if path.read_bytes() != (figures / path.name).read_bytes()] == []
    made = [each for each in MADE if each.kind == "table" or each.name in PLOTS]
    assert {path.name for path in files} == {name for each in made if each.kind != "record" for name in each.files()}


def test_report_shows_every_file_and_every_step(figures: Path, runs: Path) -> None:
    page = (figures / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert set(re.findall(r'<a href="([\w./-]+)">', page)) >= {
        *(name for name in read_manifest(figures) if name != GALLERY),
        "manifest.json",
        "how-to-cite.md",
    }
    assert not re.findall(r": not run; notebooks/|was changed|is gone|not here", page)
    steps = {path.stem for path in (runs / "steps").glob("*.done")} - {"report"}
    assert all(f"<td>{step}</td>" in page for step in steps)


def test_second_run_does_nothing_in_seconds(runs: Path, figures: Path, repository: Path) -> None:
    def stamps() -> dict[Path, int]:
        files = [*runs.rglob("*"), *figures.rglob("*")]
        return {path: path.stat().st_mtime_ns for path in files if path.is_file() and path.suffix != ".log"}

    before, start = stamps(), time.monotonic()
    answer = run_all(repository)
    assert answer.returncode == 0, answer.stderr
    assert "nothing to do" in answer.stdout
    assert stamps() == before
    assert time.monotonic() - start < 60  # a few seconds on a quiet machine


def waiting(*overrides: str) -> list[str]:
    """Return the steps that would run."""
    states = step_states("smoke", [*WORDS, *overrides])
    return [step for step, done in states.items() if not done]


@pytest.mark.parametrize("line", [line for file, line in commands() if file == "NOVEL_VIEWS.md" and "mini" in line])
def test_the_guide_to_novel_views_holds(
    line: str, study: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = line.partition(MODULE)[2].replace(" mini ", f" smoke {shlex.join(WORDS)} ")
    main(shlex.split(words, comments=True))
    [folder] = [path.parent for path in tmp_path.rglob("recipe.json")]
    views = [path for path in folder.rglob("*.png") if "sources" not in path.relative_to(folder).parts]
    assert len(views) == len((folder / "manifest.csv").read_text().splitlines()) - 1 > 0
    main(["verify-views", str(folder)])


def test_missing_figure_changed_setting_and_another_seed_are_noticed(figures: Path) -> None:
    (figures / "ablations.png").unlink()
    assert waiting() == ["07_ablations", "report"]
    assert len(waiting("contrast.temperature=0.05")) == 18
    more = waiting("seeds=2")
    assert "01_baseline_seed1" in more
    assert [step for step in more if step.endswith("seed0")] == ["08_generated_views_seed0"]  # FIDs are read anew


def test_notebooks_run_in_jupyterlab_and_their_sliders_move(study: object, repository: Path, tmp_path: Path) -> None:
    """As people step through the first, the one that teaches, and all that can be browsed: no error output, none on the
    browser's console, another picture for another value.
    """
    lab.chromium()
    notebooks = [
        path
        for path in sorted((repository / "notebooks").glob("*.ipynb"))
        if path.name.startswith(("00", "03b")) or "gcl_core.explore" in path.read_text(encoding="utf-8")
    ]
    names = lab.copied(notebooks, tmp_path / "notebooks", profile="smoke", overrides=shlex.join(WORDS))
    shots = repository / "runs" / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    told: list[str] = []
    moved = set()
    kernel = None
    with lab.jupyterlab(tmp_path / "notebooks") as address, lab.browser() as browser:
        window = browser.new_context(viewport=lab.WINDOW)  # one for all, so that JupyterLab is loaded once
        for name in names:
            page = window.new_page()
            page.on("pageerror", lambda error, name=name: told.append(f"{name}: {error}"))
            kernel = lab.start_all_cells(page, address, name, kernel)
            assert lab.wait_for_cells(page, seconds=300) > 3
            if page.locator(lab.SLIDER).count():
                before, after = lab.move_first_slider(page)
                assert before != after, name
                moved.add(name[:2])
            page.screenshot(path=shots / f"{Path(name).stem}.png")
            page.close()
    assert moved >= {"02", "08", "10"}
    assert told == []
