"""JVTC on coloured boxes: it resumes bit-identically and records its losses, its labels and JVTC+."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from gcl_core.clustering.pseudo_labels import Clusters
from gcl_core.config import JvtcSettings, load_study
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder
from gcl_core.run_folder import read_metrics
from gcl_core.training import baseline, journal
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines.jvtc import source as jvtc_source
from gcl_core.training.baselines.jvtc import training as jvtc
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
OVERRIDES = """
baseline.method=jvtc baseline.jvtc.epochs=4 baseline.jvtc.global_from=2 baseline.jvtc.relabel_every=1
baseline.jvtc.joint_from=3 baseline.jvtc.instances=4 baseline.jvtc.copies=2 baseline.jvtc.k1=5 baseline.jvtc.k2=2
baseline.jvtc.rho=0.1 baseline.jvtc.joint_rho=0.1 baseline.jvtc.frame_interval=1 baseline.jvtc.bins=20
baseline.jvtc.smoothing=1.5 baseline.jvtc.optimizer.lr=0.003
"""
SMALL = OVERRIDES.split()


def test_it_records_labels_and_the_joint_distance(boxes: MakeLayout):
    folder = train_baseline(boxes(*SMALL), 0)
    lines = read_metrics(folder)
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]
    assert "global" not in lines[1]
    assert [line.get("labels") for line in lines] == [None, None, "looks", "looks and time", "looks and time"]
    for line in lines[2:]:
        assert line["loss"] == pytest.approx(line["local"] + 0.2 * line["global"], rel=1e-4)
        assert 1 <= line["clusters"] <= 36
        assert line["outliers"] == 0
        assert line["eps"] > 0
        assert {"ari", "nmi", "map", "rank1"} <= set(line)
    manifest = read_json(folder / "manifest.json")
    assert manifest["copies"] == "traditional augmentation (no CamStyle folder given)"
    assert {"map", "rank1", "rank5", "rank10", "clusters"} == set(manifest["jvtc_plus"])
    assert 0 < manifest["jvtc_plus"]["map"] <= 1
    assert set(manifest["settings"]["baseline"]) == {"method", "jvtc", "threads"}


def test_a_killed_run_goes_on_and_ends_bit_identical(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Killed after the checkpoint of an epoch whose labels the next one still uses."""
    settings = [*SMALL, "baseline.jvtc.relabel_every=2"]
    whole, broken = boxes(*settings), boxes(*settings, root=tmp_path / "broken")
    record = journal.Journal.record

    def stop(self: journal.Journal, epoch: int, **values: object) -> None:
        if epoch == 2:
            raise Killed
        record(self, epoch, **values)

    folder = train_baseline(whole, 0)
    monkeypatch.setattr(journal.Journal, "record", stop)
    with pytest.raises(Killed):
        train_baseline(broken, 0)
    monkeypatch.setattr(journal.Journal, "record", record)
    resumed = train_baseline(broken, 0)
    expected, found = load_file(folder / "encoder.safetensors"), load_file(resumed / "encoder.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert read_metrics(folder) == read_metrics(resumed)
    assert read_json(folder / "manifest.json")["jvtc_plus"] == read_json(resumed / "manifest.json")["jvtc_plus"]


def test_labels_by_looks_and_those_with_time_have_rules_of_their_own(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch
):
    given = []

    def noted(name: str) -> Callable[..., Clusters]:
        plain = getattr(jvtc, name)

        def note(*words: Any, **named: Any) -> Clusters:
            given.append((name, named))
            return plain(*words, **named)

        return note

    for name in ("cluster_by_looks", "cluster_jointly"):
        monkeypatch.setattr(jvtc, name, noted(name))
    train_baseline(boxes(*SMALL, "baseline.jvtc.joint_rho=0.2", "baseline.jvtc.joint_eps_scale=0.9"), 0)
    looks, timed = {"rho": 0.1, "eps_scale": 0.8}, {"rho": 0.2, "eps_scale": 0.9}
    assert given == [("cluster_by_looks", looks), *[("cluster_jointly", timed)] * 2]


def test_the_learning_rate_drops_at_epochs_40_and_80():
    """Counted from 1, as JVTC counts: epoch 40 is the first with a tenth (METHOD.md §6.2)."""
    encoder = build_encoder(load_study("smoke"), 0)
    optimizer, schedule = jvtc._optimizer(encoder, None, JvtcSettings())
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * 0.1 ** (epoch // 40) for epoch in range(1, 101)])


def test_names_without_time_stop_joint_labels_but_not_labels_by_looks(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch
):
    def timeless(layout: Layout) -> PersonSet:
        people = load_person_set(layout)
        index = people.index.assign(file=[f"{row}_c{cam}.jpg" for row, cam in enumerate(people.index["camid"])])
        return PersonSet(index, people.pictures, people.projections, "timeless")

    monkeypatch.setattr(baseline, "load_person_set", timeless)
    with pytest.raises(DataError, match=r"0_c1\.jpg: no time .*set baseline\.jvtc\.joint_from above"):
        train_baseline(boxes(*SMALL), 0)
    folder = train_baseline(boxes(*SMALL, "baseline.jvtc.joint_from=9"), 0)
    assert read_metrics(folder)[-1]["labels"] == "looks"
    manifest = read_json(folder / "manifest.json")
    assert manifest["jvtc_plus"] is None
    assert "no time" in manifest["jvtc_plus_note"]


def test_time_slots_are_clustered_apart_by_looks_and_time_alone(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    def with_slots(layout: Layout) -> PersonSet:
        """Names like MSMT17's: the first half of the training pictures in the morning, the rest at noon."""
        people = load_person_set(layout)
        names = [
            f"{pid:04d}_{row:03d}_{camid:02d}_0303{'morning' if row < 18 or row % 2 else 'noon'}_{row:04d}_0.jpg"
            for row, (pid, camid) in enumerate(zip(people.index["pid"], people.index["camid"], strict=True))
        ]
        return PersonSet(people.index.assign(file=names), people.pictures, people.projections, "slots")

    labels = []
    quality = jvtc.clustering_quality
    monkeypatch.setattr(jvtc, "clustering_quality", lambda found, true: labels.append(found) or quality(found, true))
    monkeypatch.setattr(baseline, "load_person_set", with_slots)
    folder = train_baseline(boxes(*SMALL, "baseline.jvtc.time_slots=true"), 0)
    morning = np.array([row < 18 or row % 2 == 1 for row in range(36)])
    assert len(labels) == 3
    assert not set(labels[0][morning]).isdisjoint(labels[0][~morning])  # by looks
    for found in labels[1:]:
        assert set(found[morning]).isdisjoint(found[~morning])
        assert sorted(set(found.tolist())) == list(range(found.max() + 1))
    assert read_json(folder / "manifest.json")["jvtc_plus"]["clusters"] >= 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ("min_samples=36 eps_scale=0.001 joint_eps_scale=0.001", "every picture its own class"),
        ("rho=1.0 joint_rho=1.0 eps_scale=10 joint_eps_scale=10", "one cluster"),
    ],
)
def test_no_cluster_and_one_cluster_are_told(boxes: MakeLayout, settings: str, text: str):
    lines = read_metrics(train_baseline(boxes(*SMALL, *(f"baseline.jvtc.{word}" for word in settings.split())), 0))
    assert all(text in line["note"] for line in lines[2:])


def test_a_labelled_source_adds_its_loss_and_an_epoch_is_a_pass_over_it(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch
):
    layout = boxes(*SMALL, "source={dataset: synthetic}", "baseline.jvtc.copies=3")
    whole = load_person_set(layout)
    index = pd.DataFrame(whole.index).assign(split="train")
    others = PersonSet(index, whole.pictures, whole.projections, "source")  # 60 pictures of 10 people: 5 batches of 12
    monkeypatch.setattr(jvtc_source, "load_source_set", lambda _: others)
    monkeypatch.setattr(baseline, "pretrain_on_source", lambda *_: None)
    start = (build_encoder(layout.study, 0), "start: source")
    monkeypatch.setattr(jvtc, "start_encoder", lambda *_: start)
    monkeypatch.setattr(baseline, "start_inputs", lambda layout, seed: {"source": "test"})
    lines = read_metrics(train_baseline(layout, 0))
    assert lines[4]["source"] < lines[1]["source"] <= np.log(10) * 1.5
    assert lines[2]["loss"] == pytest.approx(
        lines[2]["source"] + lines[2]["local"] + 0.2 * lines[2]["global"], rel=1e-4
    )


def test_batches_of_a_shorter_epoch_go_on_where_the_last_one_ended():
    passes = [jvtc._batches(20, 4, None, 0, number) for number in (1, 2, 3)]
    in_one = [batch.tolist() for number in passes for batch in number]
    short = [batch.tolist() for epoch in range(1, 8) for batch in jvtc._batches(20, 4, 2, 0, epoch)]
    assert short == in_one[:14]
    assert sorted(place for batch in in_one[:5] for place in batch) == list(range(20))
    long = [batch.tolist() for batch in jvtc._batches(20, 4, 12, 0, 1)]
    assert long == in_one[:12]
