"""A training may be ended at any step, by a kill or by being asked to, and goes on to the same bits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcl_core.files import hash_file, read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import run_problem
from gcl_core.run_folder import read_metrics
from gcl_core.seeding import numpy_rng
from gcl_core.training import epochs
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines import tda
from gcl_core.training.checkpoint import load_state
from gcl_core.training.epochs import Epochs, Stopped
from gcl_core.training.joint import train_jointly
from gcl_core.training.journal import Journal
from gcl_core.training.warm_up import warm_up_generator
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
Stage = Callable[[Layout], Path]
CHAIN: list[Stage] = [
    lambda layout: train_baseline(layout, 0),
    lambda layout: warm_up_generator(layout, 0),
    lambda layout: train_jointly(layout, "gcl", 0),
    lambda layout: train_jointly(layout, "tda", 0),
]
JVTC = (
    "baseline.method=jvtc baseline.jvtc.epochs=3 baseline.jvtc.instances=6 baseline.jvtc.copies=2 "
    "baseline.jvtc.global_from=2 baseline.jvtc.relabel_every=1 baseline.jvtc.joint_from=9 baseline.jvtc.rho=0.1"
)
SLOTS = (
    "baseline.method=cluster_contrast baseline.cluster_contrast.epochs=2 baseline.cluster_contrast.identities=2 "
    "baseline.cluster_contrast.instances=4 baseline.cluster_contrast.iterations=4"
)


@pytest.mark.parametrize("words", ["baseline.tda.epochs=3", JVTC, SLOTS.replace("epochs=2", "epochs=3")])
def test_stage_1_is_evaluated_as_seldom_as_the_settings_say_and_learns_the_same(
    boxes: MakeLayout, words: str, tmp_path: Path
):
    each = train_baseline(boxes(*words.split(), root=tmp_path / "each"), 0)
    seldom = train_baseline(boxes(*words.split(), "evaluation.stage_1_every=2", root=tmp_path / "seldom"), 0)
    every, some = read_metrics(each), read_metrics(seldom)
    assert ["map" in line for line in every] == [True] * 4
    assert ["map" in line for line in some] == [True, False, True, True]  # the start, and the last at any rate
    assert [line.get("map") for line in some] == [every[0]["map"], None, every[2]["map"], every[3]["map"]]
    assert hash_file(seldom / "encoder.safetensors") == hash_file(each / "encoder.safetensors")
    layout = boxes(*words.split(), root=tmp_path / "seldom")  # how often it is evaluated decides nothing
    assert run_problem(layout, "baseline", 0) is None


@pytest.fixture(autouse=True)
def _keep_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "SAVE_AFTER", -1.0)


def result(folder: Path) -> dict[str, str]:
    """Hashes of all that a finished run is: weights, moments, records."""
    assert "finished" in read_json(folder / "manifest.json")
    files = [*folder.glob("*.safetensors"), *folder.glob("labels/*"), folder / "metrics.jsonl"]
    return {path.name: hash_file(path) for path in files if not path.name.startswith("checkpoint")}


def ended(stage: Stage, layout: Layout, place: int, end: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a stage that ends itself in its `place`-th step; return whether it came that far."""
    tell, count = Epochs.tell, iter(range(1, 10_000))

    def watched(self: Epochs, *given: object, **inspected: object) -> None:
        tell(self, *given, **inspected)  # pyright: ignore[reportArgumentType]
        if next(count) == place:
            end()

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "tell", watched)
        try:
            stage(layout)
        except (Killed, Stopped):
            return True
    return False


def kill() -> None:
    raise Killed


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_every_stage_goes_on_from_any_step_to_the_same_bits(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where an epoch is done and not recorded yet. Some pictures have no mesh."""
    words = ("warm_up.batch_size=6", "joint.batch_size=6")
    whole, broken = (boxes(*words, root=tmp_path / name, lacking=(0, 1, 7, 20)) for name in ("whole", "broken"))
    random = numpy_rng(0, "test kills")
    for stage, section in zip(CHAIN, ("baseline", "warm_up", "joint", "joint"), strict=True):
        folder = stage(whole)
        expected = result(folder)
        assert read_json(folder / "manifest.json")["settings"][section]["threads"] == 1  # they change the last bits
        places = random.choice(4, 2, replace=False) + 1  # each is counted from where the one before it ended
        ends = zip(places, (kill, ask), strict=True)
        assert all([ended(stage, broken, int(place), end, monkeypatch) for place, end in ends])
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "record", lambda self, epoch, **values: kill())
            with pytest.raises(Killed):
                stage(broken)
        assert result(stage(broken)) == expected


@pytest.mark.parametrize("settings", [JVTC, SLOTS])
def test_other_first_stages_too(boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str):
    whole, broken = boxes(*settings.split()), boxes(*settings.split(), root=tmp_path / "broken")
    expected = result(CHAIN[0](whole))
    assert all([ended(CHAIN[0], broken, place, kill, monkeypatch) for place in (2, 3, 3)])
    assert result(CHAIN[0](broken)) == expected


def test_asked_to_end_outside_a_step_ends_at_once_and_loses_nothing(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    whole, broken = boxes(), boxes(root=tmp_path / "broken")
    expected, measure, calls = result(CHAIN[0](whole)), tda.accuracy_record, []

    def asked(*given: object) -> dict[str, float]:
        calls.append(given)
        if len(calls) == 3:  # in the second epoch
            ask()
        return measure(*given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(tda, "accuracy_record", asked)
    with pytest.raises(Stopped) as stop:
        CHAIN[0](broken)
    assert stop.value.code == 143
    assert "asked to end after epoch 2" in capsys.readouterr().out
    assert len(calls) == 3
    assert result(CHAIN[0](broken)) == expected
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was


@pytest.mark.parametrize("during", ["save_checkpoint", "any_rank"])
def test_asked_to_end_between_a_step_and_its_end_ends_after_the_next_one(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
):
    """While a checkpoint is written, which is not thrown away then, and while all ranks are asked."""
    whole, broken = boxes(), boxes(root=tmp_path / "broken")
    expected = result(CHAIN[0](whole))
    where = epochs if during == "save_checkpoint" else epochs.ranks
    does, calls = getattr(where, during), []

    def asked(*given: Any, **facts: Any) -> Any:
        done = does(*given, **facts) if during == "any_rank" else None
        if not calls and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:  # the epochs have begun
            calls.append(given)
            ask()
        return done if during == "any_rank" else does(*given, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(where, during, asked)
        with pytest.raises(Stopped):
            CHAIN[0](broken)
    state = load_state(broken.stage("baseline", 0) / "checkpoint.safetensors")
    assert (state["epoch"], state["step"]) == (1, 2)
    assert result(CHAIN[0](broken)) == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_gets_the_signal_goes_on_to_the_same_bits(
    boxes: MakeLayout, tmp_path: Path, repository: Path, number: signal.Signals
):
    whole, broken = boxes(), boxes(root=tmp_path / "broken")
    expected = result(CHAIN[0](whole))
    code = (
        "import sys, pathlib; from gcl_core.layout import Layout; from gcl_core.config import Study; "
        "from gcl_core.training.baseline import train_baseline; "
        "train_baseline(Layout(Study.model_validate_json(sys.argv[1]), root=pathlib.Path(sys.argv[2])), 0)"
    )
    command = [sys.executable, "-c", code, broken.study.model_dump_json(), str(broken.root)]
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    metrics = broken.stage("baseline", 0) / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and len(metrics.read_text().splitlines()) > 1):
        time.sleep(0.01)
    start = time.monotonic()
    process.send_signal(number)
    told = process.communicate(timeout=60)[0]
    if process.returncode and "epoch 3/3" not in told:  # after the last epoch nobody listens, or it is done already
        assert process.returncode == (-9 if number == signal.SIGKILL else 143), told
        assert time.monotonic() - start < 30  # a second or so on a quiet machine
    assert result(CHAIN[0](broken)) == expected


def test_an_exploding_loss_stops_too(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    losses = tda.contrast_losses

    def spoilt(*given: object) -> tuple[object, object]:
        loss, told = losses(*given)  # pyright: ignore[reportArgumentType]
        return loss * 1e9, told

    monkeypatch.setattr(tda, "contrast_losses", spoilt)
    with pytest.raises(epochs.TrainingError, match=r"loss 'loss' became \d\.\d+e\+\d+ in epoch 1, step 0"):
        train_baseline(boxes(), 0)
