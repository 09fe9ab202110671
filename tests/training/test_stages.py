"""The three stages on coloured boxes: what they change, how they resume, what they say when something is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gcl_core.clustering.pseudo_labels import Clusters
from gcl_core.config import ConfigError
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.models.generator import Generator
from gcl_core.run_folder import read_metrics
from gcl_core.training import baseline, contrast, joint, journal, warm_up
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines import tda
from gcl_core.training.joint import train_jointly
from gcl_core.training.journal import TrainingError
from gcl_core.training.warm_up import warm_up_generator
from tests.lab import Killed

MakeLayout = Callable[..., Layout]


def test_a_generator_that_draws_by_itself_goes_on_bit_identical(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    forward, record = Generator.forward, journal.Journal.record
    drawn: list[torch.Tensor] = []

    def noisy(self: Generator, structure: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        drawn.append(torch.rand(1))
        return forward(self, torch.nn.functional.dropout(structure, 0.2, self.training), code)

    def stop_at_epoch_one(self: journal.Journal, epoch: int, **values: object) -> None:
        if epoch == 1:
            raise Killed
        record(self, epoch, **values)

    monkeypatch.setattr(Generator, "forward", noisy)
    words = ("baseline.tda.epochs=1", "warm_up.batch_size=12")
    whole, broken = boxes(*words), boxes(*words, root=tmp_path / "broken")
    train_baseline(whole, 0)
    shutil.copytree(whole.runs, broken.runs, dirs_exist_ok=True)
    expected = load_file(warm_up_generator(whole, 0) / "generator.safetensors")
    assert len({float(value) for value in drawn}) > 4
    monkeypatch.setattr(journal.Journal, "record", stop_at_epoch_one)
    with pytest.raises(Killed):
        warm_up_generator(broken, 0)
    monkeypatch.setattr(journal.Journal, "record", record)
    torch.manual_seed(99)
    found = load_file(warm_up_generator(broken, 0) / "generator.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_finished_stage_is_left_alone(boxes: MakeLayout):
    folder = train_baseline(boxes(), 0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    train_baseline(boxes(), 0)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_stage_cannot_read_a_setting_that_its_fingerprint_lacks(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    layout, decides = boxes(), baseline.DECIDES["tda"]
    monkeypatch.setitem(baseline.DECIDES, "tda", decides - {"contrast"})
    with pytest.raises(AttributeError, match="'contrast' of Study was not handed on"):
        train_baseline(layout, 0)
    monkeypatch.setitem(baseline.DECIDES, "tda", decides)
    train_baseline(layout, 0)
    monkeypatch.setattr(warm_up, "DECIDES", warm_up.DECIDES - {"losses"})
    with pytest.raises(AttributeError, match="'losses' of Study was not handed on"):
        warm_up_generator(layout, 0)
    monkeypatch.setattr(joint, "TOLD", {*joint.TOLD, "l_vi_prime"})
    with pytest.raises(AttributeError, match="'l_vi_prime' of VariantSettings was not handed on"):
        train_jointly(layout, "tda", 0)


def test_a_run_is_compared_with_what_its_stage_was_handed(boxes: MakeLayout):
    def layout(*words: str, gcl: str = "title: GCL", tda: str = "title: TDA") -> Layout:
        variants = f"variants={{gcl: {{{gcl}}}, tda: {{view: augmented, {tda}}}}}"
        return boxes(variants, "evaluation.fid_variants=[gcl]", *words)

    train_baseline(layout(), 0)
    folder = train_jointly(layout(), "tda", 0)
    unused = layout("losses.image=2", "warm_up.epochs=3", "angles=[45]", gcl="l_vi: 2", tda="title: other")
    assert finished_run(unused, "tda", 0) == folder
    for used, section in ((layout(tda="l_vi: 2"), "variants"), (layout("augmentation.flip=0.1"), "augmentation")):
        with pytest.raises(RunError, match=f"made with other settings of {section};"):
            finished_run(used, "tda", 0)


def test_other_settings_set_the_old_run_aside(boxes: MakeLayout, capsys: pytest.CaptureFixture[str]):
    folder = train_baseline(boxes(), 0)
    train_baseline(boxes("baseline.tda.epochs=2"), 0)
    assert len(read_metrics(folder)) == 3  # random start and two epochs
    (aside,) = folder.parent.glob("seed0.superseded-*")
    assert len(read_metrics(aside)) == 4
    assert "set aside" in capsys.readouterr().out
    train_baseline(boxes(), 0)  # the first settings again: their run is back, and nothing was trained for it
    assert len(read_metrics(folder)) == 4
    assert "it is back" in capsys.readouterr().out
    assert len(list(folder.parent.glob("seed0.superseded-*"))) == 1


def test_warm_up_leaves_the_encoder_and_variants_start_alike(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    """METHOD.md §11.12: stage 2 leaves E_id bit-identical, BN buffers included; stage 3 changes both."""
    encoders = []
    load = warm_up.load_encoder
    monkeypatch.setattr(warm_up, "load_encoder", lambda *args: encoders.append(load(*args)) or encoders[-1])
    before = load_file(train_baseline(boxes(), 0) / "encoder.safetensors")
    drawn = read_metrics(warm_up_generator(boxes(), 0))
    after = encoders[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert drawn[-1]["image"] < drawn[0]["image"]
    joined = load_file(train_jointly(boxes(), "gcl", 0) / "encoder.safetensors")
    changed = [name for name in before if not torch.equal(before[name], joined[name])]
    assert "neck.running_mean" in changed
    assert "trunk.conv1.weight" in changed
    # METHOD.md §11.13: GCL and its control start from the same clusters
    first = [read_metrics(train_jointly(boxes(), variant, 0))[:2] for variant in ("gcl", "tda")]
    for key in ("clusters", "outliers", "eps", "ari"):
        assert first[0][1][key] == first[1][1][key]
    assert first[0][0]["map"] == first[1][0]["map"]
    assert not (boxes().stage("tda", 0) / "generator.safetensors").exists()


def test_a_network_that_is_gone_is_noticed_and_written_anew_from_the_checkpoint(boxes: MakeLayout):
    train_baseline(boxes(), 0)
    folder = train_jointly(boxes(), "tda", 0)
    network, lines = (folder / "encoder.safetensors").read_bytes(), read_metrics(folder)
    assert finished_run(boxes(), "tda", 0) == folder
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(RunError, match=r"lacks encoder\.safetensors; run notebooks/04_.* it goes on from"):
        finished_run(boxes(), "tda", 0)
    assert train_jointly(boxes(), "tda", 0) == folder
    assert (folder / "encoder.safetensors").read_bytes() == network
    assert read_metrics(folder) == lines
    assert finished_run(boxes(), "tda", 0) == folder


def test_no_cluster_is_recorded_and_training_goes_on(boxes: MakeLayout):
    strict = boxes("clustering.min_samples=40")
    lines = read_metrics(train_baseline(strict, 0))
    assert [line.get("clusters") for line in lines] == [None, None, 0, 0]
    assert "every picture its own class" in lines[-1]["note"]
    assert lines[-1]["loss"] < lines[1]["loss"]
    before = load_file(strict.stage("baseline", 0) / "encoder.safetensors")
    lines = read_metrics(train_jointly(strict, "tda", 0))
    assert [line["note"] for line in lines[1:]] == ["no cluster found: nothing to train on in this epoch"] * 2
    after = load_file(strict.stage("tda", 0) / "encoder.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_one_cluster_is_recorded(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    train_baseline(boxes(), 0)

    def everyone(settings: object, features: torch.Tensor, identities: object) -> Clusters:
        return Clusters(np.zeros(len(features), dtype=np.int64))

    monkeypatch.setattr(contrast, "cluster_by", everyone)
    last = read_metrics(train_jointly(boxes(), "tda", 0))[-1]
    assert last["note"].startswith("one cluster holds 36 of 36 pictures: a smaller clustering.rho")
    assert last["l_vi_prime"] == 0  # no negatives: nothing to tell apart


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    losses, steps = tda.contrast_losses, []

    def spoilt(*args: object, **keywords: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, told = losses(*args, **keywords)  # pyright: ignore[reportArgumentType]
        steps.append(loss)
        return (loss * torch.nan if len(steps) > 4 else loss), told  # two batches an epoch: the third epoch

    monkeypatch.setattr(tda, "contrast_losses", spoilt)
    with pytest.raises(TrainingError, match=r"loss 'loss' became nan in epoch 3, step 0; .*stopped_at_epoch_3_step_0"):
        train_baseline(boxes(), 0)
    monkeypatch.setattr(tda, "contrast_losses", losses)
    left = load_file(boxes().stage("baseline", 0) / "stopped_at_epoch_3_step_0.safetensors")
    assert left["pictures"].shape == left["copies"].shape
    assert 0 <= left["pictures"].min() < left["pictures"].max() <= 1
    assert read_metrics(train_baseline(boxes(), 0))[-1]["epoch"] == 3


def test_missing_earlier_stages_and_unknown_variants_are_named(boxes: MakeLayout):
    with pytest.raises(RunError, match=r"baseline.*encoder\.safetensors is missing"):
        warm_up_generator(boxes(), 0)
    train_baseline(boxes(), 0)
    with pytest.raises(RunError, match=r"warm_up.*generator\.safetensors is missing"):
        train_jointly(boxes(), "gcl", 0)
    with pytest.raises(RunError, match=r"no variant 'glc'.*known: gcl, tda"):
        train_jointly(boxes(), "glc", 0)


def test_a_broken_checkpoint_is_named(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    folder = boxes().stage("baseline", 0)
    monkeypatch.setattr(tda, "save_weights", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train_baseline(boxes(), 0)
    checkpoint = folder / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    checkpoint.with_stem("checkpoint.previous").write_bytes(b"")
    with pytest.raises(RunError, match=r"checkpoint\.previous\.safetensors cannot be read .*delete"):
        train_baseline(boxes(), 0)


def test_more_clusters_than_pictures_are_told_before_anything_trains(boxes: MakeLayout):
    layout = boxes("clustering.method=kmeans", "clustering.kmeans_clusters=37")
    for train in (lambda: train_baseline(layout, 0), lambda: train_jointly(layout, "tda", 0)):
        with pytest.raises(ConfigError, match="37, and there are 36 training pictures"):
            train()
    assert not layout.stage("baseline", 0).exists()
