"""A file of weights: safetensors whose metadata tells of what network they are, and the SHA-256 of all that."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gcl_core.files import RunError, atomic
from gcl_core.models.describe import Description

NETWORK = "gcl_core network"  # the metadata's one entry; the order of several would differ from file to file
DIGEST = "sha256"


def write_weights(path: Path, tensors: Mapping[str, Tensor], description: Description | None) -> None:
    """Write tensors and what network they are of, whole or not at all."""
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    facts = {} if description is None else description | {DIGEST: digest(description, whole)}
    with atomic(path) as temporary:
        save_file(whole, temporary, metadata={NETWORK: json.dumps(facts)} if facts else None)


def read_weights(path: Path) -> tuple[Description | None, dict[str, Tensor]]:
    """Return what a file says of its network, None where it says nothing, and its tensors on the CPU.

    Raises RunError for a file that cannot be read or whose weights are not those that were written. Files of earlier
    versions and of others have no SHA-256.
    """
    try:
        words, tensors = contents(path, NETWORK)
        found = None if words is None else json.loads(words)
        if found is not None and not (isinstance(found, dict) and {"network", "settings"} <= set(found)):
            raise ValueError(f"its description of a network is {str(found)[:80]}")
        if found is not None and found.pop(DIGEST, None) not in (None, digest(found, tensors)):
            raise ValueError("its content does not match its SHA-256")
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} is broken ({error}); fetch it again; of a run, delete its folder and run that stage again"
        ) from error
    return found, tensors


def contents(path: Path, entry: str) -> tuple[str | None, dict[str, Tensor]]:
    """Return an entry of a safetensors file's metadata, None where it has none, and its tensors on the CPU.

    Raises as safetensors does: OSError, SafetensorError.
    """
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return (file.metadata() or {}).get(entry), {name: file.get_tensor(name) for name in names}


def digest(facts: Any, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of JSON and of tensors on the CPU with their names, in whichever order they come."""
    found = hashlib.sha256(json.dumps(facts).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
