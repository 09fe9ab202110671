"""Stage 1 by a cluster-level memory, from a checkpoint, and after a labelled source set."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gcl_core.data.source_set import load_source_set, source_layout
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, run_problem
from gcl_core.models.released import export_encoder
from gcl_core.models.weights import load_encoder
from gcl_core.run_folder import read_metrics
from gcl_core.training import journal
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines.source import pretrain_on_source
from tests.lab import Killed
from tests.training.conftest import write_boxes

MakeLayout = Callable[..., Layout]
SLOTS = [
    "baseline.method=cluster_contrast",
    "baseline.cluster_contrast.epochs=3",
    "baseline.cluster_contrast.iterations=6",
    "baseline.cluster_contrast.identities=3",
    "baseline.cluster_contrast.instances=4",
]
SOURCE = [
    "source.dataset=synthetic",
    "source.epochs=3",
    "source.optimizer.lr=0.003",
    "source.identities=3",
    "source.instances=2",
]


def killed_in_epoch_one(monkeypatch: pytest.MonkeyPatch, stage: Callable[[], object]) -> None:
    record = journal.Journal.record

    def stop(self: journal.Journal, epoch: int, **values: object) -> None:
        if epoch == 1:
            raise Killed
        record(self, epoch, **values)

    monkeypatch.setattr(journal.Journal, "record", stop)
    with pytest.raises(Killed):
        stage()
    monkeypatch.setattr(journal.Journal, "record", record)


def same_weights(one: Path, other: Path) -> bool:
    expected, found = load_file(one / "encoder.safetensors"), load_file(other / "encoder.safetensors")
    return all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize("method", [[], SLOTS], ids=["tda", "cluster_contrast"])
def test_stage_one_clusters_by_settings_of_its_own(boxes: MakeLayout, method: list[str]) -> None:
    """As a study with those settings for all stages does, to the same bits; stage 3 is not handed them."""
    own = boxes("profile=own", *method, "baseline.clustering={k1: 4, k2: 2, rho: 0.1, min_samples: 2}")
    every = boxes("profile=every", *method, "clustering={k1: 4, k2: 2, rho: 0.1, min_samples: 2}")
    usual = boxes("profile=usual", *method)
    found = [train_baseline(each, 0) for each in (own, every, usual)]
    assert same_weights(found[0], found[1])
    assert not same_weights(found[0], found[2])
    assert finished_run(own, "baseline", 0) == found[0]  # not taken for one of other settings
    assert own.study.clustering == usual.study.clustering


@pytest.fixture
def with_source(boxes: MakeLayout) -> MakeLayout:
    """A layout whose source set is prepared: boxes as well."""

    def make(*overrides: str, **where: Path) -> Layout:
        layout = boxes(*SOURCE, *overrides, **where)
        if not source_layout(layout).store.exists():
            write_boxes(source_layout(layout), ())
        return layout

    return make


def test_cluster_memory_learns_and_a_killed_run_ends_bit_identical(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, broken = boxes(*SLOTS), boxes(*SLOTS, root=tmp_path / "broken")
    folder = train_baseline(whole, 0)
    lines = read_metrics(folder)
    assert lines[-1]["loss"] < 0.8 * lines[1]["loss"]
    assert all(line["clusters"] > 1 for line in lines[1:])
    killed_in_epoch_one(monkeypatch, lambda: train_baseline(broken, 0))
    assert same_weights(folder, train_baseline(broken, 0))


def test_without_clusters_nothing_is_trained_and_it_is_said(boxes: MakeLayout):
    folder = train_baseline(boxes(*SLOTS, "clustering.min_samples=40"), 0)
    lines = read_metrics(folder)
    assert [line["note"] for line in lines[1:]] == ["0 clusters found: nothing to train on in this epoch"] * 3
    assert len({line["map"] for line in lines}) == 1


def test_a_checkpoint_takes_the_place_of_stage_1(boxes: MakeLayout, tmp_path: Path):
    """Ours or in the authors' layout: the same encoder; the manifest names the file, its hash and its layout."""
    first = boxes()
    trained = train_baseline(first, 0)
    encoder = load_encoder(first.study, trained, torch.device("cpu"))
    for layout_name in ("ours", "released"):
        given = tmp_path / "elsewhere" / ("encoder.safetensors" if layout_name == "ours" else "stage1.pth")
        given.parent.mkdir(exist_ok=True)
        if layout_name == "ours":
            given.write_bytes((trained / "encoder.safetensors").read_bytes())
        else:
            export_encoder(encoder, given)
        layout = boxes("baseline.method=checkpoint", f"baseline.checkpoint={given}", root=tmp_path / layout_name)
        folder = train_baseline(layout, 0)
        assert same_weights(trained, folder)
        manifest = read_json(folder / "manifest.json")
        assert manifest["checkpoint"]["file"].endswith(given.name)
        assert len(manifest["inputs"]["checkpoint"]) == 64
        assert read_metrics(folder)[0]["map"] == read_metrics(trained)[-1]["map"]


def test_a_checkpoint_that_is_missing_or_another_networks_is_refused(boxes: MakeLayout, tmp_path: Path):
    with pytest.raises(RunError, match="nowhere"):
        train_baseline(boxes("baseline.method=checkpoint", f"baseline.checkpoint={tmp_path / 'nowhere.pth'}"), 0)
    other = train_baseline(boxes("identity_encoder.width=16", root=tmp_path / "other"), 0) / "encoder.safetensors"
    with pytest.raises(RunError, match="width"):
        train_baseline(boxes("baseline.method=checkpoint", f"baseline.checkpoint={other}"), 0)
    assert not (boxes().stage("baseline", 0) / "encoder.safetensors").exists()


def test_source_labels_are_learned_and_a_killed_run_ends_bit_identical(
    with_source: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, broken = with_source(), with_source(root=tmp_path / "broken")
    folder = pretrain_on_source(whole, 0)
    assert read_json(folder / "manifest.json")["settings"]["baseline"] == {"threads": 1}
    lines = read_metrics(folder)
    assert lines[-1]["identity"] < lines[1]["identity"]
    assert "triplet" in lines[1]
    killed_in_epoch_one(monkeypatch, lambda: pretrain_on_source(broken, 0))
    assert same_weights(folder, pretrain_on_source(broken, 0))


@pytest.mark.parametrize("method", ["tda", "jvtc", "cluster_contrast"])
def test_every_first_stage_starts_from_the_source_sets_encoder(with_source: MakeLayout, method: str):
    few = ["baseline.jvtc.epochs=1", "baseline.jvtc.instances=4", "baseline.jvtc.copies=2"]
    layout = with_source(*SLOTS, *few, f"baseline.method={method}")
    folder = train_baseline(layout, 0)
    learned = layout.stage("source", 0)
    assert read_metrics(folder)[0]["note"] == "start: trained on the source set synthetic"
    assert (learned / "encoder.safetensors").is_file()
    assert "source" in read_json(folder / "manifest.json")["inputs"]
    assert not same_weights(learned, folder)
    assert ("source" in read_metrics(folder)[1]) == (method == "jvtc")  # L_src goes on in JVTC alone


def test_a_baseline_of_another_source_training_is_told(with_source: MakeLayout):
    layout = with_source(*SLOTS)
    train_baseline(layout, 0)
    assert run_problem(layout, "baseline", 0) is None
    longer = str(run_problem(with_source(*SLOTS, "source.epochs=5"), "baseline", 0))
    assert "seed0, which was made with other settings of source; run notebooks/01_baseline.ipynb with seed=0" in longer


def test_the_source_set_lies_beside_the_profile_and_is_prepared_like_any_other(boxes: MakeLayout):
    layout = boxes(*SOURCE, "source.people.train_identities=2", "source.people.test_identities=2")
    beside = source_layout(layout)
    assert beside.runs == layout.root / "runs" / "smoke.source"
    assert (beside.study.source, beside.study.people.seed) == (None, 1)
    assert beside.study.people.train_identities == 2
    with pytest.raises(
        ValueError, match=r"holds no prepared data; run notebook 00_data_preparation with profile 'smoke', or "
    ):
        load_source_set(layout)


def test_a_source_of_real_pictures_needs_its_folder(boxes: MakeLayout):
    with pytest.raises(ValueError, match=r"source\.data_root: dataset market1501 needs its folder"):
        boxes("source.dataset=market1501")
