"""A nested state as JSON that refers to named tensors, and back: what a checkpoint is made of.

JSON has no int keys, tuples, counters or NaN, so everything but null, true, false, strings, whole and finite numbers
and lists is an object of one entry that names its kind: {"tuple": [...]}, {"dict": [[key, value], ...]},
{"counter": ...}, {"float": "nan"}, {"tensor": name, "strides": [...]}.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class TreeError(ValueError):
    """A state cannot be written, or what was written is no state; the text says what and where."""


class _Packer:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._named: dict[tuple[Any, ...], str] = {}  # one view of one storage is written once

    def pack(self, value: Any, path: tuple[str, ...]) -> Any:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, Tensor):
            # the strides that a clone would have: channels last stays channels last, an expanded view becomes dense
            strides = list(torch.empty_like(value, device="meta").stride())
            return {"tensor": self._name(value.detach(), path), "strides": strides}
        if isinstance(value, list):
            return [self.pack(entry, (*path, str(index))) for index, entry in enumerate(value)]
        if isinstance(value, tuple):
            return {"tuple": self.pack(list(value), path)}
        if isinstance(value, Mapping):
            pairs = [[self.pack(key, path), self.pack(entry, (*path, str(key)))] for key, entry in value.items()]
            return {"counter" if isinstance(value, Counter) else "dict": pairs}
        raise TreeError(f"{'.'.join(path) or 'the state'} is a {type(value).__name__}: a checkpoint cannot hold it")

    def _name(self, tensor: Tensor, path: tuple[str, ...]) -> str:
        storage = tensor.untyped_storage().data_ptr()
        view = (storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        if view not in self._named:
            name = ".".join(path)
            name = f"{name}#{len(self.tensors)}" if name in self.tensors else name
            self._named[view] = name
            # always a copy: safetensors refuses tensors that share memory
            self.tensors[name] = tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)
        return self._named[view]


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a nested state as a value for JSON and the tensors it refers to: contiguous copies on the CPU.

    Mappings other than Counter come back as dict. Raises TreeError for anything that is not None, bool, int, float,
    str, Tensor, list, tuple or a mapping of those.
    """
    packer = _Packer()
    return packer.pack(tree, ()), packer.tensors


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state of `pack`. Tensors are copies in the memory layout they had; one written once comes back as one.

    Raises TreeError for a value that `pack` does not give, or a tensor that is not there.
    """
    return _unpack(packed, tensors, {})


def _unpack(packed: Any, tensors: Mapping[str, Tensor], copies: dict[str, Tensor]) -> Any:
    if packed is None or isinstance(packed, bool | int | float | str):
        return packed
    if isinstance(packed, list):
        return [_unpack(entry, tensors, copies) for entry in packed]
    match packed:
        case {"tensor": str(name), "strides": list(strides)} if name in tensors:
            if name not in copies:
                stored = tensors[name]
                # memory of its own: what safetensors gives lies in the mapped file, anyhow aligned
                copies[name] = torch.empty_strided(stored.shape, strides, dtype=stored.dtype).copy_(stored)
            return copies[name]
        case {"tuple": list(entries)}:
            return tuple(_unpack(entries, tensors, copies))
        case {"float": ("nan" | "inf" | "-inf") as text}:
            return float(text)
        case {"dict": list(pairs)}:
            return {_unpack(key, tensors, copies): _unpack(entry, tensors, copies) for key, entry in pairs}
        case {"counter": list(pairs)}:
            return Counter({_unpack(key, tensors, copies): _unpack(entry, tensors, copies) for key, entry in pairs})
    raise TreeError(f"expected a packed state, found {str(packed)[:80]}")
