"""The ways to an environment: the same requirements and Python for Dockerfile, Binder, conda and the workflow."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

OFFLINE = re.compile("error sending request|dns error|[Nn]etwork|Failed to fetch")


@pytest.fixture(scope="module")
def environment(repository: Path) -> list:
    return yaml.safe_load((repository / "environment.yml").read_text())["dependencies"]


def test_all_install_the_same_requirements_and_the_package(repository: Path, environment: list) -> None:
    assert environment[-1] == {"pip": ["-r requirements.txt", "-e ."]}
    binder = repository / ".binder"
    assert (binder / "requirements.txt").resolve() == (repository / "requirements.txt").resolve()
    assert "pip install --no-cache-dir --no-deps --editable ." in (binder / "postBuild").read_text()
    assert (binder / "postBuild").stat().st_mode & 0o111 == 0o111
    docker = (repository / "Dockerfile").read_text()
    assert re.findall(r"pip install.*", docker) == ["pip install --no-cache-dir -r requirements.txt"]
    assert "PYTHONPATH=/study" in docker


def test_all_use_a_python_that_the_package_allows(repository: Path, environment: list) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    allowed = SpecifierSet(project["requires-python"])
    assert SpecifierSet(environment[0].removeprefix("python ")) == allowed
    workflow = (repository / ".github" / "workflows" / "tests.yml").read_text()
    for text, pattern in (
        ((repository / "Dockerfile").read_text(), r"FROM python:([\d.]+)-slim"),
        ((repository / ".binder" / "runtime.txt").read_text(), r"python-([\d.]+)"),
        (workflow, r'python-version: "([\d.]+)"'),
    ):
        (version,) = re.findall(pattern, text)
        assert version in allowed


def test_the_requirements_resolve_to_themselves(repository: Path) -> None:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed: nothing to resolve the requirements with")
    options = ["--universal", "--python-version", "3.11", "--no-annotate", "--no-header", "--quiet"]
    command = ["uv", "pip", "compile", "requirements.txt", "pyproject.toml", *options]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if answer.returncode and OFFLINE.search(answer.stderr):
        pytest.skip("no package registry can be reached")
    assert answer.returncode == 0, answer.stderr
    resolved, pinned = (
        {str(Requirement(line)) for line in text.splitlines() if line and not line.lstrip().startswith(("#", "-"))}
        for text in (answer.stdout, (repository / "requirements.txt").read_text())
    )
    assert resolved == pinned


def test_the_dockerfile_is_clean(repository: Path) -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed: its package has no wheel for this system")
    answer = subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_workflow_runs_what_is_there_and_asks_for_no_more_rights_than_it_needs(repository: Path) -> None:
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "tests.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            script = step.get("run", "").split()
            assert not script or (repository / script[0]).is_file()
