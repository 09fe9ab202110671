"""The identity encoder against torchvision, its two outputs, its code layouts, its ImageNet start."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet50_Weights, resnet18, resnet50

from gcl_core.files import RunError
from gcl_core.models.identity_encoder import EncoderOutput, IdentityEncoder, load_imagenet


def small(**changes):
    torch.manual_seed(0)
    return IdentityEncoder(**{"block": "basic", "layers": (1, 1, 1, 1), "width": 4, "embedding": 6, **changes})


def without_classifier(model):
    return {name: value for name, value in model.state_dict().items() if not name.startswith("fc.")}


@pytest.mark.parametrize(("embedding", "expected"), [(512, 24_558_144), (None, 23_512_128)])
def test_published_numbers_of_parameters(embedding, expected):
    with torch.device("meta"):
        encoder = IdentityEncoder(embedding=embedding)
    assert sum(p.numel() for p in encoder.parameters()) == expected
    assert sum(p.numel() for p in encoder.trunk.parameters()) == 23_508_032


def test_paper_size_shapes():
    encoder = IdentityEncoder().eval()
    with torch.no_grad():
        code, feature = encoder(torch.randn(1, 3, 256, 128))
    assert (encoder.channels, encoder.code_dim, encoder.feature_dim) == (2048, 8192, 512)
    assert code.shape == (1, 8192)
    assert feature.shape == (1, 512)


@pytest.mark.parametrize(
    ("model", "block", "layers"), [(resnet50, "bottleneck", (3, 4, 6, 3)), (resnet18, "basic", (2, 2, 2, 2))]
)
def test_the_trunk_is_torchvisions_with_last_stride_one(model, block, layers):
    torch.manual_seed(0)
    theirs = model()
    for layer in (theirs.layer4[0].conv1, theirs.layer4[0].conv2, theirs.layer4[0].downsample[0]):
        layer.stride = (1, 1)
    ours = IdentityEncoder(block=block, layers=layers, embedding=None)
    ours.trunk.load_state_dict(without_classifier(theirs))
    x = torch.randn(2, 3, 64, 32)
    theirs.fc = torch.nn.Identity()
    theirs, ours = theirs.eval(), ours.eval()
    with torch.no_grad():
        code, feature = ours(x)
        pooled = theirs(x)  # global average of layer4
    torch.testing.assert_close(feature * (1 + 1e-5) ** 0.5, pooled)  # a fresh BN in eval mode only divides by this
    torch.testing.assert_close(code.view(2, 4, -1).mean(1), pooled)  # four equal stripes average to the whole


def test_width_scales_every_stage_including_the_stem():
    encoder = small(block="bottleneck", width=8)
    state = encoder.trunk.state_dict()
    assert state["conv1.weight"].shape == (8, 3, 7, 7)
    assert [state[f"layer{i}.0.conv2.weight"].shape[0] for i in (1, 2, 3, 4)] == [8, 16, 32, 64]
    assert encoder.channels == 256


def test_the_trunk_starts_as_torchvision_does():
    torch.manual_seed(0)
    state, theirs = IdentityEncoder(block="basic", layers=(2, 2, 2, 2)).trunk.state_dict(), resnet18().state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            assert value.std().item() == pytest.approx(theirs[name].std().item(), rel=0.05), name
        else:
            assert torch.equal(value, theirs[name]), name


def test_the_embedding_starts_kaiming_fan_out():
    state = small(width=64, embedding=128).embedding.state_dict()
    assert state["weight"].std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.03)
    assert not state["bias"].any()


@pytest.mark.parametrize("training", [True, False])
def test_both_outputs_in_either_mode(training):
    encoder = small().train(training)
    out = encoder(torch.randn(3, 3, 64, 32))
    assert isinstance(out, EncoderOutput)
    assert out.code.shape == (3, 4 * 32)
    assert out.feature.shape == (3, 6)
    assert (out.code >= 0).all()
    assert not torch.allclose(out.feature.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("size", [(64, 32), (128, 64), (80, 48), (70, 35)])
def test_features_are_unit_and_sizes_are_the_pictures(size):
    encoder = small(embedding=None).eval()
    x = torch.randn(2, 3, *size)
    features = encoder.features(x)
    assert features.shape == (2, encoder.feature_dim)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(features, torch.nn.functional.normalize(encoder(x).feature))


@pytest.mark.parametrize("layout", ["part", "released"])
@pytest.mark.parametrize("stripe", range(4))
def test_a_stripe_of_layer4_reaches_its_own_entries_only(layout, stripe):
    encoder = small(code_layout=layout).eval()
    x = torch.randn(2, 3, 128, 32)  # layer4: 8 rows, 2 a stripe
    before = encoder(x).code

    def blank(module, inputs, output):
        output = output.clone()
        output[:, :, 2 * stripe : 2 * stripe + 2] = 0
        return output

    encoder.get_submodule("trunk.layer4").register_forward_hook(blank)
    after = encoder(x).code
    entries = torch.arange(encoder.code_dim)
    own = entries // encoder.channels == stripe if layout == "part" else entries % 4 == stripe
    assert (after[:, own] == 0).all()
    assert (before[:, own] > 0).any()
    assert torch.equal(before[:, ~own], after[:, ~own])


def test_layouts_hold_the_same_numbers():
    x = torch.randn(2, 3, 64, 32)
    part, released = (small(code_layout=layout).eval()(x).code for layout in ("part", "released"))
    torch.testing.assert_close(part.view(2, 4, 32), released.view(2, 32, 4).transpose(1, 2))


def test_gradient_flows_from_the_code_into_the_trunk():
    encoder = small()
    code = encoder(torch.randn(2, 3, 64, 32)).code
    (gradient,) = torch.autograd.grad(code.mean(), encoder.get_parameter("trunk.conv1.weight"))
    assert gradient.abs().sum() > 0


def test_the_callers_seed_decides_the_weights():
    first, second = small().state_dict(), small().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_too_few_rows_for_the_parts():
    with pytest.raises(ValueError, match=r"32 rows leaves 2 rows.*4 stripes.*at least 64 rows"):
        small()(torch.randn(2, 3, 32, 32))


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    """An empty torch hub cache and no network."""

    def refuse(url, *args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / ResNet50_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]


def test_load_imagenet_takes_the_cached_file_and_only_for_a_resnet50(empty_hub):
    theirs = resnet50()
    torch.save(theirs.state_dict(), empty_hub)
    encoder = IdentityEncoder(embedding=None)
    load_imagenet(encoder)
    expected = without_classifier(theirs)
    assert all(torch.equal(value, expected[name]) for name, value in encoder.trunk.state_dict().items())
    with pytest.raises(RunError, match=r"is none: .*width 64"):
        load_imagenet(small())


def test_load_imagenet_offline_says_where_to_put_the_file(empty_hub):
    with pytest.raises(RunError, match="no route to host") as caught:
        load_imagenet(small())
    assert str(empty_hub) in str(caught.value)


def test_load_imagenet_names_a_damaged_file(empty_hub):
    empty_hub.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(RunError, match="cannot be read") as caught:
        load_imagenet(small())
    assert str(empty_hub) in str(caught.value)
