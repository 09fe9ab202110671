"""The identity encoder E_id: a ResNet that gives an appearance code and a ReID feature (METHOD.md §2.1)."""

import pickle
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class EncoderOutput(NamedTuple):
    """Appearance code a and un-normalised ReID feature z of a batch."""

    code: Float[Tensor, "b code"]
    feature: Float[Tensor, "b d"]


class Trunk(nn.Module):
    """torchvision's ResNet without its classifier, any width, last stride 1; parameters are named as torchvision's."""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], layers: tuple[int, int, int, int], width: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._stage(block, width, width, layers[0], stride=1)
        self.layer2 = self._stage(block, width * block.expansion, 2 * width, layers[1], stride=2)
        self.layer3 = self._stage(block, 2 * width * block.expansion, 4 * width, layers[2], stride=2)
        self.layer4 = self._stage(block, 4 * width * block.expansion, 8 * width, layers[3], stride=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(
        block: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, depth: int, *, stride: int
    ) -> nn.Sequential:
        outputs = planes * block.expansion
        shortcut = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
        rest = (block(outputs, planes) for _ in range(depth - 1))
        return nn.Sequential(block(inputs, planes, stride, shortcut), *rest)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        """Return layer4's map, a sixteenth of the picture's size."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class IdentityEncoder(nn.Module):
    """E_id: 24,558,144 parameters as published, 23,512,128 with `embedding=None` (METHOD.md §2.1).

    `width` is layer1's number of planes (64 is torchvision's ResNet). `code_layout`: "part" puts stripe j of the code
    into its j-th slice, "released" is channel-major as in the authors' weights (D3). Weights are drawn from torch's
    global generator: torchvision's rule for the trunk, Kaiming fan_out for the embedding (§6.2).
    Raises ValueError for an unknown block or layout.
    """

    def __init__(
        self,
        *,
        block: Literal["basic", "bottleneck"] = "bottleneck",
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        embedding: int | None = 512,
        parts: int = 4,
        code_layout: Literal["part", "released"] = "part",
    ) -> None:
        super().__init__()
        if block not in BLOCKS:
            raise ValueError(f"unknown block {block!r} of the identity encoder: choose one of {sorted(BLOCKS)}")
        if code_layout not in ("part", "released"):
            raise ValueError(f"unknown code_layout {code_layout!r} of the identity encoder: choose part or released")
        self.parts = parts
        self.code_layout = code_layout
        self.channels = 8 * width * BLOCKS[block].expansion
        self.code_dim = parts * self.channels
        self.feature_dim = embedding or self.channels
        self.trunk = Trunk(BLOCKS[block], layers, width)
        self.embedding = nn.Linear(self.channels, embedding) if embedding else nn.Identity()
        if isinstance(self.embedding, nn.Linear):
            nn.init.kaiming_normal_(self.embedding.weight, mode="fan_out")
            nn.init.zeros_(self.embedding.bias)
        self.neck = nn.BatchNorm1d(self.feature_dim)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> EncoderOutput:
        """Return appearance code (non-negative) and ReID feature (un-normalised) of ImageNet-normalised pictures.

        Raises ValueError when layer4's map has fewer rows than there are parts.
        """
        activations = self.trunk(x)
        if activations.shape[2] < self.parts:
            raise ValueError(
                f"a picture of {x.shape[2]} rows leaves {activations.shape[2]} rows in layer4, but the appearance code "
                f"needs {self.parts} stripes: use pictures of at least {16 * self.parts} rows, or fewer parts"
            )
        stripes = F.adaptive_avg_pool2d(activations, (self.parts, 1)).squeeze(3)
        if self.code_layout == "part":
            stripes = stripes.transpose(1, 2)
        feature = self.neck(self.embedding(activations.mean(dim=(2, 3))))
        return EncoderOutput(code=stripes.flatten(1), feature=feature)

    def embed(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b {self.feature_dim}"]:
        """Return the feature before its batch norm, `neck`, of ImageNet-normalised pictures."""
        return self.embedding(self.trunk(x).mean(dim=(2, 3)))

    def features(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b {self.feature_dim}"]:
        """Return L2-normalised ReID features of ImageNet-normalised pictures, for retrieval and for the memory bank."""
        return F.normalize(self.forward(x).feature)


def load_imagenet(encoder: IdentityEncoder) -> None:
    """Load torchvision's ResNet-50 (IMAGENET1K_V1) into the trunk, strictly but for the classifier (METHOD.md §2.5).

    Raises ValueError when the trunk is not a ResNet-50 of width 64; FileNotFoundError, which says where to put the
    file, when the weights are neither in the torch hub cache nor to be had from the network; RuntimeError when the
    cached file cannot be read.
    """
    weights = ResNet50_Weights.IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise RuntimeError(
            f"the ImageNet weights in {file} cannot be read ({error}): delete the file, try again"
        ) from error
    except OSError as error:
        raise FileNotFoundError(
            f"the ImageNet weights could not be downloaded from {weights.url} ({error}): fetch that file elsewhere and "
            f"put it at {file}, or set the profile's identity_encoder.weights to null"
        ) from error
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        encoder.trunk.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            "ImageNet weights are those of a ResNet-50; this identity encoder is none: use block bottleneck, layers "
            "(3, 4, 6, 3), width 64, or set the profile's identity_encoder.weights to null"
        ) from error
