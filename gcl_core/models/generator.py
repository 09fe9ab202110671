"""The generator G: structure map and appearance code become a picture (METHOD.md §2.3)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gcl_core.models.layers import (
    SLOPE,
    LayerNorm,
    activation,
    adaptive_instance_norm,
    block,
    convolution,
    initialise,
)
from gcl_core.models.network import TrainedGenerator
from gcl_core.models.structure_encoder import StructureEncoder


class AdaptiveResidualBlock(nn.Module):
    """Residual block of two 3x3 convolutions, each followed by AdaIN with parameters predicted from one part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3)
        self.second = convolution(channels, channels, 3)

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b 2*c"], biases: Float[Tensor, "b 2*c"]
    ) -> Float[Tensor, "b c h w"]:
        """Return x + body(x); the first half of weights and biases belongs to the first convolution."""
        weight_1, weight_2 = weights.chunk(2, dim=1)
        bias_1, bias_2 = biases.chunk(2, dim=1)
        hidden = adaptive_instance_norm(self.first(x), weight_1, bias_1)
        hidden = F.leaky_relu(hidden, SLOPE, inplace=True)
        return x + adaptive_instance_norm(self.second(hidden), weight_2, bias_2)


def part_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return the MLP that reads one part of the appearance code: three linear layers, no norm."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, outputs)
    )


class Generator(TrainedGenerator):
    """E_str, two MLPs a part and the AdaIN decoder: 13,380,675 parameters as published (METHOD.md §2.2-2.3).

    The appearance code is cut into `parts` consecutive slices; slice j gives both AdaIN layers of decoder block j, so
    there are as many decoder blocks as parts. Kaiming normal start (§2.5), drawn from torch's global generator.
    Raises ValueError when `residual_blocks` differs from `parts` or `code_dim` is no multiple of it.
    """

    def __init__(
        self,
        *,
        code_dim: int,
        dim: int = 16,
        mlp_dim: int = 512,
        residual_blocks: int | None = None,
        parts: int = 4,
        dilations: tuple[int, int, int] = (3, 6, 9),
    ) -> None:
        super().__init__()
        residual_blocks = parts if residual_blocks is None else residual_blocks
        if residual_blocks != parts:
            raise ValueError(
                f"the generator got residual_blocks={residual_blocks} and parts={parts}; decoder block j is driven by "
                "part j, so the two must be equal: change one of them in the profile"
            )
        if code_dim % parts:
            raise ValueError(f"an appearance code of {code_dim} entries cannot be cut into {parts} equal parts")
        self.settings = {
            "code_dim": code_dim,
            "dim": dim,
            "mlp_dim": mlp_dim,
            "residual_blocks": residual_blocks,
            "parts": parts,
            "dilations": dilations,
        }
        self.code_dim = code_dim
        self.parts = parts
        self.structure_encoder = StructureEncoder(dim=dim, residual_blocks=residual_blocks, dilations=dilations)
        channels = self.structure_encoder.out_channels
        self.weight_mlps = nn.ModuleList(part_mlp(code_dim // parts, mlp_dim, 2 * channels) for _ in range(parts))
        self.bias_mlps = nn.ModuleList(part_mlp(code_dim // parts, mlp_dim, 2 * channels) for _ in range(parts))
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(channels) for _ in range(parts))
        self.head = nn.Sequential(
            nn.Upsample(scale_factor=2),
            block(channels, channels // 2, 5, norm=LayerNorm),
            nn.Upsample(scale_factor=2),
            block(channels // 2, channels // 4, 5, norm=LayerNorm),
            block(channels // 4, channels // 4, 3),
            block(channels // 4, channels // 4, 3),
            block(channels // 4, 3, 1, linear=True),
        )
        for module in (self.weight_mlps, self.bias_mlps, self.blocks, self.head):
            initialise(module, nn.init.kaiming_normal_)

    def structure(self, mesh: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h//4 w//4"]:
        """Return E_str's structure map of grey mesh projections in [-1, 1]; raises as `StructureEncoder` does."""
        return self.structure_encoder(mesh)

    def forward(
        self, structure: Float[Tensor, "b c h w"], code: Float[Tensor, "b {self.code_dim}"]
    ) -> Float[Tensor, "b 3 4*h 4*w"]:
        """Return pictures in ImageNet-normalised space, unbounded (no tanh): the structure in the code's appearance."""
        x = structure
        for decoder_block, weight_mlp, bias_mlp, part in zip(
            self.blocks, self.weight_mlps, self.bias_mlps, code.chunk(self.parts, dim=1), strict=True
        ):
            x = decoder_block(x, weight_mlp(part), bias_mlp(part))
        return self.head(x)
