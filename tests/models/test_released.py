"""The authors' checkpoints come in and go out unchanged."""

import csv

import pytest
import torch

from gcl_core.files import RunError
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released import (
    export_discriminator,
    export_encoder,
    export_generator,
    read_released_discriminator,
    read_released_encoder,
    read_released_generator,
)
from gcl_core.models.released_names import ENCODER_LAYOUTS


def encoder(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"layers": (1, 1, 1, 1), "width": 4, "embedding": 6, "code_layout": "released", **changes}
    return IdentityEncoder(**settings)


def generator(seed=0, **changes):
    torch.manual_seed(seed)
    return Generator(code_dim=512, **{"dim": 4, "mlp_dim": 16, "dilations": (1, 2, 3), **changes})


def discriminator(seed=0):
    torch.manual_seed(seed)
    return Discriminator(dim=4, residual_blocks=2)


def scrambled(network):
    """Give every tensor values of its own, so that a swapped pair cannot go unnoticed."""
    draw = torch.Generator().manual_seed(7)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=draw) + 0.5)
        else:
            value.fill_(41)
    return network


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def released_tensors(shared):
    """Random tensors under the names, shapes and types of the released files."""

    def make(file):
        with (shared / "reference" / "released_checkpoint_keys.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["file"].startswith(file)]
        torch.manual_seed(0)
        shapes = {row["key"]: [] if row["shape"] == "scalar" else [*map(int, row["shape"].split("x"))] for row in rows}
        dtypes = {row["key"]: getattr(torch, row["dtype"]) for row in rows}
        return {
            key: torch.rand(shape) if dtypes[key].is_floating_point else torch.randint(9, shape, dtype=dtypes[key])
            for key, shape in shapes.items()
        }

    return make


@pytest.mark.parametrize(
    ("key", "build", "load", "export"),
    [
        ("id", IdentityEncoder, read_released_encoder, export_encoder),
        (
            "gen",
            lambda: Generator(code_dim=8192),
            lambda path, network: read_released_generator(path, network, code_layout="released"),
            lambda network, path: export_generator(network, path, code_layout="released"),
        ),
        ("dis", Discriminator, read_released_discriminator, export_discriminator),
    ],
)
def test_published_files_come_back_as_they_were(tmp_path, released_tensors, key, build, load, export):
    tensors = released_tensors(f"{key}_")
    torch.save({key: tensors, "optimizer": {"lr": 0.1}}, tmp_path / "in.pt")
    network = build()
    imported = load(tmp_path / "in.pt", network)
    unused = [name for name in tensors if "norm.running_" in name]
    assert imported == ("jvtc" if key == "id" else "gcl", (*unused, "optimizer"))
    assert len(unused) == (16 if key == "gen" else 0)
    export(network, tmp_path / "out.pt")
    again = torch.load(tmp_path / "out.pt", weights_only=True)
    assert list(again) == [key]
    assert list(again[key]) == list(tensors)
    for name, value in tensors.items():
        assert (again[key][name].shape, again[key][name].dtype) == (value.shape, value.dtype), name
        assert again[key][name].is_contiguous()
        assert torch.equal(again[key][name], value) or name in unused, name
        if name in unused:
            assert (again[key][name] == (1 if name.endswith("var") else 0)).all()


def test_generator_names_by_hand(tmp_path):
    """No reference folder needed: names written out here, values followed into the file and back."""
    network = scrambled(generator()).to(memory_format=torch.channels_last)
    export_generator(network, tmp_path / "gen.pt", code_layout="released")
    found = torch.load(tmp_path / "gen.pt", weights_only=True)["gen"]
    assert len(found) == 134
    expected = {
        "enc_content.model.0.conv.weight": "structure_encoder.layers.0.0.weight",
        "enc_content.model.3.conv.bias": "structure_encoder.layers.3.0.bias",
        "enc_content.model.4.model.2.model.1.conv.weight": "structure_encoder.layers.6.body.1.0.weight",
        "enc_content.model.5.conv1.conv.weight": "structure_encoder.layers.8.branches.0.0.weight",
        "enc_content.model.5.conv12.1.conv.weight": "structure_encoder.layers.8.branches.2.1.0.weight",
        "enc_content.model.5.fuse.conv.bias": "structure_encoder.layers.8.fuse.0.bias",
        "dec.model.1.model.3.model.0.conv.weight": "blocks.3.first.weight",
        "dec.model.1.model.0.model.1.conv.bias": "blocks.0.second.bias",
        "dec.model.3.norm.gamma": "head.1.1.gain",
        "dec.model.5.norm.beta": "head.3.1.bias",
        "dec.model.8.conv.weight": "head.6.0.weight",
        "mlp_w1.model.0.fc.weight": "weight_mlps.0.0.weight",
        "mlp_w4.model.2.fc.bias": "weight_mlps.3.4.bias",
        "mlp_b2.model.1.fc.weight": "bias_mlps.1.2.weight",
    }
    for name, ours in expected.items():
        assert torch.equal(found[name], network.get_parameter(ours)), name
    again = generator(seed=1)
    read_released_generator(tmp_path / "gen.pt", again, code_layout="released")
    assert same(network, again)
    code, mesh = torch.rand(2, 512), torch.rand(2, 1, 64, 32)
    network.to(memory_format=torch.contiguous_format)
    assert torch.equal(network(network.structure(mesh), code), again(again.structure(mesh), code))


def test_discriminator_names_by_hand(tmp_path):
    network = scrambled(discriminator())
    export_discriminator(network, tmp_path / "dis.pt")
    found = torch.load(tmp_path / "dis.pt", weights_only=True)["dis"]
    expected = {
        "cnns.1.4.conv.weight": "networks.1.4.0.weight",
        "cnns.2.6.model.1.conv.bias": "networks.2.6.body.1.0.bias",
        "cnns.0.7.weight": "networks.0.7.weight",
    }
    assert all(torch.equal(found[name], network.get_parameter(ours)) for name, ours in expected.items())
    again = discriminator(seed=1)
    read_released_discriminator(tmp_path / "dis.pt", again)
    assert same(network, again)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("jvtc", ["conv1.weight", "layer4.0.downsample.1.running_var", "feat.weight", "feat.bias", "feat_bn.weight"]),
        ("bn2048_feat_bn", ["conv1.weight", "layer4.0.conv3.weight", "feat_bn.num_batches_tracked"]),
        ("bn2048_bn", ["bn1.weight", "bn.weight", "bn.running_mean"]),
        ("bn2048_base_feat_bn", ["base.conv1.weight", "base.layer1.0.bn2.bias", "feat_bn.bias"]),
        ("bn2048_base_bn", ["base.conv1.weight", "base.bn1.bias", "bn.bias"]),
    ],
)
@pytest.mark.parametrize("key", ["id", "state_dict", None])
def test_every_encoder_layout_comes_in_and_goes_out(tmp_path, layout, names, key):
    embedding = 6 if layout == "jvtc" else None
    network = scrambled(encoder(embedding=embedding))
    export_encoder(network, tmp_path / "id.pt", layout)
    content = torch.load(tmp_path / "id.pt", weights_only=True)["id"]
    assert set(names) <= set(content)
    extras = {"classifier.weight": torch.zeros(3, 6), "fc.bias": torch.zeros(1000)}
    tensors = {**content, **extras}
    torch.save(tensors if key is None else {key: tensors, "epoch": 45}, tmp_path / "in.pth")
    again = encoder(seed=1, embedding=embedding, code_layout="part")  # the weights do not depend on it
    imported = read_released_encoder(tmp_path / "in.pth", again)
    assert imported == (layout, ("classifier.weight", "fc.bias", *([] if key is None else ["epoch"])))
    assert same(network, again)


def test_known_layouts_are_these():
    assert {name: tuple(layout) for name, layout in ENCODER_LAYOUTS.items()} == {
        "jvtc": ("", "feat", "feat_bn"),
        "bn2048_feat_bn": ("", None, "feat_bn"),
        "bn2048_bn": ("", None, "bn"),
        "bn2048_base_feat_bn": ("base.", None, "feat_bn"),
        "bn2048_base_bn": ("base.", None, "bn"),
    }


def test_export_takes_the_layout_that_fits(tmp_path):
    export_encoder(encoder(embedding=None), tmp_path / "id.pt")
    assert "feat.weight" not in torch.load(tmp_path / "id.pt", weights_only=True)["id"]
    with pytest.raises(RunError, match="layout 'bn2048_bn': this encoder fits jvtc"):
        export_encoder(encoder(), tmp_path / "id.pt", "bn2048_bn")


def test_export_is_in_the_format_that_the_pinned_pytorch_reads(tmp_path):
    export_encoder(encoder(), tmp_path / "id.pt")
    assert not (tmp_path / "id.pt").read_bytes().startswith(b"PK")  # PyTorch 1.2 knows no zip archives


def test_generators_pass_only_with_the_released_code_layout(tmp_path):
    export_generator(generator(), tmp_path / "gen.pt", code_layout="released")
    with pytest.raises(RunError, match=r"cannot be converted; put `fidelity: \[D3\]`"):
        read_released_generator(tmp_path / "gen.pt", generator(), code_layout="part")
    with pytest.raises(RunError, match=r"cannot write .*part.pt: .*\(D3\).*encoder alone can"):
        export_generator(generator(), tmp_path / "part.pt", code_layout="part")
    assert [path.name for path in tmp_path.iterdir()] == ["gen.pt"]
