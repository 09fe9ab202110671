"""The structure encoder E_str: a grey mesh projection becomes a map of body structure (METHOD.md §2.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gcl_core.models.layers import ResidualBlock, block, initialise, instance_norm
from gcl_core.models.network import Network


class DilatedPyramid(nn.Module):
    """ASPP: a 1x1 branch and a dilated branch a rate, concatenated and mixed; doubles the channels (METHOD.md §2.2)."""

    def __init__(self, channels: int, dilations: tuple[int, int, int]) -> None:
        super().__init__()
        branch = channels // 2
        self.branches = nn.ModuleList([block(channels, branch, 1, norm=instance_norm, linear=True)])
        for dilation in dilations:
            self.branches.append(
                nn.Sequential(
                    block(channels, branch, 1, norm=instance_norm),
                    block(branch, branch, 3, dilation=dilation, norm=instance_norm, linear=True),
                )
            )
        self.fuse = block(2 * channels, 2 * channels, 1, norm=instance_norm, linear=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2*c h w"]:
        """Return the fused branches."""
        return self.fuse(torch.cat([branch(x) for branch in self.branches], dim=1))


class StructureEncoder(Network):
    """E_str: 380,544 parameters at the published dim 16 (METHOD.md §2.2); Kaiming normal start (§2.5)."""

    def __init__(self, *, dim: int = 16, residual_blocks: int = 4, dilations: tuple[int, int, int] = (3, 6, 9)) -> None:
        super().__init__()
        self.dilations = dilations
        self.out_channels = 8 * dim
        self.layers = nn.Sequential(
            block(1, dim, 3, stride=2, norm=instance_norm),
            block(dim, 2 * dim, 3, norm=instance_norm),
            block(2 * dim, 2 * dim, 3, norm=instance_norm),
            block(2 * dim, 4 * dim, 3, stride=2, norm=instance_norm),
            *(ResidualBlock(4 * dim, norm=instance_norm) for _ in range(residual_blocks)),
            DilatedPyramid(4 * dim, dilations),
        )
        initialise(self, nn.init.kaiming_normal_)

    def forward(self, mesh: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b {self.out_channels} h//4 w//4"]:
        """Return the structure map of grey projections in [-1, 1].

        Raises ValueError when a side is no multiple of 4 (the drawn picture could not have the same size), or is too
        short for the reflection padding of the largest dilation.
        """
        height, width = mesh.shape[-2:]
        if height % 4 or width % 4:
            raise ValueError(
                f"the structure encoder got a {height}x{width} mesh projection (height x width); both sides must be "
                "multiples of 4: change the profile's picture size"
            )
        least = 4 * (max(self.dilations) + 1)
        if min(height, width) < least:
            raise ValueError(
                f"a {height}x{width} mesh projection (height x width) is too small for the structure encoder with "
                f"dilations {self.dilations}: reflection padding by {max(self.dilations)} at a quarter of the size "
                f"needs at least {least}x{least}; use larger pictures or smaller generator.dilations in the profile"
            )
        return self.layers(mesh)
