"""What a stage does with its feed: says how long it waited, leaves no thread behind, never keeps a spoilt memory."""

import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.run_folder import RunFolder, read_metrics
from gcl_core.training import epochs
from gcl_core.training.baseline import train_baseline
from gcl_core.training.epochs import Epochs
from gcl_core.training.joint import train_jointly
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
STEPS, MAKING, STEPPING = 4, 1.0, 3.0  # seconds of a clock that only moves when told


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, *, fed: bool) -> Path:
    """Run two epochs of steps that do nothing, by a clock of ours."""
    clock = [0.0]

    def make(batches: Sequence[int]) -> Generator[int]:
        for batch in batches:
            clock[0] += MAKING
            yield batch

    monkeypatch.setattr(epochs, "time", SimpleNamespace(perf_counter=lambda: clock[0], monotonic=time.monotonic))
    run = RunFolder(folder, settings={}, inputs={}, code={}, seed=0, device=torch.device("cpu"))
    batches = list(range(STEPS))
    with run, Epochs(run, "nothing", 2, {}) as way:
        for _ in way:
            for step, batch in way.fed(batches, make) if fed else way.steps(batches):
                assert batch == step
                clock[0] += STEPPING
                way.tell({"loss": torch.tensor(1.0)})
            clock[0] += 100  # clustering and evaluation are no steps
            way.end({})
    return folder


def test_every_epoch_tells_its_share_of_waiting_and_its_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = train(tmp_path / "run", monkeypatch, fed=True)
    assert re.findall(r"epoch (\d)/2 .* 0\.25 steps/s  waiting 25\.0 %\n", capsys.readouterr().out) == ["1", "2"]
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    share, speed = MAKING / (MAKING + STEPPING), 1 / (MAKING + STEPPING)
    for name, expected in (("waiting", share), ("steps_per_second", speed)):
        assert [(each.step, each.value) for each in events.Scalars(name)] == [(1, expected), (2, expected)]
    assert read_metrics(folder) == [{"epoch": epoch, "loss": 1.0} for epoch in (1, 2)]  # no clock time


def test_of_batches_that_a_step_makes_itself_no_share_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    train(tmp_path / "run", monkeypatch, fed=False)
    told = capsys.readouterr().out
    assert told.count("0.333 steps/s") == 2
    assert "waiting" not in told


def test_a_step_that_raises_leaves_no_thread(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def killed(*_: Any, **__: Any) -> None:
        seen.extend(thread for thread in threading.enumerate() if thread.name.startswith("ahead"))
        raise Killed

    monkeypatch.setattr(Epochs, "tell", killed)
    with pytest.raises(Killed) as held:
        train_baseline(boxes(), 0)
    assert len(seen) == 1
    assert not seen[0].is_alive()
    assert held.traceback  # the frames of the stage are still there


@pytest.mark.parametrize("stage", ["baseline", "tda"])
def test_a_picture_without_a_feature_is_named_and_the_checkpoint_before_it_goes_on(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
):
    """With a checkpoint at every step the run goes on to the bits of one that never saw it."""
    monkeypatch.setattr(epochs, "SAVE_AFTER", -1.0)
    whole, broken = (boxes(root=tmp_path / name) for name in ("whole", "broken"))
    if stage == "tda":
        for layout in (whole, broken):
            train_baseline(layout, 0)

    def run(layout: Layout) -> list[str]:
        folder = train_baseline(layout, 0) if stage == "baseline" else train_jointly(layout, stage, 0)
        return [hash_file(folder / name) for name in ("encoder.safetensors", "metrics.jsonl")]

    expected, update, calls = run(whole), MemoryBank.update, []

    def spoilt(self: MemoryBank, indices: torch.Tensor, features: torch.Tensor) -> None:
        calls.append(features)
        features = features.detach().clone()
        features[1] *= len(calls) != 3
        update(self, indices, features)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryBank, "update", spoilt)
        with pytest.raises(ValueError, match=r"1 of \d+ features for the memory bank .* rows \[\d+\]"):
            run(broken)
    assert len(calls) == 3
    assert run(broken) == expected
