"""Checkpoints come back as they went, and training goes on from them bit by bit."""

import json
import resource
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gcl_core.config import OptimizerSettings
from gcl_core.files import RunError
from gcl_core.models.weights_file import digest
from gcl_core.training.checkpoint import STATE, load_state, previous, resume, save_checkpoint
from gcl_core.training.optimizers import make_optimizer


class Holder:
    """A part whose state is whatever it is given."""

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self.state = state_dict


def stored(tmp_path: Path, state: dict[str, Any]) -> dict[str, Any]:
    save_checkpoint(tmp_path / "c.safetensors", {"part": Holder(state)}, epoch=3)
    part = Holder()
    assert resume(tmp_path / "c.safetensors", {"part": part}) == {"epoch": 3}
    return part.state


def test_numbers_keys_and_containers_keep_their_types(tmp_path: Path):
    state = {
        "none": None,
        "flags": [True, False],
        "numbers": [0, 1, 2**80, -7, 0.0, -0.0, 1.0, 0.1 + 0.2, 1e-320, 1.7976931348623157e308],
        "words": ["", "ä\n\"'\0", "tensor", "nan"],
        "tuples": ((0.0, 0.999), (), ([(1,)],)),
        3: {0: {"deep": {(1, "a"): "tuple key"}}, -1: {}, None: "none key", True: "bool key", 0.5: "float key"},
        "3": "not the same key as 3",
        "milestones": Counter({40: 1, 10: 2}),
        "empty": [{}, [], (), Counter()],
        "like our tags": {"tensor": "x", "dict": [["a", 1]], "tuple": [1]},
    }
    again = stored(tmp_path, state)
    assert repr(again) == repr(state)  # types, order and signs of zero too, which == would not tell
    assert type(again["milestones"]) is Counter


def test_not_finite_numbers(tmp_path: Path):
    again = stored(tmp_path, {"v": [float("nan"), float("inf"), float("-inf")], "t": torch.tensor([float("nan"), 1.0])})
    assert repr(again["v"]) == "[nan, inf, -inf]"
    assert again["t"].isnan().tolist() == [True, False]


def test_tensors_keep_values_types_shapes_and_memory_layout(tmp_path: Path):
    base = torch.arange(48.0).view(2, 3, 4, 2)
    state = {
        "scalar": torch.tensor(7.0),
        "count": torch.tensor(3),
        "mask": torch.tensor([True, False]),
        "half": torch.randn(3).half(),
        "wide": torch.randn(2, dtype=torch.float64),
        "empty": torch.empty(0, 5),
        "also empty": torch.empty(5, 0),
        "channels last": base.contiguous(memory_format=torch.channels_last),
        "one by one": torch.randn(4, 3, 1, 1).to(memory_format=torch.channels_last),
        "transposed": base[0, 0].t(),
        "strided": base[:, ::2],
        "expanded": torch.ones(3, 1).expand(3, 4),
        "overlapping": [base[0], base[0, 1:], base],
        0: {"0": torch.zeros(1)},
        "0": {0: torch.ones(1)},  # the same dotted path
        "learned": nn.Parameter(torch.randn(2)),
    }
    again = stored(tmp_path, state)

    def compare(old: Any, new: Any) -> None:
        if isinstance(old, dict):
            assert list(old) == list(new)
            old, new = list(old.values()), list(new.values())
        if isinstance(old, list):
            for pair in zip(old, new, strict=True):
                compare(*pair)
            return
        assert torch.equal(old.detach(), new)
        assert old.dtype == new.dtype
        assert old.detach().clone().stride() == new.stride()
        assert not new.requires_grad

    compare(state, again)
    again["channels last"].zero_()  # nobody else's memory
    assert torch.equal(again["overlapping"][2], base)


def test_a_tensor_held_twice_is_written_once_and_comes_back_as_one(tmp_path: Path):
    tied = torch.randn(1000)
    again = stored(tmp_path, {"a": tied, "b": tied, "tail": tied[500:]})
    assert again["a"].data_ptr() == again["b"].data_ptr() != again["tail"].data_ptr()
    assert sorted(value.numel() for value in load_file(tmp_path / "c.safetensors").values()) == [500, 1000]


def test_the_same_state_gives_the_same_bytes(tmp_path: Path):
    state = {"b": torch.ones(2), "a": OrderedDict(x=1.5), "c": (1, 2)}
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, {"part": Holder(state), "other": Holder({"t": torch.zeros(())})}, epoch=1)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_no_checkpoint_can_hold_is_named_and_leaves_the_earlier_file(tmp_path: Path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"part": Holder({"a": 1})}, epoch=1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"part\.rows\.1 is a set"):
        save_checkpoint(path, {"part": Holder({"rows": [1, {2}]})}, epoch=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def learners(settings: OptimizerSettings):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 5, 1), nn.Flatten(), nn.Linear(175, 7))
    net.to(memory_format=torch.channels_last)
    optimizer, schedule = make_optimizer(net.parameters(), settings)
    return {"network": net, "optimizer": optimizer, "schedule": schedule}


def train(parts: dict[str, Any], epochs: range) -> None:
    for epoch in epochs:
        for step in range(3):
            x = torch.randn(4, 3, 9, 7, generator=torch.Generator().manual_seed(10 * epoch + step))
            parts["optimizer"].zero_grad()
            parts["network"](x.to(memory_format=torch.channels_last)).square().mean().backward()
            parts["optimizer"].step()
        parts["schedule"].step()


@pytest.mark.parametrize(
    "settings",
    [
        OptimizerSettings(lr=1e-3, betas=(0.5, 0.999), milestones=(1, 3, 3)),
        OptimizerSettings(kind="sgd", lr=0.01, milestones=(2, 4)),
    ],
    ids=["adam", "sgd"],
)
def test_training_goes_on_bit_by_bit(tmp_path: Path, settings: OptimizerSettings):
    path = tmp_path / "c.safetensors"
    whole = learners(settings)
    train(whole, range(5))
    first = learners(settings)
    train(first, range(2))
    save_checkpoint(path, first, epoch=2)
    again = learners(settings)
    assert resume(path, again) == {"epoch": 2}
    for old, new in zip(first["optimizer"].state.values(), again["optimizer"].state.values(), strict=True):
        assert all(old[key].stride() == new[key].stride() for key in old if isinstance(old[key], torch.Tensor))
    train(again, range(2, 5))
    save_checkpoint(tmp_path / "whole", whole, epoch=5)
    save_checkpoint(tmp_path / "again", again, epoch=5)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "again").read_bytes()


def test_nothing_to_resume(tmp_path: Path):
    assert resume(tmp_path / "c.safetensors", {"part": Holder()}) == {}


def test_bad_files_are_named(tmp_path: Path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"part": Holder({"t": torch.ones(100)})}, epoch=1)
    good = path.read_bytes()
    for bad in (b"", b"\0" * 40, b"<html>not found</html>", good[:-7], good[:60]):
        path.write_bytes(bad)
        with pytest.raises(RunError, match=r"c\.safetensors cannot be read .*delete .* to start"):
            load_state(path)
    with pytest.raises(RunError, match=r"missing\.safetensors cannot be read"):
        load_state(tmp_path / "missing.safetensors")
    save_file({"t": torch.ones(1)}, path)
    with pytest.raises(RunError, match="no state of a training"):
        load_state(path)
    tensors = {"t": torch.ones(1)}
    for text in ("{", "[1, 2]", '{"state": {"dict": []}}', '{"state": {"dict": []}, "sha256": "0"}'):
        save_file(tensors, path, metadata={STATE: text})
        with pytest.raises(RunError, match="cannot be read"):
            load_state(path)
    for state in (
        {"dict": [["epoch", {"tensor": "gone", "strides": []}]]},
        {"set": []},
        {"dict": [1]},
        [1, 2],
    ):
        metadata = json.dumps({"sha256": digest(state, tensors), "state": state})
        save_file(tensors, path, metadata={STATE: metadata})
        with pytest.raises(RunError, match="cannot be read"):
            load_state(path)


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"part": Holder({"t": torch.randn(50), "rate": 0.125})}, epoch=1)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        try:
            again = load_state(path)
        except RunError:
            continue
        pytest.fail(f"byte {place} of {len(good)} changed and {again} was taken for the state")


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "c.safetensors"
    for epoch in (1, 2, 3):
        save_checkpoint(path, {"part": Holder({"t": torch.full((9,), float(epoch))})}, epoch=epoch)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.previous.safetensors", "c.safetensors"]
    whole, part = path.read_bytes(), Holder()
    for damaged in (whole[:-5], whole[:-3] + b"\1" + whole[-2:], b""):
        path.write_bytes(damaged)
        assert resume(path, {"part": part}) == {"epoch": 2}
        assert part.state["t"].tolist() == [2.0] * 9
        assert "set aside as c.damaged.safetensors, going on from the checkpoint before it" in capsys.readouterr().out
        assert path.with_stem("c.damaged").read_bytes() == damaged
    assert not path.exists()  # as when killed between the two renames
    assert resume(path, {"part": part}) == {"epoch": 2}
    save_checkpoint(path, {"part": part}, epoch=3)
    assert load_state(previous(path))["epoch"] == 2  # still whole
    path.unlink()
    previous(path).write_bytes(b"")
    with pytest.raises(RunError, match=r"c\.previous\.safetensors cannot be read"):
        resume(path, {"part": part})


def test_a_full_disk_leaves_both_checkpoints_and_names_the_file(tmp_path: Path):
    """A limit on the size of files ends a write of safetensors as a full disk does."""
    path = tmp_path / "c.safetensors"
    for epoch in (1, 2):
        save_checkpoint(path, {"part": Holder({"t": torch.ones(9)})}, epoch=epoch)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(RunError, match=r"cannot write .*c\.safetensors: .*File too large.*; nothing there changed"):
            save_checkpoint(path, {"part": Holder({"t": torch.ones(9000)})}, epoch=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_checkpoint_of_another_stage_is_refused(tmp_path: Path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"network": nn.Linear(2, 3)}, epoch=1)
    with pytest.raises(RunError, match=r"(?s)no checkpoint of this stage .*size mismatch"):
        resume(path, {"network": nn.Linear(2, 4)})
    with pytest.raises(RunError, match=r"no checkpoint of this stage \('bank'\)"):
        resume(path, {"network": nn.Linear(2, 3), "bank": Holder()})
