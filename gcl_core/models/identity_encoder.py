"""The identity encoder E_id: a trunk that gives an appearance code and a ReID feature (METHOD.md §2.1)."""

import pickle
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gcl_core.files import RunError
from gcl_core.models.network import Network
from gcl_core.models.timm_trunk import TimmTrunk
from gcl_core.models.trunks import ResNetTrunk, Trunk

IMAGENET = "https://download.pytorch.org/models/resnet50-0676ba61.pth"  # torchvision's IMAGENET1K_V1
TRUNKS: dict[str, type[Trunk]] = {"resnet": ResNetTrunk, "timm": TimmTrunk}


class EncoderOutput(NamedTuple):
    """Appearance code a and un-normalised ReID feature z of a batch."""

    code: Float[Tensor, "b code"]
    feature: Float[Tensor, "b d"]


class IdentityEncoder(Network):
    """E_id: 24,558,144 parameters as published, 23,512,128 with `embedding=None` (METHOD.md §2.1).

    `kind` names the trunk in TRUNKS, which takes what else is given (`block`, `layers`, `width` of a ResNet). The
    constructor's arguments are kept in `settings`. `code_layout`: "part" puts stripe j of the code into its j-th slice,
    "released" is channel-major as in the authors' weights (D3). Weights are drawn from torch's global generator:
    torchvision's rule for a ResNet, Kaiming fan_out for the embedding (§6.2). Raises ValueError for an unknown kind,
    block or layout.
    """

    def __init__(
        self,
        *,
        kind: Literal["resnet", "timm"] = "resnet",
        embedding: int | None = 512,
        parts: int = 4,
        code_layout: Literal["part", "released"] = "part",
        **trunk: Any,
    ) -> None:
        super().__init__()
        if kind not in TRUNKS:
            raise ValueError(f"unknown kind {kind!r} of the identity encoder: choose one of {sorted(TRUNKS)}")
        if code_layout not in ("part", "released"):
            raise ValueError(f"unknown code_layout {code_layout!r} of the identity encoder: choose part or released")
        self.trunk = TRUNKS[kind](**trunk)
        cut = {"embedding": embedding, "parts": parts, "code_layout": code_layout}
        self.settings: dict[str, Any] = {"kind": kind, **self.trunk.settings, **cut}
        self.parts = parts
        self.code_layout = code_layout
        self.channels = self.trunk.channels
        self.code_dim = parts * self.channels
        self.feature_dim = embedding or self.channels
        self.embedding = nn.Linear(self.channels, embedding) if embedding else nn.Identity()
        if isinstance(self.embedding, nn.Linear):
            nn.init.kaiming_normal_(self.embedding.weight, mode="fan_out")
            nn.init.zeros_(self.embedding.bias)
        self.neck = nn.BatchNorm1d(self.feature_dim)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> EncoderOutput:
        """Return appearance code and ReID feature (un-normalised) of ImageNet-normalised pictures.

        A ResNet's code is non-negative.

        Raises ValueError when the trunk's map has fewer rows than there are parts.
        """
        activations = self.trunk(x)
        if activations.shape[2] < self.parts:
            least = self.trunk.stride * self.parts
            raise ValueError(
                f"a picture of {x.shape[2]} rows leaves {activations.shape[2]} rows in the trunk's map, but the "
                f"appearance code needs {self.parts} stripes: use pictures of at least {least} rows, or "
                "fewer parts"
            )
        stripes = F.adaptive_avg_pool2d(activations, (self.parts, 1)).squeeze(3)
        if self.code_layout == "part":
            stripes = stripes.transpose(1, 2)
        feature = self.neck(self.embedding(activations.mean(dim=(2, 3))))
        return EncoderOutput(code=stripes.flatten(1), feature=feature)

    def embed(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b {self.feature_dim}"]:
        """Return the feature before its batch norm, `neck`, of ImageNet-normalised pictures."""
        return self.computed(lambda pictures: self.embedding(self.trunk(pictures).mean(dim=(2, 3))), x)

    def features(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b {self.feature_dim}"]:
        """Return L2-normalised ReID features of ImageNet-normalised pictures, for retrieval and for the memory bank."""
        return F.normalize(self.forward(x).feature)


def load_imagenet(encoder: IdentityEncoder) -> None:
    """Load torchvision's ResNet-50 (IMAGENET1K_V1) into the trunk, strictly but for the classifier (METHOD.md §2.5).

    Raises RunError when the trunk is not a ResNet-50 of width 64; when the weights are neither in the torch hub cache
    nor to be had from the network, which says where to put the file; and when the cached file cannot be read.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET.rsplit("/", 1)[-1]
    try:
        state = torch.hub.load_state_dict_from_url(IMAGENET, progress=False, check_hash=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise RunError(
            f"the ImageNet weights in {file} cannot be read ({error}): delete the file, try again"
        ) from error
    except OSError as error:
        raise RunError(
            f"the ImageNet weights could not be downloaded from {IMAGENET} ({error}): fetch that file elsewhere and "
            f"put it at {file}, or set the profile's identity_encoder.weights to null"
        ) from error
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        encoder.trunk.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(
            "ImageNet weights are those of a ResNet-50; this identity encoder is none: use block bottleneck, layers "
            "(3, 4, 6, 3), width 64, or set the profile's identity_encoder.weights to null"
        ) from error
