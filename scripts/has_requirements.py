"""Exits with 0 when this interpreter has what pyproject.toml asks for; otherwise says what is lacking."""

import contextlib
import importlib.metadata
import sys
from pathlib import Path


def lacking() -> list[str]:
    """Return the direct dependencies that are not there in a fitting version."""
    try:
        import tomllib

        from packaging.requirements import Requirement
    except ImportError:
        return ["the requirements"]
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = {"python": sys.version.split()[0]}
    missing = []
    for requirement in map(Requirement, [f"python{project['requires-python']}", *project["dependencies"]]):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            there.setdefault(requirement.name, importlib.metadata.version(requirement.name))
        if requirement.marker and not requirement.marker.evaluate():
            continue
        if requirement.name not in there or not requirement.specifier.contains(there[requirement.name], True):
            missing.append(str(requirement))
    return missing


if missing := lacking():
    print(
        f"The active environment {sys.prefix} lacks {', '.join(missing[:4])}"
        f"{f' and {len(missing) - 4} more' if len(missing) > 4 else ''}; it is left as it is and .venv is used."
    )
    raise SystemExit(1)
