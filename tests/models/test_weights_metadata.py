"""A weights' file says what network it holds, and is taken for no other."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from gcl_core.config import Study, load_study
from gcl_core.files import RunError, hash_file
from gcl_core.models.checkpoints import read_encoder_checkpoint
from gcl_core.models.describe import describe
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released import export_encoder
from gcl_core.models.weights import (
    build_discriminator,
    build_encoder,
    build_generator,
    load_discriminator,
    load_encoder,
    load_generator,
    load_weights,
    save_weights,
)
from gcl_core.models.weights_file import NETWORK

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (IdentityEncoder, {"block": "basic", "layers": [1, 2, 1, 1], "width": 4, "embedding": 6, "parts": 2}),
        (IdentityEncoder, {"block": "bottleneck", "layers": [1, 1, 1, 3], "width": 8, "embedding": None, "parts": 4}),
        (Generator, {"code_dim": 96, "dim": 2, "mlp_dim": 5, "residual_blocks": 3, "parts": 3, "dilations": [1, 2, 4]}),
        (Generator, {"code_dim": 40, "dim": 4, "mlp_dim": 7, "residual_blocks": 1, "parts": 1, "dilations": [3, 6, 9]}),
        (Discriminator, {"dim": 3, "downsamples": 2, "residual_blocks": 4, "scales": 3}),
        (Discriminator, {"dim": 4, "downsamples": 1, "residual_blocks": 1, "scales": 2}),
        (Discriminator, {"dim": 4, "downsamples": 3, "residual_blocks": 2, "scales": 1}),
    ],
)
def test_a_description_rebuilds_the_network(network, settings):
    if network is IdentityEncoder:
        settings = {"kind": "resnet", **settings, "code_layout": "released"}
    typed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    found = describe(network(**typed))
    assert json.loads(json.dumps(found)) == {"network": network.__name__, "settings": settings}


def study(*overrides: str) -> Study:
    return load_study("smoke", overrides)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    encoder = build_encoder(study(), 0)
    save_weights(encoder, tmp_path / "encoder.safetensors")
    save_weights(build_generator(study(), encoder.code_dim, 0), tmp_path / "generator.safetensors")
    save_weights(build_discriminator(study(), 0), tmp_path / "discriminator.safetensors")
    return tmp_path


def test_files_say_what_they_hold_and_are_the_same_every_time(folder: Path):
    with safe_open(folder / "encoder.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()[NETWORK])["settings"]["width"] == 16
    before = (folder / "encoder.safetensors").read_bytes()
    save_weights(build_encoder(study(), 0), folder / "encoder.safetensors")
    assert (folder / "encoder.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("load", "change", "expected", "found"),
    [
        (load_encoder, "identity_encoder.width=8", "IdentityEncoder with width 8", "IdentityEncoder with width 16"),
        (load_encoder, "identity_encoder.embedding=32", "IdentityEncoder with embedding 32", "embedding None"),
        (load_encoder, "identity_encoder.code_layout=released", "with code_layout released", "code_layout part"),
        # the same shapes: only the description tells these apart
        (load_generator, "generator.dilations=[1,2,4]", r"with dilations \[1, 2, 4\]", r"with dilations \[1, 2, 3\]"),
        (load_generator, "generator.mlp_dim=32", "Generator with mlp_dim 32", "Generator with mlp_dim 64"),
        (load_discriminator, "discriminator.scales=2", "Discriminator with scales 2", "Discriminator with scales 3"),
    ],
)
def test_other_settings_are_named_on_both_sides(folder: Path, load, change: str, expected: str, found: str):
    load(study(), folder, CPU)
    with pytest.raises(RunError, match=rf"another architecture .*: expected .*{expected}, found .*{found}; use"):
        load(study(change), folder, CPU)


def test_another_network_is_named(folder: Path):
    (folder / "generator.safetensors").replace(folder / "encoder.safetensors")
    with pytest.raises(RunError, match=r"another architecture .*: expected IdentityEncoder, found Generator; use"):
        load_encoder(study(), folder, CPU)


def test_loaded_discriminator_is_the_saved_one(folder: Path):
    saved, loaded = build_discriminator(study(), 0).state_dict(), load_discriminator(study(), folder, CPU)
    assert not loaded.training
    assert all(torch.equal(value, saved[name]) for name, value in loaded.state_dict().items())


def test_a_file_that_does_not_say_what_it_holds_goes_by_names_and_shapes(folder: Path):
    path = folder / "encoder.safetensors"
    tensors = load_file(path)
    save_file(tensors, path)
    load_encoder(study(), folder, CPU)
    with pytest.raises(
        RunError, match=r"another architecture .*: trunk\.conv1\.weight: expected 8x3x7x7, found 16x3x7x7; .* more; use"
    ):
        load_encoder(study("identity_encoder.width=8"), folder, CPU)
    for words in ("[]", "{}", "{", '"IdentityEncoder"'):
        save_file(tensors, path, metadata={NETWORK: words})
        with pytest.raises(RunError, match=r"encoder\.safetensors is broken"):
            load_encoder(study(), folder, CPU)


@pytest.mark.parametrize(("name", "place"), [("encoder", 0.3), ("generator", 0.7), ("discriminator", 1.0)])
def test_a_single_changed_byte_is_found(folder: Path, name: str, place: float):
    path = folder / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    load = {"encoder": load_encoder, "generator": load_generator, "discriminator": load_discriminator}[name]
    with pytest.raises(RunError, match=rf"{name}\.safetensors is broken \(its content does not match its SHA-256\)"):
        load(study(), folder, CPU)


def test_other_modules_have_no_settings(tmp_path: Path):
    save_weights(nn.Linear(2, 3), tmp_path / "linear.safetensors")
    load_weights(nn.Linear(2, 3), tmp_path / "linear.safetensors", CPU)
    with pytest.raises(RunError, match="expected BatchNorm1d, found Linear"):
        load_weights(nn.BatchNorm1d(2), tmp_path / "linear.safetensors", CPU)


class TestReadEncoderCheckpoint:
    def test_ours(self, folder: Path):
        path = folder / "encoder.safetensors"
        encoder, facts = read_encoder_checkpoint(path, study("identity_encoder.code_layout=released"))
        assert facts == {"file": path.name, "sha256": hash_file(path), "layout": "ours", "ignored": []}
        assert encoder.code_layout == "released"  # the study's; the weights do not depend on it
        assert not encoder.training
        state = build_encoder(study(), 0).state_dict()
        assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
        with pytest.raises(RunError, match="with width 8, found IdentityEncoder with width 16"):
            read_encoder_checkpoint(path, study("identity_encoder.width=8"))

    def test_released(self, tmp_path: Path):
        path = tmp_path / "model_best.pth"
        start = build_encoder(study(), 3)
        export_encoder(start, path, "bn2048_base_bn")
        tensors = {**torch.load(path)["id"], "classifier.weight": torch.zeros(2)}
        torch.save({"state_dict": tensors, "epoch": 3}, path)
        encoder, facts = read_encoder_checkpoint(path, study())
        assert (facts["layout"], facts["ignored"]) == ("bn2048_base_bn", ["classifier.weight", "epoch"])
        assert json.loads(json.dumps(facts)) == facts
        state = start.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())

    def test_bad_files(self, folder: Path):
        with pytest.raises(RunError, match=r"nothing\.pth is missing; expected an encoder's weights"):
            read_encoder_checkpoint(folder / "nothing.pth", study())
        with pytest.raises(RunError, match="expected IdentityEncoder, found Discriminator"):
            read_encoder_checkpoint(folder / "discriminator.safetensors", study())
        encoder = build_encoder(study(), 0)
        encoder.neck.weight.data[0] = float("nan")
        save_weights(encoder, folder / "nan.safetensors")
        with pytest.raises(RunError, match=r"nan\.safetensors holds weights that are NaN or infinite: neck\.weight"):
            read_encoder_checkpoint(folder / "nan.safetensors", study())


def test_an_encoder_file_of_before_there_were_kinds_holds_a_resnet(tmp_path: Path):
    study = load_study("smoke")
    encoder = build_encoder(study, 0)
    settings = describe(encoder)["settings"]
    assert settings.pop("kind") == "resnet"
    words = {NETWORK: json.dumps({"network": "IdentityEncoder", "settings": settings})}
    tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_file(tensors, tmp_path / "encoder.safetensors", metadata=words)
    loaded = load_encoder(study, tmp_path, CPU)
    assert all(torch.equal(value, tensors[name]) for name, value in loaded.state_dict().items())
    other = IdentityEncoder(width=4)
    other.settings |= {"kind": "timm"}
    with pytest.raises(RunError, match=r"kind timm.*found IdentityEncoder with kind resnet"):
        load_weights(other, tmp_path / "encoder.safetensors", CPU)
