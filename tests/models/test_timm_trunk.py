"""A trunk of timm by settings alone: through the study, its files and its weights."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.transforms.v2 import Normalize

from gcl_core.config import ConfigError, Study, load_study
from gcl_core.data.batches import IMAGENET_MEAN, IMAGENET_STD, imagenet_normalize
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout
from gcl_core.models.checkpoints import read_encoder_checkpoint
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released import export_encoder
from gcl_core.models.timm_trunk import WHEEL, TimmTrunk, weights_file
from gcl_core.models.weights import build_encoder, build_generator, load_encoder, load_generator, save_weights
from gcl_core.settings.common import OptimizerSettings
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.start import start_inputs

CPU = torch.device("cpu")


def study(model: str = "resnet10t", more: str = "", *overrides: str) -> Study:
    section = f"identity_encoder={{kind: timm, model: {model}, stride: 16, embedding: null{more}}}"
    return load_study("smoke", [section, *overrides])


class TestSettings:
    def test_kinds_have_their_own_keys(self):
        assert load_study("smoke", "identity_encoder.kind=resnet") == load_study("smoke")
        with pytest.raises(
            ConfigError, match=r"  identity_encoder\.width: unknown key; known here: .*model, parts, str"
        ):
            study("resnet10t", ", width: 8")
        with pytest.raises(ConfigError, match=r"  identity_encoder\.modle: unknown key; known here: block, code_lay"):
            load_study("smoke", "identity_encoder.modle=resnet18")
        with pytest.raises(ConfigError, match=r"  identity_encoder\.model: Field required"):
            load_study("smoke", ["identity_encoder={kind: timm}"])
        with pytest.raises(ConfigError, match=r"  identity_encoder\.kind: .*'resnet', 'timm'"):
            load_study("smoke", "identity_encoder.kind=vgg")

    def test_the_check_of_rows_uses_the_stride(self):
        assert study().picture.height == 64
        with pytest.raises(ConfigError, match=r"picture\.height: 4 parts need 32 rows each"):
            study("resnet10t", "", "identity_encoder.stride=32")

    def test_variants_keep_the_kind(self):
        assert study().of_variant("gcl").identity_encoder == study().identity_encoder
        assert Study.model_validate(study().model_dump()) == study()

    def test_the_package_of_weights_is_named_where_it_lacks(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, WHEEL, None)
        with pytest.raises(RunError, match=f"needs that package .*pip install {WHEEL}"):
            weights_file(WHEEL)

    def test_timm_is_named_where_it_lacks(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(RunError, match="pip install timm"):
            build_encoder(study(), 0)


class TestWithTimm:
    @pytest.fixture(autouse=True)
    def timm(self):
        return pytest.importorskip("timm", reason="timm, an optional extra, is not installed")

    # a list of stages, a model with feature maps of its own, one whose names timm changes, one without batch norm
    @pytest.mark.parametrize("model", ["resnet10t", "tf_efficientnet_lite0", "convnext_atto"])
    def test_files_go_round(self, timm, tmp_path: Path, model: str):
        encoder = build_encoder(study(model), 0)
        save_weights(encoder, tmp_path / "encoder.safetensors")
        loaded = load_encoder(study(model), tmp_path, CPU)
        x = torch.randn(2, 3, 64, 32)
        with torch.no_grad():
            found = loaded(x)
            assert found.code.shape == (2, 4 * encoder.channels)
            assert torch.equal(found.code, encoder.eval()(x).code)
            theirs = timm.create_model(model, output_stride=16).eval()
            theirs.load_state_dict(dict(_as_timm_names(encoder, theirs)), strict=False)
            own = theirs.pretrained_cfg
            pictures = x * torch.tensor(IMAGENET_STD).reshape(3, 1, 1) + torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1)
            seen = Normalize(own["mean"], own["std"])(pictures)
            stages = theirs.forward_intermediates(seen, intermediates_only=True)
            torch.testing.assert_close(encoder.trunk(x), stages[-1], rtol=1e-4, atol=1e-4)
        read, facts = read_encoder_checkpoint(tmp_path / "encoder.safetensors", study(model))
        assert (read.settings, facts["layout"]) == (encoder.settings, "ours")
        with pytest.raises(RunError, match=r"expected IdentityEncoder with .*kind resnet.*found .*kind timm"):
            load_encoder(load_study("smoke"), tmp_path, CPU)
        with pytest.raises(RunError, match=r"resnet18.*found .*" + model):
            load_encoder(study("resnet18"), tmp_path, CPU)

    def test_a_generator_fits_its_code(self, tmp_path: Path):
        code_dim = build_encoder(study(), 0).code_dim
        save_weights(build_generator(study(), code_dim, 0), tmp_path / "generator.safetensors")
        assert load_generator(study(), tmp_path, CPU).code_dim == code_dim

    @pytest.mark.parametrize(
        ("model", "first", "last"),
        [("tf_efficientnet_lite0", "conv_stem", "blocks.2"), ("resnet10t", "conv1", "layer2")],
    )
    def test_frozen_layers_keep_weights_and_statistics_and_pass_gradients(self, model: str, first: str, last: str):
        encoder = build_encoder(study(model, ", frozen_stride: 8"), 0).train()
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        x = torch.randn(4, 3, 64, 64, requires_grad=True)
        optimizer, _ = make_optimizer(encoder.parameters(), OptimizerSettings(lr=0.01))
        encoder(x).feature.square().sum().backward()
        optimizer.step()
        assert x.grad is not None
        assert x.grad.abs().sum() > 0
        same = {name for name, value in encoder.state_dict().items() if torch.equal(value, before[name])}
        trunk = "trunk.network."
        names = [name for name in before if name.startswith(trunk)]
        inside = {name for name in names if name.startswith((f"{trunk}{first}.", f"{trunk}{last}."))}
        assert inside
        assert inside <= same
        end = max(names.index(name) for name in names if name.startswith(f"{trunk}{last}."))
        assert set(names[: end + 1]) <= same
        assert not [name for name in names[end + 1 :] if name in same and name.endswith(("weight", "running_mean"))]

    def test_a_stride_without_a_map_is_refused(self):
        with pytest.raises(RunError, match=r"convnext_atto has no map of stride 2: .*frozen_stride to one of 4, 8, 16"):
            build_encoder(study("convnext_atto", ", frozen_stride: 2"), 0)

    def test_the_seed_decides_the_weights(self):
        one, same, other = (
            build_encoder(study(), seed).get_parameter("trunk.network.conv1.0.weight") for seed in (1, 1, 2)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    @pytest.mark.parametrize("model", ["resnet10t", "convnext_atto"])
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_weights_of_a_file(self, timm, tmp_path: Path, model: str, suffix: str):
        path = tmp_path / f"weights{suffix}"
        theirs = timm.create_model(model)
        (torch.save if suffix == ".pth" else save_file)(theirs.state_dict(), path)
        settings = study(model, f", weights: {path}")
        assert start_inputs(Layout(settings, root=tmp_path), 0) == {"weights": hash_file(path)}
        started = build_encoder(settings, 0)
        flat = {name.replace("_", "."): value for name, value in theirs.state_dict().items()}
        assert isinstance(started.trunk, TimmTrunk)
        for name, value in started.trunk.network.state_dict().items():
            assert torch.equal(value, flat[name.replace("_", ".")]), name
        with pytest.raises(RunError, match=r"weights\S+ holds another network than identity_encoder\.model=resnet18"):
            build_encoder(study("resnet18", f", weights: {path}"), 0)

    def test_files_that_lack_are_named(self, tmp_path: Path):
        for name in ("none.pth", "none.safetensors"):
            with pytest.raises(RunError, match=f"{name} is missing"):
                build_encoder(study("resnet10t", f", weights: {tmp_path / name}"), 0)

    def test_weights_that_a_package_carries_give_the_outputs_of_its_own_network(self, tmp_path: Path):
        """Oracle: the network for which the package was made."""
        carrier = pytest.importorskip(WHEEL, reason=f"{WHEEL}, an optional extra, is not installed")
        file = Path(carrier.EfficientnetLite0ModelFile.get_model_file_path())
        settings = study("tf_efficientnet_lite0", f", weights: {WHEEL}")
        assert start_inputs(Layout(settings, root=tmp_path), 0) == {"weights": hash_file(file)}
        with pytest.raises(RunError, match=r"carries weights of tf_efficientnet_lite0, not of .*model=resnet18"):
            build_encoder(study("resnet18", f", weights: {WHEEL}"), 0)
        lite = pytest.importorskip("efficientnet_lite_pytorch", reason="the package's own network is not installed")
        theirs = lite.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file)).eval()
        maps: list[torch.Tensor] = []
        theirs._blocks[-1].register_forward_hook(lambda *found: maps.append(found[-1]))
        trunk = TimmTrunk(model="tf_efficientnet_lite0").eval()
        trunk.load(WHEEL)
        x = torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            theirs.extract_features(2 * x - 1)  # it was trained on pictures from -1 to 1
            found = trunk(imagenet_normalize(x))
            torch.testing.assert_close(found, maps[0], rtol=1e-4, atol=1e-4)
        assert maps[0].std() > 0.1

    @pytest.mark.parametrize(
        ("model", "words"),
        [("no_such_model", "Unknown model"), ("swin_tiny_patch4_window7_224", "stride"), ("resnet10t.nothing", "tag")],
    )
    def test_models_without_such_a_map_are_refused(self, model: str, words: str):
        with pytest.raises(RunError, match=words):
            build_encoder(study(model), 0)

    def test_a_map_in_another_order_is_refused(self):
        with pytest.raises(RunError, match="NHWC"):
            IdentityEncoder(kind="timm", model="swin_tiny_patch4_window7_224")

    def test_it_is_no_encoder_of_gcl(self, tmp_path: Path):
        with pytest.raises(RunError, match="hold a ResNet"):
            export_encoder(build_encoder(study(), 0), tmp_path / "id.pt")


def _as_timm_names(encoder: IdentityEncoder, theirs: torch.nn.Module):
    ours = {name.removeprefix("trunk.network."): value for name, value in encoder.state_dict().items()}
    plain = {name.replace("_", "."): value for name, value in ours.items()}
    return ((name, plain[name.replace("_", ".")]) for name in theirs.state_dict() if name.replace("_", ".") in plain)
