"""Settings that are paths: which these are, and from where a relative one counts."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from gcl_core.settings.common import ConfigError


def path_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the dotted keys of all settings of a model, and of the sections in it, that are paths."""
    return tuple(key for name, field in model.model_fields.items() for key in _keys_in(field.annotation, name))


def _keys_in(annotation: Any, name: str) -> Iterator[str]:
    if annotation is Path:
        yield name
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from (f"{name}.{key}" for key in path_keys(annotation))
    elif get_origin(annotation) is not dict:  # the names in a mapping are not known beforehand
        for part in get_args(annotation):
            yield from _keys_in(part, name)


def placed(text: str, folder: Path) -> str:
    """Return a path as an absolute one: `~` is the home folder, a relative path begins in `folder`.

    Every other character stands for itself. Raises ConfigError where no home folder is known or the text is no path.
    """
    if "\0" in text:
        raise ConfigError(f"{text!r} is no path: it holds the character NUL, which no file's name may have")
    if text.startswith("~") and not os.path.lexists(folder / text):
        expanded = os.path.expanduser(text)
        if expanded == text and text.partition("/")[0] == "~":
            raise ConfigError(f"{text}: ~ stands for the home folder, and none is known here; write the path in full")
        text = expanded
    return os.path.realpath(folder / text)


def place_paths(tree: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    """Make the paths at these dotted keys of nested settings absolute; an empty text is no path, as null is none."""
    for key in keys:
        *parents, leaf = key.split(".")
        section: Any = tree
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(leaf), str):
            section[leaf] = placed(section[leaf], folder) if section[leaf] else None
