"""Checkpoints: everything a stage needs to go on as if it had never stopped, as one safetensors file.

Its tensors are the state's, its metadata holds all else as JSON (gcl_core/training/tensor_tree.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gcl_core.run import RunError, atomic
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


def save_checkpoint(path: Path, epoch: int, parts: Mapping[str, Stateful]) -> None:
    """Write the state of all parts after `epoch`, whole or not at all.

    No random state is kept: every draw of the training is a function of (seed, purpose, epoch, step).
    """
    state, tensors = pack({"epoch": epoch, **{name: part.state_dict() for name, part in parts.items()}})
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={STATE: json.dumps(state, allow_nan=False)})


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary, tensors on the CPU. Raises RunError for a missing, broken or foreign file."""
    try:
        with safe_open(path, framework="pt") as file:
            state = (file.metadata() or {}).get(STATE)
            if state is None:
                raise TreeError("it holds tensors, but no state of a training")
            tree = unpack(json.loads(state), {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        if not isinstance(tree, dict):
            raise TreeError(f"its state is a {type(tree).__name__}, expected one entry a part")
        return tree
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError) as error:
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
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is no checkpoint of this stage ({error}); delete {path.parent} to start anew"
        ) from error
