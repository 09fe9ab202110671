"""Terminals of any character set, and machines on which the home folder cannot be written."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gcl_core import machine
from gcl_core.files import RunError
from gcl_core.machine import HOMES, settle_caches

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # ASCII, as in a container without locales
TERMINALS = [PLAIN, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1:strict"}, {**PLAIN, "LC_ALL": "POSIX"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and none of the settings that name other places; what changes is put back."""
    for name in (*HOMES, *machine.FILLED):
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    return tmp_path / "home"


def lock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder one in which no file can be made, though its rights allow it: a full disk."""
    opened = tempfile.TemporaryFile

    def refuse(*, dir: Path):
        if Path(dir).is_relative_to(home):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)


def settled() -> dict[str, str]:
    return {name: os.environ[name] for name in (*HOMES, *machine.FILLED) if name in os.environ}


def test_a_home_folder_that_can_be_written_is_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle_caches()
    assert settled() == {}
    assert list(home.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_without_a_home_folder_caches_lie_with_temporary_files(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(home, monkeypatch)
    settle_caches()
    found, scratch = settled(), home.parent / "temporary" / f"gcl_core-{os.getuid()}"
    assert found == {name: f"{scratch}/{name.lower()}" for name in HOMES}
    assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert f"{home}/.cache cannot be written: caches are kept in {scratch}; set HOME" in capsys.readouterr().err
    settle_caches()
    assert settled() == found
    assert capsys.readouterr().err == ""  # what was found is used, and told once


def test_a_user_without_an_entry_or_home_has_caches_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    settle_caches()
    assert set(settled()) == set(HOMES)


def test_a_cache_that_can_only_be_read_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a compute node: weights were fetched on the login node."""
    for name in ("torch", "gcl_core"):
        (home / ".cache" / name).mkdir(parents=True)
    lock(home, monkeypatch)
    settle_caches()
    assert {name: settled()[name] for name in machine.FILLED} == {
        "TORCH_HOME": f"{home}/.cache/torch",
        "ANNY_CACHE_DIR": f"{home}/.cache/gcl_core",
    }


def test_a_folder_of_temporary_files_that_is_anothers_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(home, monkeypatch)
    (home.parent / "temporary" / f"gcl_core-{os.getuid()}").symlink_to(home)
    with pytest.raises(RunError, match="set HOME or TMPDIR to a folder that can"):
        settle_caches()


def test_without_any_folder_to_write_it_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(home, monkeypatch)
    (home.parent / "temporary").rmdir()
    with pytest.raises(RunError, match="neither the home folder nor that of temporary files can be written"):
        settle_caches()


@pytest.mark.parametrize("terminal", TERMINALS)
@pytest.mark.parametrize("words", [["pose-bodies", "--help"], ["switches"], ["data-report", "--root", "Größe 人 😀"]])
def test_what_a_terminal_cannot_show_ends_no_command(
    words: list[str], terminal: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repository), **terminal}
    command = [sys.executable, "-m", "gcl_core", *words]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert answer.returncode == (words[0] == "data-report"), answer.stderr
    told = answer.stdout + answer.stderr
    assert b"Traceback" not in told
    assert len(told) > 50
    if words[0] == "data-report":
        assert b"no such folder" in answer.stderr


def test_names_are_those_of_the_disk_whatever_the_terminal(repository: Path, tmp_path: Path) -> None:
    """The folder that is asked for is found under its own name, where the locale knows ASCII alone."""
    folder = tmp_path / "Größe 😀"
    folder.mkdir()
    (folder / "own.yaml").write_text("profile: own\nseeds: 7 # Größe\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(repository), **PLAIN}
    command = [sys.executable, "-m", "gcl_core", "summary", "Größe 😀/own.yaml"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("runs/own/gcl/seed") == 7
