"""Networks of a study: built from its settings and a seed, stored as safetensors, loaded strictly."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from gcl_core.config import Study
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder, load_imagenet
from gcl_core.run import RunError, atomic
from gcl_core.seeding import derive_seed

Network = TypeVar("Network", bound=nn.Module)


def build_encoder(study: Study, seed: int) -> IdentityEncoder:
    """Return E_id as stage 1 starts from it: seeded random weights, ImageNet's over them when the study says so."""
    settings = study.identity_encoder
    encoder = _seeded(lambda: IdentityEncoder(**settings.model_dump(exclude={"weights"})), seed, "identity_encoder")
    if settings.weights == "imagenet":
        load_imagenet(encoder)
    return encoder


def build_generator(study: Study, code_dim: int, seed: int) -> Generator:
    """Return G with E_str and MLPs for appearance codes of `code_dim` entries, at its seeded start (§2.5)."""
    settings = study.generator.model_dump()
    parts = study.identity_encoder.parts
    return _seeded(
        lambda: Generator(code_dim=code_dim, parts=parts, residual_blocks=parts, **settings), seed, "generator"
    )


def build_discriminator(study: Study, seed: int) -> Discriminator:
    """Return D at its seeded start (§2.5)."""
    settings = study.discriminator.model_dump(exclude={"penalty_weight", "penalty_every"})
    return _seeded(lambda: Discriminator(**settings), seed, "discriminator")


def _seeded(build: Callable[[], Network], seed: int, purpose: str) -> Network:
    """Build under a seeded global generator, left as it was; channels last, in which convolutions are faster."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, purpose))
        return build().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's parameters and buffers as safetensors, whole or not at all."""
    with atomic(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}, temporary)


def load_weights(network: Network, path: Path, device: torch.device) -> Network:
    """Load weights written by `save_weights` into a network of the same shape; returns it in eval mode on `device`.

    Raises RunError: the file is missing or broken, or belongs to another architecture.
    """
    if not path.is_file():
        raise RunError(f"{path} is missing; run the notebook of that stage first ({path.parent.parent.name})")
    try:
        network.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise RunError(f"{path} is broken ({error}); delete its run folder and run that stage again") from error
    except RuntimeError as error:
        raise RunError(f"{path} holds another architecture than the study's settings describe: {error}") from error
    return network.to(device).eval()


def load_encoder(study: Study, folder: Path, device: torch.device) -> IdentityEncoder:
    """Load E_id of a run folder, in eval mode."""
    network = IdentityEncoder(**study.identity_encoder.model_dump(exclude={"weights"}))
    return load_weights(network, folder / "encoder.safetensors", device)


def load_generator(study: Study, folder: Path, device: torch.device) -> Generator:
    """Load G, E_str and MLPs of a run folder (warm-up or a variant with drawn views), in eval mode."""
    with torch.device("meta"):
        code_dim = IdentityEncoder(**study.identity_encoder.model_dump(exclude={"weights"})).code_dim
    network = build_generator(study, code_dim, seed=0)
    return load_weights(network, folder / "generator.safetensors", device)
