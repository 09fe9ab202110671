"""Settings that are paths: which these are, and from where a relative one counts."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from gcl_core.settings.common import ConfigError


class PathOr(frozenset[str]):
    """Marks a text as a path unless it is one of these names, as in `Annotated[str, PathOr({"pretrained"})]`."""


PathKeys = Mapping[str, PathOr]  # dotted keys of settings that are paths, each with the names that are none


def path_keys(model: type[BaseModel]) -> PathKeys:
    """Return the dotted keys of all settings of a model, and of the sections in it, that are paths."""
    return dict(pair for name, field in model.model_fields.items() for pair in _keys_in(field.annotation, name))


def _keys_in(annotation: Any, name: str) -> Iterator[tuple[str, PathOr]]:
    if annotation is Path:
        yield name, PathOr()
    elif isinstance(annotation, PathOr):
        yield name, annotation
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from ((f"{name}.{key}", names) for key, names in path_keys(annotation).items())
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


def place_paths(tree: dict[str, Any], keys: PathKeys, folder: Path) -> None:
    """Make the paths at these dotted keys of nested settings absolute; an empty text is no path, as null is none."""
    for key, names in keys.items():
        *parents, leaf = key.split(".")
        section: Any = tree
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        text = section.get(leaf) if isinstance(section, dict) else None
        if isinstance(text, str) and text not in names:
            section[leaf] = placed(text, folder) if text else None
