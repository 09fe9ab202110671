"""The two commands and `python -m gcl_core`: help, wrong words, plans; no traceback, nothing touched."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from gcl_core import cli
from gcl_core.cli import GO_ON, main
from gcl_core.cli.words import local_path, read_study
from gcl_core.config import PeopleSettings, known_profiles
from gcl_core.data.index import read_index
from gcl_core.data.people.estimates import known_bodies
from gcl_core.data.people.make import make_people
from gcl_core.mesh.body import load_bodies
from gcl_core.mesh.keypoints import Person, write_coco


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gcl_core", *words], cwd=cwd, capture_output=True, text=True)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | str | None, str]:
    """Run a command in this process; return its exit status and all it printed."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    captured = capsys.readouterr()
    return ended.value.code, captured.out + captured.err


def test_run_all_help_needs_no_environment(repository: Path, tmp_path: Path) -> None:
    shutil.copy(repository / "run_all.sh", tmp_path)
    for words in (["--help"], ["mini", "-h"]):
        answer = subprocess.run([tmp_path / "run_all.sh", *words], capture_output=True, text=True)
        assert answer.returncode == 0
        assert all(name in answer.stdout for name in ("--dry-run", "--seeds", "--jobs", *known_profiles()))
    assert [path.name for path in tmp_path.iterdir()] == ["run_all.sh"]


def test_run_tests_help_needs_no_environment(repository: Path, tmp_path: Path) -> None:
    shutil.copy(repository / "run_tests.sh", tmp_path)
    answer = subprocess.run([tmp_path / "run_tests.sh", "--help"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("usage: ./run_tests.sh")


def test_who_reads_enough_of_what_is_told_sees_no_fault(repository: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gcl_core", "switches"], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (141, b"")
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_full_disk_under_what_is_printed_is_told(repository: Path) -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "gcl_core", "switches"]
        answer = subprocess.run(words, cwd=repository, stdout=full, stderr=subprocess.PIPE, text=True)
    assert answer.returncode == 1
    assert answer.stderr == "cannot write: No space left on device; free space there, then give the command again\n"


def test_a_command_whose_streams_are_closed_does_its_work(repository: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m gcl_core switches --out {tmp_path / 'page.md'} >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=repository).returncode == 0
    assert (tmp_path / "page.md").is_file()


def test_a_command_that_is_asked_to_end_says_what_is_kept(repository: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gcl_core", "make-people", "smoke", "--out", str(tmp_path / "people")]
    process = subprocess.Popen(
        [*words, "people.train_identities=500"], cwd=repository, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.read(1)  # its progress: it is at work
    process.send_signal(signal.SIGTERM)
    assert process.stderr.read().endswith("stopped; what was computed is kept, the same command goes on from there\n")
    assert process.wait() == 143
    process.stderr.close()


@pytest.mark.parametrize("name", ["~no such user/x", "~x", "~"])
def test_a_name_may_begin_with_a_tilde(name: str) -> None:
    assert local_path(name) == (Path.home() if name == "~" else Path(name))


def test_help_names_every_command_and_imports_nothing_slow(repository: Path) -> None:
    code = (
        "import sys\nfrom gcl_core.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as ended:\n    assert ended.code == 0\n"
        "assert not {'torch', 'pandas', 'snakemake', 'anny'} & set(sys.modules), sys.modules.keys()"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    names = ("run", "plan", "summary", "evaluate", "make-people", "data-report", "unpack", "keypoints", "fit-bodies")
    assert all(name in answer.stdout for name in (*names, "pose-bodies"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan", "minni"], "no profile 'minni'"),
        (["plan", "mini", "joint.epoch=3"], "joint.epoch: unknown key"),
        (["plan", "mini", "joint.epochs=0"], "greater than or equal to 1"),
        (["plan", "mini", "smoke"], "one profile"),
        (["plan", "market1501"], "data_root"),
        (["run", "mini", "--seeds", "0"], "whole number"),
        (["run", "mini", "--jobs", "two"], "whole number"),
        (["run", "mini", "--seed", "3"], "--seed"),
        (["run", "mini", "--fast", "seeds=2"], "--fast"),
        (["evaluate"], "whose encoder"),
        (["make-people", "mini"], "--out"),
        (["data-report"], "--root"),
        (["data-report", "--root", "x", "--dataset", "market"], "invalid choice: 'market'"),
        (["data-report", "--root", "x", "mini"], "unexpected word 'mini'"),
        (["fit-bodies", "--root", "x"], "--keypoints"),
        (["fit-bodies", "--root", "x", "--keypoints", "k", "--height", "31"], "even number"),
        (["pose-bodies", "--root", "x"], "--smpl"),
        (["unpack", "x.zip"], "--out"),
        (["walk"], "walk"),
        ([], "COMMAND"),
    ],
)
def test_wrong_words_are_told_and_end_with_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = told(capsys, *words)
    assert status == 2
    assert expected in text
    assert "Traceback" not in text


def test_study_that_was_not_run_is_told_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = told(capsys, "evaluate", "smoke", "gcl", "profile=never_run")
    assert status == 1
    assert "never_run/gcl/seed0/encoder.safetensors is missing" in text


def test_data_commands_bring_a_dataset_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pack, unpack, report, fit, report again: what somebody with an archive and keypoints types."""
    settings = PeopleSettings(
        train_identities=2, test_identities=2, cameras=2, pictures_per_identity=4, true_views=False
    )
    people = make_people(tmp_path / "people", settings, height=128, width=64, workers=1, progress=False)
    root = tmp_path / "set"
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", people)
    main(["unpack", archive, "--out", str(root)])
    shutil.rmtree(root / "meshes")
    main(["data-report", "--root", str(root)])
    assert re.search(r"^train +8 ", capsys.readouterr().out, re.MULTILINE)
    names = [Path(file).name for file in read_index("folder", root)["file"]]
    known = known_bodies(root, names, *load_bodies())
    points = {name: body.keypoints(128, 64).tolist() for name, body in known.items()}
    persons = {n: Person(64, 128, [x for c, r in each for x in (c, r, 2)], 1.0) for n, each in points.items()}
    write_coco(tmp_path / "keypoints.json", persons)
    words = ["--root", str(root), "--keypoints", str(tmp_path / "keypoints.json"), "--height", "64"]
    main(["fit-bodies", *words])
    assert f"bodies       {len(names)} (100.0% of all pictures)" in capsys.readouterr().out
    status, text = told(capsys, "data-report", "--root", str(root), "--mesh-root", str(root / "meshs"))
    assert (status, "meshs is no folder; give the one of meshes" in text) == (1, True)
    main(["data-report", "--root", str(root)])
    report = capsys.readouterr().out
    for side in ("train", "test"):
        assert re.search(rf"^{side} meshes +8 pictures with all 8, 0 with none", report, re.MULTILINE)


def test_report_of_a_bad_set_ends_with_1_and_of_no_set_tells_where_to_look(tmp_path: Path, capsys) -> None:
    settings = PeopleSettings(
        train_identities=2, test_identities=2, cameras=2, pictures_per_identity=4, true_views=False
    )
    root = make_people(tmp_path / "people", settings, height=64, width=32, workers=1, progress=False)
    next((root / "query").glob("*.jpg")).write_bytes(b"")
    status, text = told(capsys, "data-report", "--root", str(root))
    assert status == 1
    assert "0 bytes" in text
    status, text = told(capsys, "data-report", "--root", str(tmp_path))
    assert status == 1
    assert str(root) in text
    assert "Traceback" not in text


def test_words_may_stand_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("gcl_core.cli._plan", lambda chosen, words: seen.append(read_study(chosen, words)))
    main(["plan", "smoke", "joint.epochs=5", "--seeds", "3"])
    main(["plan", "--seeds", "3", "smoke", "joint.epochs=5"])
    main(["plan", "joint.epochs=5", "--seeds", "3", "smoke"])
    studies = [study for study, _, _ in seen]
    assert studies[0] == studies[1] == studies[2]
    assert (studies[0].profile, studies[0].seeds, studies[0].joint.epochs) == ("smoke", 3, 5)


def test_folders_and_profile_files_are_those_of_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("joint: {epochs: 7}\n")
    monkeypatch.setattr("gcl_core.cli._plan", lambda chosen, words: seen.append(read_study(chosen, words)))
    main(["plan", "own.yaml", "data_root=my data", "mesh_root=null"])
    study, profile, overrides = seen[0]
    assert (study.data_root, study.mesh_root, study.joint.epochs) == (tmp_path / "my data", None, 7)
    assert profile == str(tmp_path / "own.yaml")
    assert overrides == [f"data_root={tmp_path}/my data", "mesh_root=null"]


def test_a_plan_says_where_data_lie_and_that_they_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gcl_core.workflow.study.step_states", lambda *_: {"00_data_preparation": True})
    main(["plan", "market1501", f"data_root={tmp_path}"])
    main(["plan", "market1501", f"data_root={tmp_path}/typo"])
    told = re.findall(r"^data +(.*);", capsys.readouterr().out, re.MULTILINE)
    assert told == [f"market1501 in {tmp_path}", f"market1501 in {tmp_path}/typo (not there)"]


def test_dry_run_from_anywhere_says_what_would_run_and_touches_nothing(repository: Path, tmp_path: Path) -> None:
    words = ["smoke", "profile=never_run", "--seeds", "2", "--dry-run"]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    answer = subprocess.run(
        [repository / "run_all.sh", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    steps = re.findall(r"^(\d\db?_\w+) +to run$", answer.stdout, re.MULTILINE)
    assert len(steps) == 1 + 2 + 1 + 2 + 2 * 6 + 10  # the report has no number
    assert steps == sorted(steps)
    assert "29 of 29 steps to run" in answer.stdout
    assert re.search(r"^stage 3, a variant that draws.* \d+\.\d GB$", answer.stdout, re.MULTILINE)
    assert re.search(r"^together about \d", answer.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []
    assert not (repository / "runs" / "never_run").exists()
    assert not (repository / "figures" / "never_run").exists()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["train", "smoke", "baseline"], True),
        (["evaluate", "smoke", "gcl"], False),
        (["run", "smoke"], True),
        (["run", "smoke", "--dry-run"], False),
    ],
)
def test_what_a_stopped_command_kept_is_said(
    words: list[str], kept: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, f"_{words[0]}", stop)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 130
    assert ("goes on from there" in capsys.readouterr().err) is kept


def test_every_command_that_goes_on_is_there() -> None:
    help_ = cli._parser().format_help()
    assert all(re.search(rf"^    {name}\s", help_, re.MULTILINE) for name in GO_ON)


def test_git_ignores_what_runs_write_and_keeps_the_reference(repository: Path) -> None:
    made = [f"figures/{name}/{file}" for name in known_profiles() for file in ("claims.csv", "records/fid.csv")]
    command = ["git", "check-ignore", "--no-index", *made, "figures/reference/mini/claims.csv"]
    ignored = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if ignored.returncode == 128:
        pytest.skip("no git checkout here")
    assert ignored.stdout.splitlines() == made


def test_second_run_of_a_profile_is_refused(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(repository / "gcl_core", copy / "gcl_core")
    shutil.copytree(repository / "configs", copy / "configs")
    (copy / "runs" / "smoke").mkdir(parents=True)
    with FileLock(copy / "runs" / "smoke" / ".study.lock"):
        answer = command("run", "smoke", cwd=copy)
    assert answer.returncode == 1
    assert "another run is at work" in answer.stderr
    assert "Traceback" not in answer.stderr
