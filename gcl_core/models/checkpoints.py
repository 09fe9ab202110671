"""An encoder from a file: ours (.safetensors) or any released layout, as stage 1's method `checkpoint` takes it."""

from pathlib import Path
from typing import Any

import torch

from gcl_core.config import Study
from gcl_core.files import RunError, hash_file
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released import read_released_encoder
from gcl_core.models.weights import load_weights

NOT_IN_THE_WEIGHTS = ("parts", "code_layout")  # how the code is cut from the same trunk


def read_encoder_checkpoint(path: Path, study: Study) -> tuple[IdentityEncoder, dict[str, Any]]:
    """Return E_id of the study's settings with a file's weights, on the CPU in eval mode, and facts for the manifest.

    Facts: `file` (its name), `sha256`, `layout` ("ours" or a name in ENCODER_LAYOUTS) and `ignored` (what of the file
    was not used). Raises RunError: the file is missing or unreadable, or holds another encoder than the settings.
    """
    encoder = IdentityEncoder(**study.identity_encoder.model_dump(exclude={"weights"}))
    if not path.is_file():
        here = "is a folder" if path.is_dir() else "is missing"
        raise RunError(f"{path} {here}; expected an encoder's weights: ours (.safetensors) or released (.pth, .pt)")
    layout, ignored = "ours", ()
    if path.suffix == ".safetensors":
        load_weights(encoder, path, torch.device("cpu"), ignore=NOT_IN_THE_WEIGHTS)
        broken = [name for name, value in encoder.state_dict().items() if not torch.isfinite(value).all()]
        if broken:
            raise RunError(f"{path} holds weights that are NaN or infinite: {', '.join(broken[:3])}; use another file")
    else:
        layout, ignored = read_released_encoder(path, encoder)
    facts = {"file": path.name, "sha256": hash_file(path), "layout": layout, "ignored": list(ignored)}
    return encoder.eval(), facts
