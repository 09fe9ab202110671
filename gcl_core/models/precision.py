"""How exactly networks compute while they train: float32, TF32 or bfloat16; and whether they are compiled or frugal."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gcl_core.models.frugal import Frugal
from gcl_core.settings.common import ComputeSettings

Network = TypeVar("Network", bound=nn.Module)


def prepared(network: Network, settings: ComputeSettings, *, compiled: bool = True) -> Network:
    """Return the network, made to compute as the settings say; its weights and their names stay what they are.

    Passes without gradients, such as those of an evaluation, are float32 always. In bfloat16 (autocast) what comes out
    is float32 again, so that losses are. `compiled` false leaves out `settings.compile`: a network that is
    differentiated twice, as D is for its penalty, cannot be compiled. With `settings.micro_batch` the forward pass is
    `Frugal`. TF32 is a switch of the process and concerns NVIDIA GPUs alone; without it even convolutions are full
    float32, which is not PyTorch's default.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
    if settings.precision == "bf16":
        network.forward = _in_bfloat16(network.forward)
    if settings.micro_batch is not None:
        network.forward = Frugal(network, settings.micro_batch)
    if settings.compile and compiled:
        network.compile()
    return network


def _in_bfloat16(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Tensor, *rest: Tensor) -> Any:
        if not torch.is_grad_enabled():
            return forward(x, *rest)
        with torch.autocast(x.device.type, torch.bfloat16):
            found = forward(x, *rest)
        return _float(found)

    return run


def _float(found: Any) -> Any:
    if isinstance(found, Tensor):
        return found.float()
    if hasattr(found, "_fields"):  # a named tuple
        return type(found)(*map(_float, found))
    return [_float(each) for each in found]
