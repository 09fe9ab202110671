"""The stages on two processes: as on one, the same bits on both, and on they go after being asked to end.

What runs in a process of its own is a function of this module; `run_processes` starts two of them under gloo.
"""

import functools
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from safetensors.torch import load_file

from gcl_core.data import feed
from gcl_core.files import hash_file, read_json
from gcl_core.layout import Layout
from gcl_core.parallel import ranks, run_processes
from gcl_core.run_folder import read_metrics
from gcl_core.training import joint, warm_up
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines import tda
from gcl_core.training.epochs import Epochs, Stopped
from gcl_core.training.joint import train_jointly
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.warm_up import warm_up_generator
from tests.training.test_parallel import OPTIMIZERS, SGD, by_process, freeze_statistics

MakeLayout = Callable[..., Layout]


def frozen_tda(layout: Layout) -> Path:
    """Train the first stage with batch norm's statistics as they start."""
    start = tda.start_encoder

    def started(*given: Any) -> Any:
        encoder, origin = start(*given)
        freeze_statistics(encoder)
        return encoder, origin

    with patch.object(tda, "start_encoder", started):
        return train_baseline(layout, 0)


def exact_warm_up(layout: Layout) -> Path:
    """Warm up in double precision: in single, rounding decides on which side of a kink of L1 or ReLU a number lies."""

    def doubled(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: make(*given).double()

    def started(*given: Any) -> Drawing:
        drawing = Drawing.start(*given)
        drawing.generator.double()
        drawing.discriminator.double()
        return drawing

    with (
        patch.multiple(
            warm_up,
            load_encoder=doubled(warm_up.load_encoder),
            sample_views=lambda *_: np.zeros((1, 1, 3), np.uint8),  # shown only, and drawn in single precision
        ),
        patch.multiple(
            feed, unit_pictures=doubled(feed.unit_pictures), unit_projections=doubled(feed.unit_projections)
        ),
        patch.object(warm_up, "Drawing", SimpleNamespace(start=started)),
    ):
        return warm_up_generator(layout, 0)


def result(folder: Path) -> dict[str, str]:
    """Hashes of all that a finished run is."""
    assert "finished" in read_json(folder / "manifest.json")
    files = [*folder.glob("*.safetensors"), *folder.glob("labels/*"), folder / "metrics.jsonl"]
    return {path.name: hash_file(path) for path in files if not path.name.startswith("checkpoint")}


def numbers(folder: Path) -> list[dict[str, float]]:
    """What a run recorded, without its notes."""
    return [{key: value for key, value in line.items() if key != "note"} for line in read_metrics(folder)]


def asking(place: int, ask: Callable[[], None]) -> Any:
    """Let the second process ask for the end in its `place`-th step."""
    tell, steps = Epochs.tell, iter(range(1, 10_000))

    def watched(self: Epochs, *given: Any, **inspected: Any) -> None:
        tell(self, *given, **inspected)
        if next(steps) == place and ranks.rank == 1:
            ask()

    return patch.object(Epochs, "tell", watched)


def stages_work(start: Layout, doubled: Layout, whole: Layout, broken: Layout) -> list[dict[str, np.ndarray]]:
    """Train stage by stage, in `broken` ended on the way; return memory and encoder of joint training by process."""
    kept: list[Learners] = []

    def keep(*parts: Any) -> Learners:
        kept.append(Learners(*parts))
        return kept[-1]

    frozen_tda(start)
    exact_warm_up(doubled)
    with patch.object(joint, "Learners", keep):
        train_jointly(whole, "gcl", 0)
    learners = kept[0]
    state = {**learners.bank.state_dict(), **learners.encoder.state_dict()}
    for place in (3, 2):  # in the first epoch, then in the second
        with asking(place, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(Stopped):
            train_jointly(broken, "gcl", 0)
    train_jointly(broken, "gcl", 0)
    return by_process({name: value.numpy() for name, value in state.items()})


def test_stages_on_two_are_those_on_one_and_go_on_to_the_same_bits(boxes: MakeLayout, tmp_path: Path):
    """With batch norm frozen to rounding, joint training closely; both processes hold the same bits."""
    rates = [f"{name}={SGD}" for name in OPTIMIZERS.split()]
    one, exact = (boxes(*rates, root=tmp_path / name) for name in ("one", "exact"))
    start, doubled, two, broken = (
        boxes(*rates, "devices=2", root=tmp_path / name) for name in ("start", "doubled", "two", "broken")
    )
    frozen_tda(one)
    for layout in (exact, doubled):
        shutil.copytree(one.runs, layout.runs, dirs_exist_ok=True)
    exact_warm_up(exact)
    warm_up_generator(one, 0)
    for layout in (two, broken):
        shutil.copytree(one.runs, layout.runs, dirs_exist_ok=True)
    train_jointly(one, "gcl", 0)
    first, second = run_processes(2, functools.partial(stages_work, start, doubled, two, broken), device="cpu")
    assert all(np.array_equal(value, second[name]) for name, value in first.items())
    assert result(broken.stage("gcl", 0)) == result(two.stage("gcl", 0))
    # seen: 2e-6 of a tensor's largest entry in single precision, 6e-16 in double
    compared = {one.stage("baseline", 0): (start, 1e-5), exact.stage("warm_up", 0): (doubled, 1e-13)}
    for folder, (layout, tolerance) in compared.items():
        both = layout.stage(folder.parent.name, 0)
        for expected, found in zip(numbers(folder), numbers(both), strict=True):
            assert found == pytest.approx(expected, rel=1e-6)
        for name in ("encoder", "generator", "discriminator"):
            if (file := folder / f"{name}.safetensors").is_file():
                weights = load_file(both / file.name)
                for key, value in load_file(file).items():
                    least = 1e-15  # biases before an instance norm are rounding themselves
                    assert (weights[key] - value).abs().max() <= tolerance * value.abs().max() + least, (file, key)
    for epoch, lines in enumerate(zip(*(numbers(each.stage("gcl", 0)) for each in (one, two)), strict=True)):
        print("epoch", epoch, *lines, sep="\n")
        if epoch == 1:  # later ones cluster other memories
            assert lines[1] == pytest.approx(lines[0], rel=0.2)  # seen: 14% and less


def ask_caller(layout: Layout) -> None:
    def ask() -> None:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(3)  # so few steps may end before a busy machine lets the caller hear it

    with asking(3, ask):
        train_baseline(layout, 0)


def test_a_stage_starts_its_processes_and_ends_them_when_the_caller_is_asked_to_end(boxes: MakeLayout):
    layout = boxes("devices=2")
    with pytest.raises(Stopped) as stop:
        run_processes(2, functools.partial(ask_caller, layout), device="cpu")
    assert stop.value.code == 143
    folder = train_baseline(layout, 0)
    assert [line["epoch"] for line in read_metrics(folder)] == [0, 1, 2, 3]
    assert read_json(folder / "manifest.json")["settings"]["devices"] == 2
