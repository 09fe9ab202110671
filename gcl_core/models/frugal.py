"""Less memory for more arithmetic: the backward pass computes activations anew, a part of the batch at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(network: nn.Module, run: Callable[..., Any], batch: tuple[Tensor, ...], size: int) -> Any:
    """Return what `run`, a pass through the network, makes of a batch, and keep no activation in between.

    Outputs and gradients are those of the plain pass up to the order of sums. `size` pictures pass at a time; a network
    with batch norm sees its batch whole, whose statistics are those of all pictures in it, and counts them once. What
    the network draws from torch's generator it draws again in the backward pass. Returns a tensor, several, or a list
    of them, one picture per row.
    """
    whole = any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in network.modules())
    if whole:
        return _again(network, run, batch)

    def at_least_two(*part: Tensor) -> Any:
        return run(*part) if len(part[0]) > 1 else _alone(run, part)

    parts = zip(*(each.split(size) for each in batch), strict=True)
    return _joined([_again(network, at_least_two, part) for part in parts])


def _again(network: nn.Module, run: Callable[..., Any], part: tuple[Tensor, ...]) -> Any:
    first = True

    def counted_once(*part: Tensor) -> Any:
        nonlocal first
        statistics = nullcontext() if first else kept_statistics(network)
        first = False
        with statistics:
            return run(*part)

    return checkpoint(counted_once, *part, use_reentrant=False)


@contextmanager
def kept_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of a network alone; in train mode it still normalises by those of its batch."""
    kept = [(layer, dict(layer.named_buffers(recurse=False))) for layer in network.modules()]
    # copies take the update: autograd would notice if the buffers themselves were changed and restored
    for layer, buffers in kept:
        for name, value in buffers.items():
            setattr(layer, name, value.clone())
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, value in buffers.items():
                setattr(layer, name, value)


def _alone(forward: Callable[..., Any], picture: tuple[Tensor, ...]) -> Any:
    """Pass a single picture as a pair with itself.

    On a CPU, PyTorch 2.15 gives instance norm of one picture wrong gradients where channels-last meets contiguous.
    """
    found = forward(*(torch.cat([each, each]) for each in picture))
    return found[:1] if isinstance(found, Tensor) else [each[:1] for each in found]


def _joined(found: list[Any]) -> Any:
    if isinstance(found[0], Tensor):
        return torch.cat(found)
    return [_joined(list(maps)) for maps in zip(*found, strict=True)]  # D's, one a scale
