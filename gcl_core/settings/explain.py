"""What is wrong with settings, in words that name the key as it is written."""

from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import Tag, ValidationError

from gcl_core.settings.study import Study
from gcl_core.settings.training import VariantSettings


def explain(error: ValidationError, path: Path, overrides: list[str]) -> str:
    """Return a line for each setting of a profile, with the words that override it, that is not valid."""
    origin = f"{path}" + (f" with {' '.join(overrides)}" if overrides else "")
    lines = [f"settings of {origin} are not valid:"]
    for problem in error.errors():
        key, known = _place(problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key; known here: {', '.join(known)}")
        elif problem["type"] == "union_tag_invalid":
            facts = problem.get("ctx", {})
            lines.append(f"  {key}.kind: there is no {facts.get('tag')!r}; known here: {facts.get('expected_tags')}")
        elif key:
            lines.append(f"  {key}: {problem['msg'].removeprefix('Value error, ')}; got {problem['input']!r}")
        else:
            lines.append(f"  {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _place(location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return a setting's dotted key, and the names that are known beside it.

    Where settings are of several kinds, pydantic puts the kind after their name; it is no part of the key, nor is what
    pydantic puts in brackets.
    """
    model: Any = Study
    names: list[str] = []
    beside: dict[str, Any] = {}
    for part in location:
        beside = getattr(model, "model_fields", {})
        kinds = {mark.tag: kind for kind in get_args(model) for mark in get_args(kind)[1:] if isinstance(mark, Tag)}
        if part in kinds:
            model = get_args(kinds[part])[0]
            continue
        if "[" in str(part):
            continue
        names.append(str(part))
        model = beside[part].annotation if part in beside else VariantSettings
        if isinstance(model, UnionType):  # of an optional section
            model = next((each for each in get_args(model) if hasattr(each, "model_fields")), model)
    return ".".join(names), sorted(beside)
