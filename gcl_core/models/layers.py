"""Building blocks shared by the structure encoder, the generator and the discriminator (METHOD.md §2)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EPS = 1e-5  # of every normalisation here
SLOPE = 0.2  # of every LeakyReLU


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Return a convolution with bias whose reflection padding keeps the size (up to the stride); odd kernels only.

    The padded side must be longer than the padding, `dilation · (kernel - 1) / 2` (METHOD.md §2).
    """
    padding = dilation * (kernel - 1) // 2
    mode = "reflect" if padding else "zeros"  # a 1x1 convolution needs no padded copy of its input
    return nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, padding_mode=mode, bias=True
    )


def activation() -> nn.LeakyReLU:
    """Return LeakyReLU(0.2), in place: nobody keeps the output of the layer before it."""
    return nn.LeakyReLU(SLOPE, inplace=True)


def instance_norm(channels: int) -> nn.Module:
    """Return instance norm without affine parameters or running statistics (METHOD.md §2, "IN")."""
    return nn.InstanceNorm2d(channels, eps=EPS)


def no_norm(channels: int) -> None:
    """Stand where a norm of `channels` would be: there is none."""


class LayerNorm(nn.Module):
    """Normalise each sample over channels and pixels, then gain and bias a channel (METHOD.md §2, "LN").

    PyTorch's own has the biased std, and its eps inside the root. The gain starts at U(0, 1), the bias at 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(channels).uniform_())
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return (x - mean) / (unbiased std + 1e-5) · gain + bias."""
        centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
        # torch.std over three dimensions takes twice as long as all of this on a CPU
        std = torch.linalg.vector_norm(centred, dim=(1, 2, 3), keepdim=True) / (x[0].numel() - 1) ** 0.5
        return torch.addcmul(self.bias[:, None, None], centred, self.gain[:, None, None] / (std + EPS))


def adaptive_instance_norm(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "b c"], bias: Float[Tensor, "b c"]
) -> Float[Tensor, "b c h w"]:
    """Return weight · (x - mean) / sqrt(variance + 1e-5) + bias with each sample's and channel's own biased statistics.

    The predicted weight is used as it is, without "1 +" (METHOD.md §2.3).
    """
    # batch norm of one picture with b·c channels: normalises, weights and shifts in one pass
    one = x.reshape(1, -1, *x.shape[2:])
    normalised = F.batch_norm(one, None, None, weight.flatten(), bias.flatten(), training=True, eps=EPS)
    return normalised.view(x.shape)


def block(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    norm: Callable[[int], nn.Module | None] = no_norm,
    linear: bool = False,
) -> nn.Sequential:
    """Return convolution, norm, activation (none when `linear`), the generic block of METHOD.md §2."""
    layers: list[nn.Module] = [convolution(inputs, outputs, kernel, stride=stride, dilation=dilation)]
    if (layer := norm(outputs)) is not None:
        layers.append(layer)
    if not linear:
        layers.append(activation())
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Two 3x3 blocks, the second linear, plus the identity; nothing after the sum (METHOD.md §2.2, §2.4)."""

    def __init__(self, channels: int, *, norm: Callable[[int], nn.Module | None] = no_norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(channels, channels, 3, norm=norm), block(channels, channels, 3, norm=norm, linear=True)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return x + body(x)."""
        return x + self.body(x)


def initialise(module: nn.Module, weight: Callable[[Tensor], Tensor]) -> None:
    """Fill every convolution and linear layer: its weight by `weight` in place, its bias by 0 (METHOD.md §2.5)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight(layer.weight)
            assert layer.bias is not None  # every layer of the three networks has one
            nn.init.zeros_(layer.bias)
