"""Weights in fewer bits: how far they may move, and what stays as it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gcl_core.files import RunError
from gcl_core.models.packed import pack_file, unpack_file
from gcl_core.models.weights_file import read_weights, write_weights

DESCRIPTION = {"network": "Some", "settings": {"width": 4}}
DRAWS = torch.Generator().manual_seed(0)
TENSORS = {
    "convolution": torch.randn(5, 3, 2, 2, generator=DRAWS) * torch.tensor([1e-3, 1, 100, 0, 5]).reshape(5, 1, 1, 1),
    "matrix": torch.randn(4, 6, generator=DRAWS),
    "running_var": torch.rand(7, generator=DRAWS) * 1e-6,
    "counted": torch.tensor(12),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    write_weights(path, TENSORS, DESCRIPTION)
    return path


def test_eight_bits_move_a_weight_by_half_a_step_of_its_channel_at_most(file: Path, tmp_path: Path):
    pack_file(file, tmp_path / "packed", 8)
    unpack_file(tmp_path / "packed", tmp_path / "back")
    back = load_file(tmp_path / "back")
    assert set(back) == set(TENSORS)
    assert torch.equal(back["running_var"], TENSORS["running_var"])
    assert torch.equal(back["counted"], TENSORS["counted"])
    for name in ("convolution", "matrix"):
        rows, found = TENSORS[name].flatten(1), back[name].flatten(1)
        step = rows.abs().amax(1, keepdim=True) / 127
        assert ((rows - found).abs() <= step * 0.5001).all()
        assert torch.equal(found[3], rows[3]) or name == "matrix"  # a channel of zeros stays one
        assert back[name].dtype == torch.float32
        assert not torch.equal(rows, found)
    assert read_weights(tmp_path / "back")[0] == read_weights(tmp_path / "packed")[0] == DESCRIPTION
    assert load_file(tmp_path / "packed")["convolution"].dtype == torch.int8


def test_sixteen_bits_are_halves(file: Path, tmp_path: Path):
    pack_file(file, tmp_path / "packed", 16)
    unpack_file(tmp_path / "packed", tmp_path / "back")
    back = load_file(tmp_path / "back")
    assert torch.equal(back["convolution"], TENSORS["convolution"].half().float())
    assert torch.equal(back["running_var"], TENSORS["running_var"])


def test_a_file_of_something_else_is_named(tmp_path: Path):
    (tmp_path / "page").write_text("<html>")
    with pytest.raises(RunError, match=r"page is broken"):
        unpack_file(tmp_path / "page", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_parameter_that_is_called_scale_stays(tmp_path: Path):
    """As a learned scale does; only what was packed has one of its own."""
    own = {"layer_scale1.scale": torch.rand(4), "act.scale": torch.rand(1), "conv.weight": torch.rand(4, 3)}
    save_file(own, tmp_path / "own.safetensors")
    pack_file(tmp_path / "own.safetensors", tmp_path / "packed.safetensors", 8)
    unpack_file(tmp_path / "packed.safetensors", tmp_path / "again.safetensors")
    found = load_file(tmp_path / "again.safetensors")
    assert set(found) == set(own)
    assert torch.equal(found["layer_scale1.scale"], own["layer_scale1.scale"])
