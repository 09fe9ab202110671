"""Reading files that other programs wrote by torch.save: tensors only, no code, and a plain word on what is wrong."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gcl_core.files import RunError

# numbers that training scripts keep beside the weights (epoch, best mAP), under the names of NumPy 1 and 2
NUMPY_NUMBERS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")),
]


class TorchFile(NamedTuple):
    """A state dict, the key under which the file keeps it (None: the file is the state dict), the file's other keys."""

    tensors: dict[str, Tensor]
    key: str | None
    beside: tuple[str, ...]


def read_torch_file(path: Path, what: str, keys: Sequence[str]) -> TorchFile:
    """Read a state dict, plain or under one of `keys`, onto the CPU. `what` names the network, for errors.

    Raises RunError: the file is missing, cannot be read, holds more than tensors and plain values, or no state dict.
    """
    expected = (
        f"expected a checkpoint of {what}: a dictionary of tensors, plain or under {' or '.join(map(repr, keys))}"
    )
    if not path.is_file():
        raise RunError(f"{path} is missing; {expected}")
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # on arbitrary bytes torch.load raises nearly any
        raise RunError(f"{path} cannot be read: {_reason(path, error)}. {expected[0].upper()}{expected[1:]}") from error
    if not isinstance(content, dict) or not content:
        raise RunError(f"{path} holds {_kind(content)}; {expected}")
    key = next((key for key in keys if key in content), None)
    tensors = content if key is None else content[key]
    if not isinstance(tensors, dict) or not tensors:
        raise RunError(f"{path} holds {_kind(tensors)} under {key!r}; {expected}")
    strange = [name for name, value in tensors.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if strange:
        where = "" if key is None else f" under {key!r}"
        raise RunError(f"{path} holds {_kind(tensors[strange[0]])} as {strange[0]!r}{where}; {expected}")
    return TorchFile(dict(tensors), key, () if key is None else tuple(str(name) for name in content if name != key))


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dictionary with {', '.join(map(repr, list(value)[:5]))}" if value else "an empty dictionary"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _reason(path: Path, error: Exception) -> str:
    """Return what is wrong with a file, in words for its user rather than for PyTorch's developers."""
    try:
        with path.open("rb") as stream:
            start = stream.read(512).lstrip().lower()
    except OSError as unreadable:
        return unreadable.strerror or str(unreadable)
    if not start:
        return "it is empty; download it again"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page, probably a download site's warning; download the file itself in a browser"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself by `git lfs pull`"
    if blocked := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"it holds more than tensors ({blocked[1]}), and no code of a file is run. Where you trust it, load it by "
            "the program that wrote it and save the tensors alone: torch.save(model.state_dict(), FILE)"
        )
    # PyTorch's own words on a refused pickle advise to run its code
    said = "" if "weights_only" in str(error) else str(error).partition("\n")[0]
    return "it is damaged or no file of torch.save" + (f" ({said})" if said else "")
