"""A GPU that is not there: tensors with real values, in the CPU's memory, that say they are on `cuda:0`.

Whatever a GPU refuses is refused: operations on tensors of both devices, NumPy, and tensors made in a thread that did
not choose the GPU (`torch.cuda.set_device`), where a real one would be at work on the first GPU. Everything else gives
the CPU's bits. Not pretended: CUDA's kernels, autocast and rounding.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo  # before its functions are replaced below: it checks their signatures
from torch import Tensor, nn
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from gcl_core.data.batches import _channel_statistics

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
PLAIN_TO, PLAIN_TENSOR = Tensor.to, torch.tensor
COPIES = ("aten::copy_", "aten::_to_copy")  # from a device to the other
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class OnGpu(Tensor):
    """A tensor on the pretended GPU. PyTorch's C++ takes it for one of the CPU, so that autograd needs no driver."""

    device = property(lambda _: GPU)  # pyright: ignore[reportAssignmentType]
    is_cuda = property(lambda _: True)  # pyright: ignore[reportAssignmentType]
    is_cpu = property(lambda _: False)  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls, values: Tensor) -> "OnGpu":
        return Tensor._make_subclass(cls, values, values.requires_grad)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func in (Tensor.numpy, Tensor.__array__):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func is Tensor.cpu:
            return moved(args[0], CPU)
        if func is Tensor.tolist:
            return moved(args[0], CPU).tolist()
        if func is Tensor.new_tensor:
            return OnGpu(PLAIN_TENSOR(*args[1:], **{"dtype": args[0].dtype, **named}))
        if func is Tensor.__deepcopy__:
            copy = args[0].detach().clone()
            return nn.Parameter(copy, args[0].requires_grad) if isinstance(args[0], nn.Parameter) else copy
        with torch._C.DisableTorchFunctionSubclass():  # results are of the class that `computed` gives them
            return func(*args, **named)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class PretendedGpu(TorchDispatchMode):
    """Lets a thread make tensors on the GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, named: dict[str, Any]) -> Any:
    """Return what an operation gives: on the GPU if that is asked for or its operands are there."""
    name, device = func._schema.name, named.get("device")
    tensors = [each for each in tree_leaves((args, named)) if isinstance(each, Tensor)]
    there = any(isinstance(each, OnGpu) for each in tensors)
    if name in COPIES:
        there = isinstance(args[0], OnGpu)
    elif there and torch._C._current_graph_task_id() == -1:  # a backward pass is where its forward pass was
        check_devices(func, args, tensors)
    if device is not None and (name in COPIES or torch.device(device).type == "cuda"):
        there = torch.device(device).type == "cuda"
        named = {**named, "device": CPU if there else device}
    given: dict[int, OnGpu] = {}  # by what stands for them: operations in place return what they were given

    def taken(value: Any) -> Any:
        if not isinstance(value, OnGpu):
            return value
        plain = value.as_subclass(Tensor)
        given[id(plain)] = value
        return plain

    with no_dispatch(), torch._C.DisableTorchFunctionSubclass():
        args, named = tree_map(taken, (args, named))
        result = func(*args, **named)

    def put(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return given[id(value)] if id(value) in given else OnGpu(value)

    return tree_map(put, result) if there else result


def check_devices(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError for operands that a GPU refuses; it takes the CPU's indices, and its single numbers."""
    alien = [each for each in tensors if not isinstance(each, OnGpu)]
    indexing = func._schema.name in INDEXING
    if indexing and isinstance(args[0], OnGpu):
        alien = [each for each in alien if not any(each is index for index in args[1])]
    if indexing or torch.Tag.pointwise in func.tags:
        alien = [each for each in alien if each.dim()]
    if alien:
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, found cuda:0 and cpu")


def moved(value: Tensor, *to: Any, copy: bool = False, **named: Any) -> Tensor:
    """Return what `value.to` does."""
    if to and isinstance(to[0], Tensor):
        to = (to[0].device, to[0].dtype, *to[1:])
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*to, **named)  # pyright: ignore[reportAttributeAccessIssue]
    if device is None or device.type == value.device.type:
        return PLAIN_TO(value, dtype=dtype or value.dtype, copy=copy, memory_format=layout)
    device = GPU if device.type == "cuda" else device
    return torch.ops.aten._to_copy(value, dtype=dtype, device=device, non_blocking=non_blocking, memory_format=layout)


@contextlib.contextmanager
def pretended_gpu(*, memory: int = 1 << 30) -> Iterator[None]:
    """Let torch see a GPU with so many bytes of free memory."""
    with pytest.MonkeyPatch.context() as patch, PretendedGpu():
        for name, answer in {
            "is_available": lambda: True,
            "is_bf16_supported": lambda: True,
            "_lazy_init": lambda: None,
            "current_device": lambda: 0,
            "get_device_name": lambda _: "pretended",
            "mem_get_info": lambda _: (memory, memory),
            "set_device": lambda _: PretendedGpu().__enter__(),  # of the thread that calls it, to its end
        }.items():
            patch.setattr(torch.cuda, name, answer)
        for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
            patch.setattr(torch.optim.Optimizer, name, lambda _: None, raising=False)
        patch.setattr(torch, "_has_compatible_shallow_copy_type", lambda one, other: one.device == other.device)
        patch.setattr(torch, "tensor", lambda data, device=CPU, **named: PLAIN_TENSOR(data, **named).to(device))
        patch.setattr(Tensor, "to", moved)
        patch.setattr(Tensor, "pin_memory", lambda self: self)
        try:
            yield
        finally:
            _channel_statistics.cache_clear()
