"""The cluster-level memory as stage 1: records of a resumed run, one cluster, outliers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gcl_core.layout import Layout
from gcl_core.run_folder import read_metrics
from gcl_core.training import journal
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines.cluster_contrast import training as cluster_contrast
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
SLOTS = [
    "baseline.method=cluster_contrast",
    "baseline.cluster_contrast.epochs=3",
    "baseline.cluster_contrast.iterations=null",
    "baseline.cluster_contrast.identities=3",
    "baseline.cluster_contrast.instances=4",
]
Labels = tuple[torch.Tensor, dict]


def label(monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Put other labels in the place of those found."""
    found = cluster_contrast.relabel

    def relabel(*given: object) -> Labels:
        labels, facts = found(*given)  # pyright: ignore[reportArgumentType]
        labels = change(labels)
        return labels, {**facts, "clusters": int(labels.max()) + 1, "outliers": int((labels < 0).sum())}

    monkeypatch.setattr(cluster_contrast, "relabel", relabel)


def test_a_killed_run_records_what_a_whole_one_does(boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, broken = boxes(*SLOTS), boxes(*SLOTS, root=tmp_path / "broken")
    lines = read_metrics(train_baseline(whole, 0))
    save = journal.Journal.record

    def stop(self: journal.Journal, epoch: int, **values: object) -> None:
        save(self, epoch, **values)
        if epoch == 2:
            raise Killed

    monkeypatch.setattr(journal.Journal, "record", stop)
    with pytest.raises(Killed):
        train_baseline(broken, 0)
    monkeypatch.setattr(journal.Journal, "record", save)
    assert read_metrics(train_baseline(broken, 0)) == lines


def test_one_cluster_trains_nothing_and_says_so(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    label(monkeypatch, torch.zeros_like)
    folder = train_baseline(boxes(*SLOTS), 0)
    lines = read_metrics(folder)
    assert [line["note"] for line in lines[1:]] == ["1 clusters found: nothing to train on in this epoch"] * 3
    assert not any("loss" in line for line in lines)
    assert len({line["map"] for line in lines}) == 1
    assert load_file(folder / "encoder.safetensors")["neck.num_batches_tracked"] == 0


def test_pictures_outside_clusters_are_never_trained_on(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    """Rows 12 and up are made outliers; what batches ask of the set are rows below that."""
    outside = torch.arange(36) >= 12
    label(monkeypatch, lambda labels: torch.where(outside, -1, torch.arange(36) // 4))
    trained: list[int] = []
    loss = cluster_contrast.cluster_contrast

    def watched(features: torch.Tensor, slots: torch.Tensor, own: torch.Tensor, **given: float) -> torch.Tensor:
        assert len(slots) == 3
        trained.extend(own.tolist())
        return loss(features, slots, own, **given)

    batches = cluster_contrast.pk_batches

    def drawn(*given: object, **named: object) -> list:
        found = batches(*given, **named)  # pyright: ignore[reportArgumentType]
        assert all((batch < 12).all() for batch in found)
        return found

    monkeypatch.setattr(cluster_contrast, "cluster_contrast", watched)
    monkeypatch.setattr(cluster_contrast, "pk_batches", drawn)
    train_baseline(boxes(*SLOTS), 0)
    assert trained.count(0) == trained.count(1) == trained.count(2) == 3 * 4  # one batch of 3 x 4 an epoch fills them


def test_the_first_epochs_tell_every_picture_from_every_other(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    memories = []

    class Noted(cluster_contrast.ClusterMemory):
        def __init__(self, features: torch.Tensor, labels: torch.Tensor, **others: float) -> None:
            memories.append(labels.tolist())
            super().__init__(features, labels, **others)

    monkeypatch.setattr(cluster_contrast, "ClusterMemory", Noted)
    layout = boxes(*SLOTS, "baseline.cluster_contrast.epochs=2", "baseline.cluster_contrast.instance_epochs=1")
    lines = read_metrics(train_baseline(layout, 0))
    assert memories[0] == list(range(36))
    assert max(memories[1]) < 35
    assert lines[1]["note"] == "every picture its own class in this epoch"
    assert "clusters" not in lines[1]
    assert "clusters" in lines[2]
