"""Less memory for more arithmetic: the backward pass computes activations anew, a part of the batch at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Frugal:
    """A network's forward pass that keeps what goes in and what comes out, and no activation in between.

    Outputs and gradients are those of the plain pass up to the order of sums. `size` pictures pass at a time; a network
    with batch norm sees its batch whole, whose statistics are those of all pictures in it, and counts them once. Passes
    without gradients are left as they are.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        self.network, self.size, self.plain = network, size, network.forward
        self.whole = any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in network.modules())

    def __call__(self, *batch: Tensor) -> Any:
        """Return what the plain pass returns: a tensor, several, or a list of them, a picture a row."""
        if not torch.is_grad_enabled():
            return self.plain(*batch)
        if self.whole:
            return self._recomputed(batch)
        parts = zip(*(each.split(self.size) for each in batch), strict=True)
        return _joined([self._recomputed(part) for part in parts])

    def _recomputed(self, part: tuple[Tensor, ...]) -> Any:
        first = True

        def run(*part: Tensor) -> Any:
            nonlocal first
            statistics = nullcontext() if first else kept_statistics(self.network)
            first = False
            with statistics:
                return self.plain(*part) if self.whole or len(part[0]) > 1 else _alone(self.plain, part)

        # nothing in these networks draws at random: there is no random state to be kept
        return checkpoint(run, *part, use_reentrant=False, preserve_rng_state=False)


def in_parts(network: nn.Module, count: int) -> tuple[Callable[..., Any], list[slice]]:
    """Return a plain pass of the network, and the parts of `count` pictures that are to take it, each on its own.

    For a loss whose backward pass follows at once, part by part: there nothing is gained by computing anything twice.
    """
    forward = network.forward
    if not isinstance(forward, Frugal):
        return network, [slice(0, count)]
    return forward.plain, [slice(first, first + forward.size) for first in range(0, count, forward.size)]


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
