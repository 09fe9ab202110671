"""Settings of the networks (METHOD.md §2)."""

from typing import Annotated, Literal

from pydantic import Field

from gcl_core.settings.common import Positive, Settings, Weight


class IdentityEncoderSettings(Settings):
    """E_id (§2.1): torchvision's ResNet family, last stride 1, stripes for the appearance code, BN feature."""

    block: Literal["basic", "bottleneck"] = "bottleneck"
    layers: tuple[Positive, Positive, Positive, Positive] = (3, 4, 6, 3)  # ResNet-50
    width: Annotated[int, Field(ge=4, le=256)] = 64
    embedding: Positive | None = 512  # JVTC variant; null: BN on the pooled features (MLC/MMCL, ACT, UDA_TP)
    parts: Positive = 4
    code_layout: Literal["part", "released"] = "part"  # D3
    weights: Literal["imagenet"] | None = "imagenet"  # where the baseline starts from (§5.1)


class GeneratorSettings(Settings):
    """E_str, the MLPs and the AdaIN decoder (§2.2-2.3)."""

    dim: Annotated[int, Field(ge=1)] = 16
    mlp_dim: Positive = 512
    dilations: tuple[Positive, Positive, Positive] = (3, 6, 9)  # D27


class DiscriminatorSettings(Settings):
    """D (§2.4) and its gradient penalty (§3.2)."""

    dim: Positive = 32
    downsamples: Positive = 2
    residual_blocks: Positive = 4
    scales: Positive = 3
    penalty_weight: Weight = 0.01
    penalty_every: Positive = 1  # every n-th step, n times as heavy (ours; 1 is as published)
