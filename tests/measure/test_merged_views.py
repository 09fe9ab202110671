"""Joint training on merged views end to end, killed and resumed; and what is measured of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.data.truth import load_truth
from gcl_core.evaluation.picture_quality import person_psnr
from gcl_core.figures.second_views import second_views
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure import merged_views as module
from gcl_core.measure.collected import given_psnr
from gcl_core.measure.merged_views import kept_merger, merged_pictures, merged_reading, merged_table, read_plan
from gcl_core.provenance import code_of_stage
from gcl_core.surface.stored import carried_views
from gcl_core.training import epochs
from gcl_core.training.baseline import train_baseline
from gcl_core.training.epochs import Epochs
from gcl_core.training.joint import train_jointly
from tests.lab import Killed

WORDS = """
profile=few people.train_identities=3 people.test_identities=2 people.pictures_per_identity=6 people.distractors=0
people.junk=0 identity_encoder.width=8 baseline.tda.epochs=1 baseline.tda.instance_epochs=1 joint.epochs=2
clustering.k1=6 clustering.k2=2 clustering.rho=0.25 clustering.min_samples=2
variants.gcl.title=GCL variants.tda.view=augmented evaluation.fid_pictures=null evaluation.fid_variants=[gcl]
joint.batch_size=2 variants.surface.view=surface variants.surface.bodies=known
"""
MERGED = "variants.merged={title: merged, view: surface_cluster, bodies: known}"


def _killed(layout: Layout, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tell, count = Epochs.tell, iter(range(1, 1000))

    def watched(self: Epochs, *given: object, **inspected: object) -> None:
        tell(self, *given, **inspected)  # pyright: ignore[reportArgumentType]
        if next(count) == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "tell", watched)
        with pytest.raises(Killed):
            train_jointly(layout, "merged", 0)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A few synthetic people and a baseline trained on them."""
    layout = Layout(load_study("smoke", [*WORDS.split(), MERGED]), root=tmp_path_factory.mktemp("begun"))
    prepare_data(layout, workers=1)
    train_baseline(layout, 0)
    return layout


@pytest.fixture(scope="module")
def trained(begun: Layout) -> Layout:
    """The same, trained on merged views."""
    train_jointly(begun, "merged", 0)
    return begun


def test_a_killed_training_on_merged_views_ends_with_the_same_bits(
    trained: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(trained.root, tmp_path / "broken")
    broken = Layout(trained.study, root=tmp_path / "broken")
    shutil.rmtree(broken.stage("merged", 0))
    monkeypatch.setattr(epochs, "SAVE_AFTER", -1.0)
    _killed(broken, 2, monkeypatch)  # within the first epoch, whose memory has changed since it began
    _killed(broken, 1, monkeypatch)
    one, two = trained.stage("merged", 0), train_jointly(broken, "merged", 0)
    for name in ("encoder.safetensors", "metrics.jsonl", "merged/donors_002.npy", "merged/weights_002.npy"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert (read_plan(two, 1).donors >= 0).any()


def test_merged_views_count_their_code(trained: Layout):
    manifest = read_json(trained.stage("merged", 0) / "manifest.json")
    assert {"gcl_core/surface/merging.py", "gcl_core/surface/views.py"} <= manifest["code"].keys()
    alone = code_of_stage(trained.study, "surface")
    assert "gcl_core/surface/views.py" in alone
    assert "gcl_core/surface/merging.py" not in alone
    assert not {"gcl_core/surface/bodies.py", "gcl_core/surface/stored.py"} & code_of_stage(trained.study, "tda").keys()


def test_what_was_merged_is_told_and_measured(trained: Layout, monkeypatch: pytest.MonkeyPatch):
    people, truth = prepare_data(trained), load_truth(trained)
    assert truth is not None
    lines = merged_pictures(trained, people, truth, "merged", 0, epochs=[1, 2])
    rows = people.rows("train")
    pid, files = people.index["pid"].to_numpy()[rows], people.index["file"].to_numpy()[rows].tolist()
    assert len(lines) == 2 * len(rows)
    held, seven = list[int](), module._seven
    monkeypatch.setattr(module, "CHUNK", 5)  # views that are held at once, all of which were above
    monkeypatch.setattr(module, "_seven", lambda *given: held.append(len(given[2])) or seven(*given))
    again = merged_pictures(trained, people, truth, "merged", 0, epochs=[1, 2])
    pd.testing.assert_frame_equal(again, lines, check_exact=True)
    assert held == [5, 5, 5, 5, 5, 5, 3, 3]
    last = lines[lines["epoch"] == 2].reset_index(drop=True)
    assert last["pid"].tolist() == pid.tolist()
    run = trained.stage("merged", 0)
    plan, labels = read_plan(run, 2), np.load(run / "labels" / "epoch_002.npy")
    views, there = kept_merger(trained, people, "merged", 0)(rows)
    assert there.all()
    for row, line in ((row, last.iloc[row]) for row in range(len(last))):
        mates = np.flatnonzero(labels == labels[row])
        purity = (pid[mates] == pid[row]).mean() if labels[row] >= 0 else np.nan
        assert line["purity"] == pytest.approx(purity, nan_ok=True)
        each = [(d, w) for d, w in zip(plan.donors[row].tolist(), plan.weights[row].tolist(), strict=True) if d >= 0]
        assert line["merged"] == len(each)
        right = sum(w for d, w in each if pid[d] == pid[row]) / sum(w for _, w in each) if each else np.nan
        assert line["precision"] == pytest.approx(right, nan_ok=True)
        true = np.stack([truth.true_view(files[row], yaw) for yaw in range(45, 360, 45)])
        person = people.projections[rows[row], 1:] < 255
        assert line["psnr"] == pytest.approx(person_psnr(views[row], true, person).mean())
    alone = carried_views(trained, people, rows, "known")[0]
    np.testing.assert_array_equal(views[last["merged"] == 0], alone[last["merged"] == 0])
    assert (views[last["merged"] > 0] != alone[last["merged"] > 0]).any()
    assert given_psnr(trained, people, truth, "merged", 0) == pytest.approx(last["psnr"].mean())
    alone = trained.study.model_copy(update={"variants": {"merged": trained.study.variants["merged"]}})  # was trained
    shown = second_views(replace(trained, study=alone), people, truth, rows[:3])
    np.testing.assert_array_equal(shown["merged"], views[:3])


def test_the_table_has_means_by_number_and_by_purity():
    facts = {"epoch": 3, "pid": 1, "label": 0, "purity": [1, 1, 0.5, 0.75], "merged": [0, 2, 5, 20]}
    numbers = {"precision": [np.nan, 1, 0.5, 1], "psnr_alone": [18.0, 18, 18, 20], "psnr": [18.0, 19, 17, 22]}
    table = merged_table(pd.DataFrame(facts | numbers))
    text = merged_reading(table)
    assert (
        "takes colours from 6.8 others in the mean, and 83 % of their say is that of pictures of the same person"
        in text
    )
    assert "by +0.50 dB, from 18.5 dB" in text
    assert "4-7: \u22121.00 dB (1 picture)" in text
    table = table.set_index(["by", "value"])
    assert table["pictures"].to_dict() == {
        ("all", ""): 4,
        ("pictures merged", "none"): 1,
        ("pictures merged", "1-3"): 1,
        ("pictures merged", "4-7"): 1,
        ("pictures merged", "16 or more"): 1,
        ("purity of the cluster", "1/2 to 3/4"): 1,
        ("purity of the cluster", "3/4 to 1"): 1,
        ("purity of the cluster", "1"): 2,
    }
    assert table.loc[("all", ""), "gain (dB)"] == pytest.approx(0.5)
    assert table.loc[("all", ""), "precision"] == pytest.approx(2.5 / 3)
    assert table.loc[("purity of the cluster", "1"), "PSNR merged (dB)"] == pytest.approx(18.5)
