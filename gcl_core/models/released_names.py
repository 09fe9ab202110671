"""How the authors' checkpoints name what our networks hold, tensor by tensor and in their order (METHOD.md §2, §8 D17).

A map goes from the released name to ours; None marks a tensor that the release stores and never reads.
"""

from typing import NamedTuple

from torch import nn

from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.layers import ResidualBlock

Names = dict[str, str | None]


class EncoderLayout(NamedTuple):
    """Where an encoder's file keeps its trunk, embedding and neck."""

    trunk: str  # prefix of torchvision's names
    embedding: str | None
    neck: str


# METHOD.md §2.1: the variants without an embedding differ in the neck's name and in whether the trunk is under `base`
ENCODER_LAYOUTS = {
    "jvtc": EncoderLayout("", "feat", "feat_bn"),
    "bn2048_feat_bn": EncoderLayout("", None, "feat_bn"),
    "bn2048_bn": EncoderLayout("", None, "bn"),
    "bn2048_base_feat_bn": EncoderLayout("base.", None, "feat_bn"),
    "bn2048_base_bn": EncoderLayout("base.", None, "bn"),
}


def encoder_names(encoder: IdentityEncoder, layout: EncoderLayout) -> Names:
    """Return the names of E_id in a layout whose embedding is there exactly when the encoder's is."""
    prefixes = {"trunk.": layout.trunk, "embedding.": f"{layout.embedding}.", "neck.": f"{layout.neck}."}
    names: Names = {}
    for ours in encoder.state_dict():
        own = next(prefix for prefix in prefixes if ours.startswith(prefix))
        names[prefixes[own] + ours.removeprefix(own)] = ours
    return names


def generator_names(generator: Generator) -> Names:
    """Return the names of E_str, decoder and MLPs; the running statistics of AdaIN are never read (§2.3)."""
    parts = range(generator.parts)
    names: Names = {}
    pair = ("weight", "bias")

    def add(released: str, ours: str, leaves: tuple[str, ...] = pair, ours_leaves: tuple[str, ...] = pair) -> None:
        names.update({f"{released}.{a}": f"{ours}.{b}" for a, b in zip(leaves, ours_leaves, strict=True)})

    for layer in range(4):
        add(f"enc_content.model.{layer}.conv", f"structure_encoder.layers.{layer}.0")
    for part in parts:
        for half in (0, 1):
            add(
                f"enc_content.model.4.model.{part}.model.{half}.conv",
                f"structure_encoder.layers.{4 + part}.body.{half}.0",
            )
    pyramid = f"structure_encoder.layers.{4 + len(parts)}"
    add("enc_content.model.5.conv1.conv", f"{pyramid}.branches.0.0")
    for branch, rate in enumerate((6, 12, 18), start=1):  # the names of the release; its rates are 3, 6, 9 (D27)
        for half in (0, 1):
            add(f"enc_content.model.5.conv{rate}.{half}.conv", f"{pyramid}.branches.{branch}.{half}.0")
    add("enc_content.model.5.fuse.conv", f"{pyramid}.fuse.0")

    for part in parts:
        for half, ours in enumerate(("first", "second")):
            released = f"dec.model.1.model.{part}.model.{half}"
            names |= {f"{released}.norm.running_mean": None, f"{released}.norm.running_var": None}
            add(f"{released}.conv", f"blocks.{part}.{ours}")
    for released, ours in ((3, 1), (5, 3)):
        add(f"dec.model.{released}.norm", f"head.{ours}.1", ("gamma", "beta"), ("gain", "bias"))
        add(f"dec.model.{released}.conv", f"head.{ours}.0")
    for layer in (6, 7, 8):
        add(f"dec.model.{layer}.conv", f"head.{layer - 2}.0")

    for released, ours in (("mlp_w", "weight_mlps"), ("mlp_b", "bias_mlps")):
        for part in parts:
            for layer in range(3):
                add(f"{released}{part + 1}.model.{layer}.fc", f"{ours}.{part}.{2 * layer}")
    return names


def discriminator_names(discriminator: Discriminator) -> Names:
    """Return the names of D."""
    names: Names = {}
    for scale, network in enumerate(discriminator.networks):
        for index, layer in enumerate(network.children()):
            released, ours = f"cnns.{scale}.{index}", f"networks.{scale}.{index}"
            if isinstance(layer, ResidualBlock):
                pairs = {f"{released}.model.{half}.conv": f"{ours}.body.{half}.0" for half in (0, 1)}
            elif isinstance(layer, nn.Conv2d):
                pairs = {released: ours}
            else:
                pairs = {f"{released}.conv": f"{ours}.0"}
            names |= {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in pairs.items() for leaf in ("weight", "bias")}
    return names
