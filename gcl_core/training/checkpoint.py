"""Checkpoints: everything a stage needs to go on as if it had never stopped, as one safetensors file.

Its tensors are the state's, its metadata holds all else as JSON (gcl_core/training/tensor_tree.py) and the SHA-256 of
both. The last checkpoint and the one before it are kept, so that a damaged file costs little.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import save_file

from gcl_core.files import RunError, atomic
from gcl_core.models.weights_file import contents, digest
from gcl_core.training.tensor_tree import TreeError, pack, unpack

STATE = "gcl_core checkpoint"  # the metadata's one entry; the order of several would differ from file to file


@runtime_checkable
class Stateful(Protocol):
    """A network, optimiser, schedule or memory bank."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take over a state."""
        ...


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a nested state of tensors and plain values, whole or not at all."""
    with atomic(path) as temporary:
        _write(temporary, state)


def save_checkpoint(path: Path, parts: Mapping[str, Stateful], **facts: Any) -> None:
    """Write the state of all parts and facts such as `epoch`, whole or not at all; the last file becomes `previous`.

    No random state is kept: every draw of the training is a function of (seed, purpose, epoch, step).
    """
    with atomic(path) as temporary:
        _write(temporary, {**facts, **{name: part.state_dict() for name, part in parts.items()}})
        if path.is_file():
            os.replace(path, previous(path))


def previous(path: Path) -> Path:
    """Return where the checkpoint before the last is kept."""
    return path.with_stem(f"{path.stem}.previous")


def load_state(path: Path) -> dict[str, Any]:
    """Read what was written, tensors on the CPU. Raises RunError for a missing, damaged or foreign file."""
    try:
        text, tensors = contents(path, STATE)
        if text is None:
            raise TreeError("it holds tensors, but no state of a training")
        written = json.loads(text)
        if written["sha256"] != digest(written["state"], tensors):
            raise TreeError("its content does not match its SHA-256: the file is damaged")
        tree = unpack(written["state"], tensors)
        if not isinstance(tree, dict):
            raise TreeError(f"its state is a {type(tree).__name__}, expected one entry per part")
        return tree
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete {path.parent} to start that stage anew") from error


def resume(path: Path, parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Load the parts from the last checkpoint, or the one before it if that is damaged; return its facts.

    Nothing where there is none. Raises RunError when none of those there can be read, or one is of another shape.
    """
    there = [file for file in (path, previous(path)) if file.is_file()]
    damaged = None
    for file in there:
        try:
            state = load_state(file)
        except RunError as error:
            if file == there[-1]:
                raise
            damaged = str(error.__cause__)
            continue
        try:
            for name, part in parts.items():
                part.load_state_dict(state.pop(name))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"{file} is no checkpoint of this stage ({error}); delete {file.parent} to start anew"
            ) from error
        if damaged is not None:
            _set_aside(path, damaged)
        return state
    return {}


def _set_aside(path: Path, why: str) -> None:
    """Put a damaged checkpoint where the next one does not take it for the one before."""
    aside = path.with_stem(f"{path.stem}.damaged")
    with contextlib.suppress(FileNotFoundError):  # another process that trains along was first
        os.replace(path, aside)
    print(f"{why}: {path} is set aside as {aside.name}, going on from the checkpoint before it", flush=True)


def _write(path: Path, state: Mapping[str, Any]) -> None:
    tree, tensors = pack(dict(state))
    metadata = json.dumps({"sha256": digest(tree, tensors), "state": tree}, allow_nan=False)
    save_file(tensors, path, metadata={STATE: metadata})
