"""Networks of a study: built from its settings and a seed, stored as safetensors, loaded strictly.

A file's metadata tells, as JSON, the class and settings of the network it holds (weights_file.py).
"""

from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from gcl_core.config import Study
from gcl_core.files import RunError
from gcl_core.models.describe import describe, differences, mismatches, some
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.identity_encoder import IdentityEncoder, load_imagenet
from gcl_core.models.network import TrainedGenerator, prepared
from gcl_core.models.packed import unpacked
from gcl_core.models.timm_trunk import TimmTrunk
from gcl_core.models.weights_file import read_weights, write_weights
from gcl_core.seeding import derive_seed

Module = TypeVar("Module", bound=nn.Module)


def build_encoder(study: Study, seed: int) -> IdentityEncoder:
    """Return E_id as stage 1 starts from it: seeded random weights, ImageNet's over them when the study says so."""
    settings = study.identity_encoder
    encoder = _seeded(lambda: IdentityEncoder(**settings.model_dump(exclude={"weights"})), seed, "identity_encoder")
    if isinstance(encoder.trunk, TimmTrunk) and settings.weights is not None:
        encoder.trunk.load(settings.weights)
    elif settings.weights == "imagenet":
        load_imagenet(encoder)
    return prepared(encoder, study.compute)


def build_generator(study: Study, code_dim: int, seed: int) -> TrainedGenerator:
    """Return G with E_str and MLPs for appearance codes of `code_dim` entries, at its seeded start (§2.5)."""
    settings = study.generator
    module, _, name = settings.network.rpartition(".")
    build = partial(getattr(import_module(module), name), **settings.model_dump(exclude={"kind"}))
    parts = study.identity_encoder.parts
    return prepared(_seeded(lambda: build(code_dim=code_dim, parts=parts), seed, "generator"), study.compute)


def build_discriminator(study: Study, seed: int) -> Discriminator:
    """Return D at its seeded start (§2.5)."""
    settings = study.discriminator.model_dump(exclude={"penalty_weight", "penalty_every"})
    discriminator = _seeded(lambda: Discriminator(**settings), seed, "discriminator")
    return prepared(discriminator, study.compute, compiled=False)


def _seeded(build: Callable[[], Module], seed: int, purpose: str) -> Module:
    """Build under a seeded global generator, left as it was; channels last, in which convolutions are faster."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, purpose))
        return build().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's parameters and buffers, and what it is, as safetensors, whole or not at all."""
    write_weights(path, network.state_dict(), describe(network))


def load_weights(network: Module, path: Path, device: torch.device, *, ignore: Collection[str] = ()) -> Module:
    """Load weights written by `save_weights` into a network of the same settings; returns it in eval mode on `device`.

    They may be packed, as those that come with a profile are (packed.py).
    Constructor settings named in `ignore` may differ. A file that does not say what it holds needs the same names and
    shapes. Raises RunError: the file is missing or broken, or belongs to another network or other settings.
    """
    if not path.is_file():
        raise RunError(
            f"{path} is missing; give the folder of a finished run that has it (a warm-up has no encoder, a baseline "
            "no generator), or run the notebook of that stage first"
        )
    found, packed = read_weights(path)
    if found is not None and found["network"] == IdentityEncoder.__name__:
        found["settings"] = {"kind": "resnet", **found["settings"]}  # older files name no kind
    tensors = unpacked(packed)
    differ = differences(describe(network), found, ignore=ignore) if found else None
    wrong = f"expected {differ[0]}, found {differ[1]}" if differ else some(mismatches(network.state_dict(), tensors))
    if wrong:
        raise RunError(
            f"{path} holds another architecture than the study's settings describe: {wrong}; use the profile and "
            "settings it was trained with, or run that stage again"
        )
    network.load_state_dict(tensors)
    return network.to(device).eval()


def load_encoder(study: Study, folder: Path, device: torch.device) -> IdentityEncoder:
    """Load E_id of a run folder, in eval mode."""
    network = IdentityEncoder(**study.identity_encoder.model_dump(exclude={"weights"}))
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return prepared(load_weights(network, folder / "encoder.safetensors", device), study.compute)


def load_generator(study: Study, folder: Path, device: torch.device) -> TrainedGenerator:
    """Load G, E_str and MLPs of a run folder (warm-up or a variant with drawn views), in eval mode."""
    with torch.device("meta"):
        code_dim = IdentityEncoder(**study.identity_encoder.model_dump(exclude={"weights"})).code_dim
    network = build_generator(study, code_dim, seed=0)
    return load_weights(network, folder / "generator.safetensors", device)


def load_discriminator(study: Study, folder: Path, device: torch.device) -> Discriminator:
    """Load D of a run folder (warm-up or a variant with drawn views), in eval mode."""
    return load_weights(build_discriminator(study, seed=0), folder / "discriminator.safetensors", device)
