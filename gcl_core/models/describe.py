"""What a network is: its class and the settings that rebuild it, as its weights' file tells them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import BLOCKS, IdentityEncoder
from gcl_core.models.layers import ResidualBlock
from gcl_core.models.structure_encoder import DilatedPyramid

Description = dict[str, Any]


def describe(network: nn.Module) -> Description:
    """Return {"network": class name, "settings": constructor arguments}, in types of JSON; other classes have none."""
    settings: dict[str, Any] = {}
    if isinstance(network, IdentityEncoder):
        settings = _encoder(network)
    elif isinstance(network, Generator):
        settings = _generator(network)
    elif isinstance(network, Discriminator):
        settings = _discriminator(network)
    return {"network": type(network).__name__, "settings": settings}


def differences(expected: Description, found: Description, *, ignore: Collection[str] = ()) -> tuple[str, str] | None:
    """Return two descriptions as words, each with the settings in which they differ; None when they agree.

    Settings named in `ignore` may differ.
    """
    if expected["network"] != found["network"]:
        return expected["network"], found["network"]
    wanted, got = expected["settings"], found["settings"]
    names = [name for name in {**wanted, **got} if name not in ignore and wanted.get(name) != got.get(name)]
    return (_words(expected, names), _words(found, names)) if names else None


def mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return a line for each tensor of another shape, then for each that lacks, then for each that is too many."""
    sizes = {name: _size(value) for name, value in expected.items()}
    others = {name: _size(value) for name, value in found.items()}
    return [
        *(f"{n}: expected {sizes[n]}, found {others[n]}" for n in sizes if n in others and others[n] != sizes[n]),
        *(f"{n}: expected {sizes[n]}, found none" for n in sizes if n not in others),
        *(f"{n}: expected none, found {others[n]}" for n in others if n not in sizes),
    ]


def some(problems: Sequence[str]) -> str:
    """Return the first three of a list of problems, and how many more there are."""
    return "; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a scalar"


def _words(description: Description, names: list[str]) -> str:
    settings = description["settings"]
    return f"{description['network']} with {', '.join(f'{name} {settings.get(name)}' for name in names)}"


def _encoder(network: IdentityEncoder) -> dict[str, Any]:
    trunk, embedding = network.trunk, network.embedding
    return {
        "block": next(name for name, block in BLOCKS.items() if isinstance(trunk.layer1[0], block)),
        "layers": [len(stage) for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)],
        "width": trunk.conv1.out_channels,
        "embedding": embedding.out_features if isinstance(embedding, nn.Linear) else None,
        "parts": network.parts,
        "code_layout": network.code_layout,
    }


def _generator(network: Generator) -> dict[str, Any]:
    pyramid = network.structure_encoder.layers[-1]
    last = network.weight_mlps[0].get_submodule("2")
    assert isinstance(pyramid, DilatedPyramid)
    assert isinstance(last, nn.Linear)
    return {
        "code_dim": network.code_dim,
        "dim": network.structure_encoder.out_channels // 8,
        "mlp_dim": last.out_features,
        "residual_blocks": len(network.blocks),
        "parts": network.parts,
        "dilations": list(network.structure_encoder.dilations),
    }


def _discriminator(network: Discriminator) -> dict[str, Any]:
    layers = list(network.networks[0].children())
    first = network.networks[0].get_submodule("0.0")
    assert isinstance(first, nn.Conv2d)
    residual = sum(isinstance(layer, ResidualBlock) for layer in layers)
    return {
        "dim": first.out_channels,
        "downsamples": (len(layers) - residual - 2) // 2,  # besides these: first and last layer, two a halving
        "residual_blocks": residual,
        "scales": len(network.networks),
    }
