"""Seeded starts, and weights that come back as they went."""

from pathlib import Path

import pytest
import torch

from gcl_core.config import load_study
from gcl_core.data.batches import imagenet_normalize, to_pixels, unit_pictures, unit_projections
from gcl_core.files import RunError
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import build_encoder, build_generator, load_encoder, load_generator, save_weights
from gcl_core.seeding import numpy_rng

CPU = torch.device("cpu")


def test_start_depends_on_the_seed_alone():
    study = load_study("smoke")
    before = torch.random.get_rng_state()
    first, again, other = build_encoder(study, 1), build_encoder(study, 1), build_encoder(study, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    start, same, another = (network.get_parameter("trunk.conv1.weight") for network in (first, again, other))
    assert torch.equal(start, same)
    assert not torch.equal(start, another)


def test_weights_round_trip_and_refuse_what_does_not_fit(tmp_path: Path):
    study = load_study("smoke")
    encoder = build_encoder(study, 0)
    save_weights(encoder, tmp_path / "encoder.safetensors")
    loaded = load_encoder(study, tmp_path, CPU)
    assert not loaded.training
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    with pytest.raises(RunError, match="another architecture"):
        load_encoder(load_study("smoke", "identity_encoder.width=8"), tmp_path, CPU)
    (tmp_path / "encoder.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(RunError, match="is broken"):
        load_encoder(study, tmp_path, CPU)
    with pytest.raises(RunError, match=r"generator\.safetensors is missing"):
        load_generator(study, tmp_path, CPU)


@torch.no_grad()
def test_drawn_views_are_the_generators_pictures_one_by_one(tmp_path: Path):
    study = load_study("smoke")
    encoder = build_encoder(study, 0)
    save_weights(build_generator(study, encoder.code_dim, 3), tmp_path / "generator.safetensors")
    generator = load_generator(study, tmp_path, CPU)
    draw = numpy_rng(0, "pixels")
    pictures = draw.integers(0, 256, (3, 64, 32, 3)).astype("uint8")
    projections = draw.integers(0, 256, (3, 2, 64, 32)).astype("uint8")
    drawn = draw_views(encoder, generator, pictures, projections, batch_size=2)
    code = encoder.eval()(imagenet_normalize(unit_pictures(pictures[2:], CPU))).code
    alone = to_pixels(generator(generator.structure(unit_projections(projections[2:, 1], CPU)), code))
    assert drawn.shape == (3, 2, 64, 32, 3)
    assert abs(drawn[2, 1].astype(int) - alone[0].astype(int)).max() <= 1
