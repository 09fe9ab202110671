"""E_id of a finished run or of given weights, without a profile: their manifests say what it is and which pictures it
takes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from gcl_core.data.batches import imagenet_normalize
from gcl_core.files import RunError
from gcl_core.given.folder import encoder_facts, holds_given
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import load_weights
from gcl_core.run_folder import lacking, run_facts, run_picture
from gcl_core.settings.networks import IdentityEncoderSettings


@dataclass(frozen=True)
class RunEncoder:
    """E_id of a run in eval mode, and the size of the pictures that it was trained on, in pixels."""

    encoder: IdentityEncoder
    height: int
    width: int


def load_run_encoder(run: Path, device: torch.device) -> RunEncoder:
    """Return E_id of a run folder, as runs/mini/gcl/seed0, or of given weights, as weights/mini/gcl.

    Raises RunError where the folder is no finished run, holds no encoder or one of another version, and where it does
    not say which pictures it takes; for given weights as `encoder_facts` does.
    """
    facts = encoder_facts(run) if holds_given(run) else _finished(run)
    settings = facts["settings"]
    picture = run_picture(run.parent if holds_given(run) else run, settings)
    try:
        network = TypeAdapter(IdentityEncoderSettings).validate_python(settings["identity_encoder"])
    except ValidationError as error:
        first = error.errors()[0]
        wrong = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{run}: its settings of the identity encoder are none that this version knows ({wrong}: {first['msg']}): "
            f"use the commit that trained it, {facts.get('git_revision', 'unknown')}"
        ) from error
    encoder = IdentityEncoder(**network.model_dump(exclude={"weights"}))
    load_weights(encoder, run / "encoder.safetensors", device)
    return RunEncoder(encoder, picture.height, picture.width)


def _finished(run: Path) -> dict[str, Any]:
    manifest = run / "manifest.json"
    facts = run_facts(run) if manifest.is_file() else {}
    if "finished" not in facts:
        raise RunError(
            f"{run} is no finished run: it has no manifest.json that says so. Give a run folder, as in "
            "`--run runs/mini/gcl/seed0`, or given weights, as in `--run weights/mini/gcl`; `python -m gcl_core runs` "
            "lists the runs"
        )
    if "picture" not in facts["settings"]:
        raise RunError(
            f"{manifest} does not say which size its pictures have, as weights imported by an earlier version do not: "
            "import them again under another name"
        )
    if "encoder.safetensors" in lacking(run, facts):
        raise RunError(f"{run} lacks encoder.safetensors; restore it, or run its study again, which writes it anew")
    if not (run / "encoder.safetensors").is_file():
        raise RunError(f"{run} holds no identity encoder, as a warm-up does not: give the run of a baseline or variant")
    return facts


class Embedder(nn.Module):
    """E_id as one network from pictures in [0, 1] to L2-normalised features, as it is exported to ONNX."""

    def __init__(self, encoder: IdentityEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return L2-normalised features of RGB pictures in [0, 1]."""
        return self.encoder.features(imagenet_normalize(pictures))
