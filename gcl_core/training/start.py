"""Where stage 1 starts from: random or ImageNet weights, or an encoder that learned from a labelled source set."""

import torch

from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.timm_trunk import weights_file
from gcl_core.models.weights import build_encoder, load_encoder

Started = tuple[IdentityEncoder, str]


def start_encoder(layout: Layout, seed: int, draws: int, device: torch.device) -> Started:
    """Return E_id as stage 1 takes it over, on `device`, and a word on where it comes from.

    Random weights are those of the seed `draws`.

    Raises RunError when a source set is asked for and its pre-training has not run; else as `build_encoder`.
    """
    study = layout.study
    if study.source is not None:
        encoder = load_encoder(study, layout.stage("source", seed), device).train()
        return encoder, f"start: trained on the source set {study.source.dataset}"
    encoder = build_encoder(study, draws).to(device)
    return encoder, _word(study.identity_encoder.weights)


def start_inputs(layout: Layout, seed: int) -> dict[str, str]:
    """Return the hashes of what `start_encoder` reads, as a run's manifest keeps them."""
    if layout.study.source is None:
        weights = layout.study.identity_encoder.weights
        return {} if weights in (None, "imagenet", "pretrained") else {"weights": hash_file(weights_file(weights))}
    return {"source": hash_file(layout.stage("source", seed) / "encoder.safetensors")}


def _word(weights: str | None) -> str:
    known = {None: "random start", "imagenet": "start: ImageNet weights", "pretrained": "start: timm's weights"}
    return known.get(weights, f"start: weights of {weights}")
