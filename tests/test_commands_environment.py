"""Setting up: what counts as a usable environment, and that a ready one costs nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A folder that holds what the set-up needs, and the few system tools that it calls."""
    (tmp_path / "tools").mkdir()
    for name in ("bash", "cmp", "cp", "ln", "mkdir", "mv", "readlink", "rm"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "tools" / name).symlink_to(found)
    shutil.copytree(repository / "scripts", tmp_path / "scripts")
    shutil.copy(repository / "requirements.txt", tmp_path)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def source(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Source the set-up where no Python, no uv and no active environment are to be found but those given."""
    script = 'set -eu; . scripts/environment.sh; echo "uses $python"'
    clean = {"PATH": str(checkout / "tools"), **environment}
    return subprocess.run(
        [checkout / "tools/bash", "-c", script], cwd=checkout, env=clean, capture_output=True, text=True
    )


def put_interpreter(checkout: Path, script: str) -> None:
    """Make .venv/bin/python a shell script."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_active_environment_with_the_requirements_is_used_as_it_is(checkout: Path) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        answer = source(checkout, **{name: sys.prefix})
        assert answer.stdout == f"uses {sys.prefix}/bin/python\n", answer.stderr
    assert not (checkout / ".venv").exists()


def test_active_environment_that_lacks_something_is_left_alone(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"anny",', '"anny>=99", "no-such-package",'))
    put_interpreter(checkout, "exit 0")
    shutil.copy(checkout / "requirements.txt", checkout / ".venv" / "requirements.installed")
    answer = source(checkout, VIRTUAL_ENV=sys.prefix)
    assert "lacks anny>=99, no-such-package;" in answer.stdout
    assert answer.stdout.endswith(f"uses {checkout}/.venv/bin/python\n")


def test_ready_environment_starts_nothing(checkout: Path) -> None:
    put_interpreter(checkout, "echo must not be started; exit 1")
    shutil.copy(checkout / "requirements.txt", checkout / ".venv" / "requirements.installed")
    answer = source(checkout)
    assert (answer.returncode, answer.stdout) == (0, f"uses {checkout}/.venv/bin/python\n")


def test_changed_requirements_are_installed_into_the_folder_that_is_there(checkout: Path) -> None:
    put_interpreter(
        checkout,
        f'case "$*" in *"pip install"*) echo installs;; "-c import pathlib"*) exec {sys.executable} -c "";; esac',
    )
    (checkout / ".venv" / "requirements.installed").write_text("earlier\n")
    answer = source(checkout)
    assert answer.returncode == 0, answer.stderr
    assert "installs" in answer.stdout
    again = source(checkout)
    assert again.stdout == f"uses {checkout}/.venv/bin/python\n"


def test_a_checkout_whose_path_python_cannot_search_is_told(checkout: Path) -> None:
    place = checkout / "study: new"
    (place / "scripts").mkdir(parents=True)
    script = f'. "{checkout}/scripts/environment.sh"'
    answer = subprocess.run([checkout / "tools/bash", "-c", script], cwd=place, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "holds a colon" in answer.stderr
    assert list(place.iterdir()) == [place / "scripts"]


def test_failed_installation_is_told_and_tried_again(checkout: Path) -> None:
    put_interpreter(checkout, 'case "$*" in *"pip install"*) exit 7;; esac')
    for _ in range(2):
        answer = source(checkout)
        assert answer.returncode == 1
        assert "could not be installed" in answer.stderr
    assert list((checkout / "runs").iterdir()) == []


def test_unsupported_python_in_the_folder_is_told(checkout: Path) -> None:
    put_interpreter(checkout, 'case "$*" in *version_info*) exit 1;; --version) echo Python 3.10.1;; esac')
    answer = source(checkout)
    assert answer.returncode == 1
    assert ".venv holds Python 3.10.1" in answer.stderr


def test_fresh_set_up_finds_the_core_from_any_folder(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (checkout / "requirements.txt").write_text("# nothing, so that this test needs no network\n")
    (checkout / "tools" / "python3").symlink_to(Path(sys.base_prefix, "bin", "python3"))
    (checkout / "gcl_core").mkdir()
    (checkout / "gcl_core" / "__init__.py").write_text("")
    answer = source(checkout)
    assert answer.returncode == 0, answer.stderr
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    command = [checkout / ".venv/bin/python", "-c", "import gcl_core; print(gcl_core.__file__)"]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # run_tests.sh sets it
    found = subprocess.run(command, cwd=elsewhere, env=plain, capture_output=True, text=True)
    assert found.stdout.strip() == str(checkout / "gcl_core" / "__init__.py")


def test_machine_without_python_is_told(checkout: Path) -> None:
    answer = source(checkout)
    assert answer.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13 was found" in answer.stderr


def test_two_set_ups_at_once_are_refused_but_a_dead_one_is_not_waited_for(checkout: Path) -> None:
    put_interpreter(checkout, "exit 0")
    (checkout / "runs").mkdir()
    mark = checkout / "runs" / ".set-up"
    sleeper = subprocess.Popen(["sleep", "60"])
    mark.symlink_to(str(sleeper.pid))
    answer = source(checkout)
    assert answer.returncode == 1
    assert "Another set-up" in answer.stderr
    sleeper.kill()
    sleeper.wait()
    assert source(checkout).returncode == 0
    assert not mark.is_symlink()
