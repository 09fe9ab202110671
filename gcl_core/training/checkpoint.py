"""Checkpoints: everything a stage needs to go on as if it had never stopped."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from gcl_core.run import RunError, atomic


@runtime_checkable
class Stateful(Protocol):
    """A network, optimiser, schedule or memory bank."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take over a state."""
        ...


def save_checkpoint(path: Path, epoch: int, parts: Mapping[str, Stateful]) -> None:
    """Write the state of all parts after `epoch`, whole or not at all.

    No random state is kept: every draw of the training is a function of (seed, purpose, epoch, step).
    """
    with atomic(path) as temporary:
        torch.save({"epoch": epoch, **{name: part.state_dict() for name, part in parts.items()}}, temporary)


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary, without running code from it. Raises RunError for a missing or broken file."""
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete {path.parent} to start that stage anew") from error


def resume(path: Path, parts: Mapping[str, Stateful]) -> int:
    """Load the parts from a checkpoint and return its epoch; 0 when there is none.

    Raises RunError for a file that is broken or of another shape.
    """
    if not path.is_file():
        return 0
    state = load_state(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["epoch"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunError(
            f"{path} is no checkpoint of this stage ({error}); delete {path.parent} to start anew"
        ) from error
