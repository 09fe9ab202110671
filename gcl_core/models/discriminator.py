"""The discriminator D: separate patch networks at full, half and quarter resolution (METHOD.md §2.4)."""

from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gcl_core.models.layers import ResidualBlock, block, convolution, initialise
from gcl_core.models.network import Network
from gcl_core.settings.networks import DiscriminatorSettings


def patch_network(dim: int, downsamples: int, residual_blocks: int) -> nn.Sequential:
    """Return the network of one scale: no norm; `downsamples` halvings, the last of which doubles the channels."""
    layers: list[nn.Module] = [block(3, dim, 1)]
    for step in range(1, downsamples + 1):
        outputs = 2 * dim if step == downsamples else dim
        layers += [block(dim, dim, 3), block(dim, outputs, 3, stride=2)]
    layers += [ResidualBlock(2 * dim) for _ in range(residual_blocks)]
    return nn.Sequential(*layers, convolution(2 * dim, 1, 1))


class Discriminator(Network):
    """D on ImageNet-normalised RGB: 341,857 parameters a scale, 1,025,571 in all as published (METHOD.md §2.4).

    Weights start at N(0, 0.02²), biases at 0 (§2.5), drawn from torch's global generator.
    """

    def __init__(self, *, dim: int = 32, downsamples: int = 2, residual_blocks: int = 4, scales: int = 3) -> None:
        super().__init__()
        self.settings = {
            "dim": dim,
            "downsamples": downsamples,
            "residual_blocks": residual_blocks,
            "scales": scales,
        }
        self.least = DiscriminatorSettings(downsamples=downsamples, scales=scales).least_side
        self.networks = nn.ModuleList(patch_network(dim, downsamples, residual_blocks) for _ in range(scales))
        initialise(self, partial(nn.init.normal_, std=0.02))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b 1 _ _"]]:
        """Return one score map a scale, finest first; real is 1, drawn is 0.

        Raises ValueError when the picture is too small for the reflection padding of the coarsest scale.
        """
        height, width = x.shape[-2:]
        if min(height, width) < self.least:
            raise ValueError(
                f"a {height}x{width} picture (height x width) is too small for this discriminator: its coarsest scale "
                f"needs at least {self.least}x{self.least}; use larger pictures, or fewer scales or downsamples"
            )
        maps = [self.networks[0](x)]
        for network in self.networks[1:]:
            x = F.avg_pool2d(x, kernel_size=3, stride=2, padding=1, count_include_pad=False)
            maps.append(network(x))
        return maps
