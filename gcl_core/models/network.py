"""What all networks share: how exactly their passes compute while they learn, and in how much memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gcl_core.device import full_float32
from gcl_core.models.frugal import recomputed
from gcl_core.settings.common import ComputeSettings

Module = TypeVar("Module", bound=nn.Module)


class Network(nn.Module):
    """A network whose calls compute as `compute` says; a copy of it computes alike, by its own weights.

    Passes without gradients, such as those of an evaluation, are plain float32 always. In bfloat16 (autocast) what
    comes out is float32 again, so that losses are. With `compute.micro_batch` passes are `recomputed`. A subclass has
    its arithmetic in `forward`, as any module; another way through it that learns goes through `computed`.
    """

    compute = ComputeSettings()

    def __call__(self, *batch: Tensor) -> Any:
        """Return what `forward` does."""
        return self.computed(super().__call__, *batch)

    def computed(self, run: Callable[..., Any], *batch: Tensor) -> Any:
        """Return what `run` makes of a batch, computed as `compute` says."""
        if self.compute.micro_batch is None or not torch.is_grad_enabled():
            return self._in_precision(run, *batch)
        return recomputed(self, lambda *part: self._in_precision(run, *part), batch, self.compute.micro_batch)

    def at_once(self, *batch: Tensor) -> Any:
        """Return what `forward` does, without regard to `compute.micro_batch`."""
        return self._in_precision(super().__call__, *batch)

    def in_parts(self, count: int) -> list[slice]:
        """Return the parts of `count` pictures that are to pass `at_once`, each on its own.

        For a loss whose backward pass follows at once, part by part: there nothing is gained by computing twice.
        """
        size = self.compute.micro_batch or count
        return [slice(first, first + size) for first in range(0, count, size)]

    def _in_precision(self, run: Callable[..., Any], *batch: Tensor) -> Any:
        if not torch.is_grad_enabled():
            with full_float32():
                return run(*batch)
        if self.compute.precision != "bf16":
            return run(*batch)
        with torch.autocast(batch[0].device.type, torch.bfloat16):
            found = run(*batch)
        return _float(found)


class TrainedGenerator(Network, ABC):
    """Base of the generators that the study trains: a `GeneratorNetwork` (protocols.py) and a module with weights.

    `settings` are the constructor's arguments: `code_dim`, `parts` (of the appearance code), and what the settings of
    its kind hold. Its file tells them.
    """

    settings: dict[str, Any]
    code_dim: int

    @abstractmethod
    def structure(self, mesh: Tensor) -> Tensor:
        """Return what `forward` takes of grey mesh projections [b, 1, h, w] in [-1, 1], beside appearance codes."""


def prepared(module: Module, settings: ComputeSettings, *, compiled: bool = True) -> Module:
    """Return the module, every `Network` of which computes as the settings say; weights and names stay what they are.

    `compiled` false leaves out `settings.compile`: a network that is differentiated twice, as D is for its penalty,
    cannot be compiled. TF32 is a switch of the process and concerns NVIDIA GPUs alone; without it even convolutions are
    full float32, which is not PyTorch's default.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
    for network in module.modules():
        if isinstance(network, Network):
            network.compute = settings
            if settings.compile and compiled:
                network.compile()
    return module


def _float(found: Any) -> Any:
    if isinstance(found, Tensor):
        return found.float()
    if hasattr(found, "_fields"):  # a named tuple
        return type(found)(*map(_float, found))
    return [_float(each) for each in found]
