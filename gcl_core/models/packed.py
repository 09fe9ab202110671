"""Weights in 8 or 16 bits, as safetensors: a quarter or half of the bytes of a run's own files.

At 8 bits each output channel of a matrix or convolution is int8 steps of a scale of its own; vectors, such as biases
and running statistics, stay as they are. A file keeps the description of its network.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gcl_core.models.weights_file import read_weights, write_weights

Bits = Literal[8, 16]
SCALE = ".scale"  # added to a tensor's name: the scale of each of its output channels, float32
LARGEST = 127


def pack_file(path: Path, to: Path, bits: Bits) -> None:
    """Write a run's safetensors file to `to` in fewer bits. Raises RunError for a file that cannot be read."""
    description, tensors = read_weights(path)
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not value.is_floating_point() or value.ndim < 2:
            packed[name] = value
        elif bits == 16:
            packed[name] = value.half()
        else:
            packed |= dict(zip((name, name + SCALE), _steps(value), strict=True))
    write_weights(to, packed, description)


def unpack_file(path: Path, to: Path) -> None:
    """Write a packed file to `to` as a run keeps it, in float32. Raises RunError for a file that cannot be read."""
    description, packed = read_weights(path)
    write_weights(to, unpacked(packed), description)


def unpacked(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a packed file as a run keeps them; those of a run's own file as they are."""
    tensors: dict[str, Tensor] = {}
    for name, value in packed.items():
        if name + SCALE in packed:
            tensors[name] = (value.flatten(1) * packed[name + SCALE][:, None]).reshape(value.shape)
        elif not (name.endswith(SCALE) and name.removesuffix(SCALE) in packed):
            tensors[name] = value.float() if value.dtype == torch.float16 else value
    return tensors


def _steps(value: Tensor) -> tuple[Tensor, Tensor]:
    rows = value.flatten(1)
    scale = rows.abs().amax(1) / LARGEST
    steps = rows / torch.where(scale == 0, 1, scale)[:, None]
    return steps.round().to(torch.int8).reshape(value.shape), scale
