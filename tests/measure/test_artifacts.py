"""What earlier notebooks left: found and read, or an error that names who makes it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gcl_core import files
from gcl_core.config import load_study
from gcl_core.data.person_set import ARRAYS, describe_store, stored_fingerprint
from gcl_core.files import RunError, hash_file, read_json, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import (
    finished_run,
    finished_runs,
    headline_epochs,
    headline_words,
    last_epochs,
    named,
    numbers,
    promised,
    records,
    required_runs,
    spread,
    where,
)
from gcl_core.surface.bodies import fits_hash
from gcl_core.training.baseline import _read_besides
from gcl_core.training.start import start_inputs

WriteRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("stage", "notebook"),
    [
        ("baseline", r"01_baseline\.ipynb with seed=1"),
        ("warm_up", r"03_generator_warm_up\.ipynb with seed=1"),
        ("no_vi", r'04_joint_training\.ipynb with variant="no_vi" and seed=1'),
    ],
)
def test_a_missing_run_names_its_notebook(layout: Layout, stage: str, notebook: str):
    with pytest.raises(RunError, match=notebook):
        finished_run(layout, stage, 1)


def test_an_unfinished_run_is_not_read(layout: Layout, write_run: WriteRun):
    write_run(layout, "gcl", 0, [{"epoch": 0, "map": 0.1}], finished=False)
    with pytest.raises(RunError, match="not run to its end"):
        records(layout, ["gcl"])


def test_a_run_made_with_other_settings_is_not_read(layout: Layout, write_run: WriteRun):
    write_run(layout, "gcl", 0, [])
    assert finished_run(layout, "gcl", 0) == layout.stage("gcl", 0)
    other = Layout(load_study("smoke", "picture.height=128"), root=layout.root)
    with pytest.raises(RunError, match="other settings of picture"):
        finished_run(other, "gcl", 0)


def test_a_manifest_with_a_section_that_is_no_object_is_named(layout: Layout, write_run: WriteRun):
    manifest = write_run(layout, "gcl", 0, []) / "manifest.json"
    facts = read_json(manifest)
    for name in ("settings", "inputs", "code"):
        write_json(manifest, {**facts, name: None})
        with pytest.raises(RunError, match=rf"manifest\.json is damaged: {name} is no object; copy it again"):
            finished_run(layout, "gcl", 0)


def test_records_hold_every_seed_and_know_what_was_not_recorded(layout: Layout, write_run: WriteRun):
    for seed in (0, 1):
        write_run(layout, "baseline", seed, [{"epoch": 0, "map": 0.1, "note": "start"}, {"epoch": 1, "loss": 2}])
        write_run(layout, "gcl", seed, [{"epoch": 0, "map": None, "clusters": 3}])
    frame = records(layout, ["baseline", "gcl"])
    assert list(zip(frame["stage"], frame["seed"], frame["epoch"], strict=True)) == [
        *[("baseline", seed, epoch) for seed in (0, 1) for epoch in (0, 1)],
        ("gcl", 0, 0),
        ("gcl", 1, 0),
    ]
    assert np.isnan(numbers(frame, "map")[1])
    assert np.isnan(numbers(where(frame, stage="gcl"), "map")).all()
    assert len(records(layout, ["gcl"], seeds=[1])) == 1


def test_records_of_repeats_are_means_and_a_missing_repeat_is_named(layout: Layout, write_run: WriteRun):
    several = Layout(load_study("smoke", "repeats=2"), root=layout.root)
    write_run(several, "gcl", 0, [{"epoch": 0, "map": 0.1, "clusters": 3, "note": "start"}, {"epoch": 1, "map": 0.3}])
    with pytest.raises(RunError, match="seed0_repeat1 is not there"):
        records(several, ["gcl"])
    write_run(
        several, "gcl", 0, [{"epoch": 0, "map": 0.2, "clusters": 6, "note": "start"}, {"epoch": 1, "map": 0.6}], 1
    )
    frame = records(several, ["gcl"])
    assert numbers(frame, "map").tolist() == pytest.approx([0.15, 0.45])
    assert (frame["clusters"].iloc[0], frame["note"].iloc[0], frame["epoch"].tolist()) == (4.5, "start", [0, 1])
    write_run(several, "baseline", 0, [{"epoch": 0, "map": 0.2}])  # has no repeats
    assert len(records(several, ["baseline"])) == 1
    assert [path.name for path in finished_runs(several, ["baseline", "gcl"])] == ["seed0", "seed0", "seed0_repeat1"]


def test_a_run_with_other_training_draws_is_not_read(layout: Layout, write_run: WriteRun):
    write_run(layout, "gcl", 0, [])
    other = Layout(load_study("smoke", "training_seed=1000"), root=layout.root)
    with pytest.raises(RunError, match="other training draws"):
        finished_run(other, "gcl", 0)


def test_the_last_epoch_is_found_whatever_the_order(layout: Layout, write_run: WriteRun):
    for seed in (0, 1):
        write_run(layout, "gcl", seed, [{"epoch": 2, "map": 0.2}, {"epoch": 10, "map": 0.5}, {"epoch": 9, "map": 0.9}])
    last = last_epochs(records(layout, ["gcl"]))
    assert numbers(last, "map").tolist() == [0.5, 0.5]


HEADLINES = {"last": "last epoch", "best_on_test": "epoch of best mAP on test"}
TWO = "variants.tda.view=augmented evaluation.fid_variants=[gcl]"
MAPS = {"gcl": [0.9, 0.2, 0.5, 0.5, 0.3], "tda": [0.1, None, 0.2, None, 0.7], "baseline": [0.9, 0.6, 0.5, 0.4, 0.3]}


def test_best_on_test_is_the_first_best_epoch_of_variants_alone_and_never_the_start(
    layout: Layout, write_run: WriteRun
):
    for stage, maps in MAPS.items():
        for seed in (0, 1):
            lines = [{"epoch": epoch, "map": value} for epoch, value in enumerate(maps)]
            if seed:
                lines[4]["map"] = 0.8
            write_run(layout, stage, seed, lines)
    frame = records(layout, list(MAPS)).sample(frac=1, random_state=0)  # the order of lines is of no matter
    released = load_study("smoke", "joint.keep=best_on_test")
    kept = headline_epochs(released, frame)
    epochs = {(line["stage"], line["seed"]): line["epoch"] for line in kept.to_dict("records")}
    assert epochs == {
        **{("gcl", 0): 2, ("gcl", 1): 4, ("tda", 0): 4, ("tda", 1): 4},
        **{("baseline", 0): 4, ("baseline", 1): 4},
    }
    assert headline_epochs(layout.study, frame).equals(last_epochs(frame))
    alone = headline_epochs(released, where(frame, stage="baseline"))
    assert alone.equals(last_epochs(where(frame, stage="baseline")))
    assert headline_words(released) != headline_words(layout.study)


def test_each_variants_headline_follows_its_own_settings(layout: Layout, write_run: WriteRun):
    for stage, maps in MAPS.items():
        write_run(layout, stage, 0, [{"epoch": epoch, "map": value} for epoch, value in enumerate(maps)])
    frame = records(layout, list(MAPS), seeds=[0])
    for profile, own, epochs in (("last", "best_on_test", [2, 4]), ("best_on_test", "last", [4, 4])):
        study = load_study("smoke", f"joint.keep={profile} 'variants.gcl.changes={{joint.keep: {own}}}' " + TWO)
        heads = headline_epochs(study, frame)
        assert [where(heads, stage=name)["epoch"].item() for name in ("gcl", "tda")] == epochs
        assert where(heads, stage="baseline")["epoch"].item() == 4
        assert [headline_words(study, name) for name in ("gcl", "tda")] == [HEADLINES[own], HEADLINES[profile]]
        assert headline_words(study) not in HEADLINES.values()


def test_the_control_needs_no_warm_up_but_a_drawing_variant_does(layout: Layout, write_run: WriteRun):
    write_run(layout, "baseline", 0, [])
    assert required_runs(layout, "tda", 0) == [layout.stage("baseline", 0)]
    with pytest.raises(RunError, match="03_generator_warm_up"):
        required_runs(layout, "gcl", 0)
    with pytest.raises(RunError, match="no variant 'nothing'"):
        required_runs(layout, "nothing", 0)


def test_half_the_range_and_none_for_one_seed():
    assert spread(np.array([3.0, 7.0, 4.0])) == 2
    assert np.isnan(spread(np.array([3.0])))


def test_seeds_do_not_overwrite_each_others_files():
    assert named("figure", 0) == "figure"
    assert len({named("figure", seed) for seed in range(3)}) == 3


def test_a_promise_is_kept_only_by_a_file_with_something_in_it(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "a.md").write_text("")
    assert "a.csv" in promised(tmp_path, "a.csv")
    for name in ("a.md", "a.*", "b.*"):
        with pytest.raises(RunError, match="promised"):
            promised(tmp_path, name)


def test_a_run_of_other_code_is_not_read(layout: Layout, write_run: WriteRun):
    folder = write_run(layout, "gcl", 0, [])
    facts = read_json(folder / "manifest.json")
    name = "gcl_core/training/joint.py"
    write_json(folder / "manifest.json", {**facts, "code": {**facts["code"], name: "0123456789ab"}})
    with pytest.raises(
        RunError, match=r"other code \(gcl_core/training/joint\.py changed since\); run .*variant=\"gcl\""
    ):
        finished_run(layout, "gcl", 0)


def test_a_run_of_data_that_were_prepared_anew_is_not_read(layout: Layout, write_run: WriteRun):
    folder, store = write_run(layout, "gcl", 0, []), layout.store
    for name in ARRAYS:
        write_text(store / name, "first")
    describe_store(layout, {}, dict.fromkeys(ARRAYS, "first"), identity="made up")
    facts, data = read_json(folder / "manifest.json"), stored_fingerprint(read_json(store / "store.json"))
    write_json(folder / "manifest.json", {**facts, "inputs": {"data": data}})
    assert finished_run(layout, "gcl", 0) == folder
    describe_store(layout, {}, dict.fromkeys(ARRAYS, "mended"), identity="made up")
    with pytest.raises(RunError, match="made of other data than are prepared now"):
        finished_run(layout, "gcl", 0)


def test_old_variants_beside_a_retrained_baseline_are_not_read(layout: Layout, write_run: WriteRun):
    baseline, folder = write_run(layout, "baseline", 0, []), write_run(layout, "tda", 0, [])
    (baseline / "encoder.safetensors").write_bytes(b"first")
    facts = read_json(folder / "manifest.json")
    inputs = {"baseline": hash_file(baseline / "encoder.safetensors")}
    write_json(folder / "manifest.json", {**facts, "inputs": inputs})
    assert finished_run(layout, "tda", 0) == folder
    (baseline / "encoder.safetensors").write_bytes(b"second")
    with pytest.raises(RunError, match=r"trained from another baseline than lies there now; run .*tda"):
        finished_run(layout, "tda", 0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("checkpoint", "trained from another checkpoint than lies there now"),
        ("weights", "trained from another file of weights than lies there now"),
        ("camera_styles", "trained on other camera styles than lie there now"),
        ("bodies", "trained on views of other bodies than lie there now"),
    ],
)
def test_a_run_made_from_another_file_of_the_users_is_not_read(
    tmp_path: Path, write_run: WriteRun, name: str, told: str
):
    """A file that is not there, as on another machine, tells nothing."""
    file = tmp_path / "given" / ("bodies.csv" if name == "bodies" else "one.jpg")
    words = {
        "checkpoint": ("baseline.method=checkpoint", f"baseline.checkpoint={file}"),
        "weights": (f"identity_encoder={{kind: timm, model: resnet10t, stride: 16, weights: {file}}}",),
        "camera_styles": ("baseline.method=jvtc", f"baseline.jvtc.camera_styles={file.parent}"),
        "bodies": (*TWO.split(), "variants.gcl.title=GCL", "variants.carried.view=surface"),
    }[name]
    layout = Layout(load_study("smoke", [*words, f"mesh_root={file.parent}"]), root=tmp_path)
    stage = "carried" if name == "bodies" else "baseline"
    write_text(file, "first")
    recorded = {
        "checkpoint": lambda: _read_besides(layout.study),
        "weights": lambda: start_inputs(layout, 0),
        "camera_styles": lambda: _read_besides(layout.study),
        "bodies": lambda: {"bodies": fits_hash(layout, "fitted")},
    }[name]()
    assert set(recorded) == {name}
    folder = write_run(layout, stage, 0, [])
    facts = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**facts, "inputs": recorded})
    assert finished_run(layout, stage, 0) == folder
    write_text(file, "another")
    with pytest.raises(RunError, match=f"was {told}; run "):
        finished_run(layout, stage, 0)
    shutil.rmtree(file.parent)
    assert finished_run(layout, stage, 0) == folder


def test_inputs_are_hashed_once_while_they_stay(layout: Layout, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch):
    encoder, folder = write_run(layout, "baseline", 0, []) / "encoder.safetensors", write_run(layout, "tda", 0, [])
    encoder.write_bytes(b"weights")
    facts = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**facts, "inputs": {"baseline": hash_file(encoder)}})
    read: list[Path] = []
    monkeypatch.setattr(files, "hash_file", lambda path: read.append(path) or hash_file(path))
    for _ in range(3):
        assert finished_run(layout, "tda", 0) == folder
    assert read == [encoder]
    os.utime(encoder, (1, 1))
    assert finished_run(layout, "tda", 0) == folder
    assert read == [encoder, encoder]
