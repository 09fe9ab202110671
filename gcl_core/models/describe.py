"""What a network is: its class and the settings that rebuild it, as its weights' file tells them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

Description = dict[str, Any]


def describe(network: nn.Module) -> Description:
    """Return {"network": class name, "settings": constructor arguments}, in types of JSON; other classes have none."""
    kept = getattr(network, "settings", {})
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
    return {"network": type(network).__name__, "settings": settings}


def differences(expected: Description, found: Description, *, ignore: Collection[str] = ()) -> tuple[str, str] | None:
    """Return two descriptions as words, each with the settings in which they differ; None when they agree.

    Settings named in `ignore` may differ.
    """
    if expected["network"] != found["network"]:
        return expected["network"], found["network"]
    wanted, got = expected["settings"], found["settings"]
    names = [name for name in {**wanted, **got} if name not in ignore and wanted.get(name) != got.get(name)]
    return (_words(expected, names), _words(found, names)) if names else None


def mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return a line for each tensor of another shape, then for each that lacks, then for each that is too many."""
    sizes = {name: _size(value) for name, value in expected.items()}
    others = {name: _size(value) for name, value in found.items()}
    return [
        *(f"{n}: expected {sizes[n]}, found {others[n]}" for n in sizes if n in others and others[n] != sizes[n]),
        *(f"{n}: expected {sizes[n]}, found none" for n in sizes if n not in others),
        *(f"{n}: expected none, found {others[n]}" for n in others if n not in sizes),
    ]


def some(problems: Sequence[str]) -> str:
    """Return the first three of a list of problems, and how many more there are."""
    return "; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a scalar"


def _words(description: Description, names: list[str]) -> str:
    settings = description["settings"]
    return f"{description['network']} with {', '.join(f'{name} {settings.get(name)}' for name in names)}"
