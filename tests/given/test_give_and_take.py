"""A finished profile's networks become a folder, and a study that takes that folder has runs without training."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gcl_core.cli import main
from gcl_core.config import ConfigError, load_study
from gcl_core.data.person_set import load_person_set
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.figure_manifest import read_manifest as figures_manifest
from gcl_core.figures.style import new_figure, save_figure, write_foot
from gcl_core.files import RunError, read_json, write_json
from gcl_core.given import give
from gcl_core.given.folder import check_given, told
from gcl_core.given.give import described, give_weights, given_study
from gcl_core.given.take import given_run
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, records, run_problem
from gcl_core.measure.first_step import first_step
from gcl_core.models.weights import (
    build_discriminator,
    build_encoder,
    build_generator,
    load_encoder,
    load_generator,
    save_weights,
)
from tests.training.conftest import OVERRIDES, write_boxes

CPU = torch.device("cpu")
STAGES = ("baseline", "warm_up", "gcl", "tda")


@pytest.fixture
def trained(tmp_path: Path, write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout whose runs are finished; their networks are untrained, so few bits may move their mAP by any amount."""
    monkeypatch.setattr(give, "BOUND", 100)
    layout = Layout(load_study("smoke", [*OVERRIDES.split(), "profile=boxes"]), root=tmp_path)
    write_boxes(layout, ())
    people = load_person_set(layout)
    for place, stage in enumerate(STAGES):
        encoder = build_encoder(layout.study, place).eval()
        accuracy = {} if stage == "warm_up" else accuracy_record(encoder, people, layout.study.evaluation)
        run = write_run(layout, stage, 0, [{"epoch": 1, "clusters": 5, "trained_on": 7, **accuracy}])
        if stage != "warm_up":
            save_weights(encoder, run / "encoder.safetensors")
        if stage in ("warm_up", "gcl"):
            save_weights(build_generator(layout.study, encoder.code_dim, place), run / "generator.safetensors")
            save_weights(build_discriminator(layout.study, place), run / "discriminator.safetensors")
    return layout


@pytest.fixture
def given(trained: Layout, tmp_path: Path) -> Layout:
    """The layout of the study that takes the weights of `trained`, its data prepared."""
    give_weights(trained, tmp_path / "weights" / "boxes")
    layout = Layout(load_study(str(tmp_path / "weights" / "boxes" / "study.yaml")), root=tmp_path)
    write_boxes(layout, ())
    return layout


def test_the_given_study_is_the_profile_without_the_variants_that_have_no_weights(trained: Layout, given: Layout):
    study = given.study
    assert study.profile == "boxes_given"
    assert list(study.variants) == ["gcl", "tda"]
    assert study.variants["tda"] == trained.study.variants["tda"]
    assert study.evaluation.fid_variants == ("gcl",)
    for part in ("people", "picture", "identity_encoder", "generator", "clustering", "joint"):
        assert getattr(study, part) == getattr(trained.study, part), part
    assert study.given_weights is not None
    words = told(study.given_weights)
    assert "no_vi, no_l_vi, no_l_vi_prime, no_l_vi_second: their rows are left out" in words


def test_given_runs_are_finished_without_training(trained: Layout, given: Layout):
    for stage in STAGES:
        assert run_problem(given, stage, 0) is not None
        run = given_run(given, stage, 0)
        assert run is not None
        assert run == finished_run(given, stage, 0)
        before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
        assert given_run(given, stage, 0) == run
        assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    manifest = read_json(given.stage("gcl", 0) / "manifest.json")
    assert manifest["given"]["weights"] == "weights/boxes"
    assert set(manifest["given"]["files"]) == {"gcl/encoder.safetensors", "gcl/generator.safetensors"}
    assert manifest["given"]["trained"]["git_revision"] == "abc"
    boxes, people = torch.rand(4, 3, 64, 32), load_person_set(given)
    one, other = (load_encoder(each.study, each.stage("gcl", 0), CPU) for each in (trained, given))
    assert torch.nn.functional.cosine_similarity(one(boxes).feature, other(boxes).feature).min() > 0.995
    load_generator(given.study, given.stage("warm_up", 0), CPU)
    lines = records(given, ["gcl", "warm_up"])
    assert list(lines["clusters"]) == [5, 5]
    accuracy = accuracy_record(other, people, given.study.evaluation)
    assert lines["map"].iloc[0] == pytest.approx(accuracy["map"])  # measured with what was given
    assert len(first_step(given, given.study, people, 0, pictures=4).learners().bank.rows) > 0


def test_pictures_that_are_not_to_the_bit_those_of_the_training_are_told(
    given: Layout, capsys: pytest.CaptureFixture[str]
):
    given_run(given, "tda", 0)
    assert "to the bit" not in capsys.readouterr().out
    folder = given.study.given_weights
    assert folder is not None
    known = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", known | {"data": "0123456789abcdef"})
    given_run(given, "baseline", 0)
    told_here = capsys.readouterr().out
    assert f"data {known['data']}) are not to the bit those of that training (data 0123456789abcdef)" in told_here


def test_the_card_and_the_manifest_tell_what_is_there(given: Layout):
    folder = given.study.given_weights
    assert folder is not None
    known, card = read_json(folder / "manifest.json"), (folder / "README.md").read_text()
    files = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.safetensors")}
    assert files == set(known["files"])
    assert all(f"`{name}`" in card for name in files)
    assert "`no_vi`" in card
    assert "Do not use them to find, follow or identify real people." in card


def test_a_training_is_never_replaced(trained: Layout, given: Layout):
    mine = Layout(given.study.model_copy(update={"profile": "boxes"}), root=given.root)
    before = {path: path.read_bytes() for path in trained.stage("gcl", 0).iterdir()}
    with pytest.raises(RunError, match=r"holds a training.*profile=NAME"):
        given_run(mine, "gcl", 0)
    assert {path: path.read_bytes() for path in trained.stage("gcl", 0).iterdir()} == before
    assert "holds a training, and this study takes given weights" in str(run_problem(mine, "gcl", 0))
    given_run(given, "gcl", 0)
    trains = Layout(trained.study.model_copy(update={"profile": "boxes_given"}), root=given.root)
    assert "holds given weights, and this study trains" in str(run_problem(trains, "gcl", 0))


def test_weights_that_are_not_there_or_damaged_are_told(given: Layout):
    with pytest.raises(RunError, match=r"no weights of no_vi, seed 0; there are those of baseline, warm_up, gcl, tda"):
        given_run(given, "no_vi", 0)
    run = given_run(given, "tda", 0)
    assert run is not None
    assert given.study.given_weights is not None
    with (given.study.given_weights / "tda" / "encoder.safetensors").open("ab") as stream:
        stream.write(b"x")
    assert "was made of another" in str(run_problem(given, "tda", 0))
    with pytest.raises(RunError, match=r"tda/encoder.safetensors is missing or is not the file of"):
        given_run(given, "tda", 0)
    elsewhere = replace(given, study=given.study.model_copy(update={"given_weights": given.root}))
    with pytest.raises(RunError, match="holds no weights"):
        given_run(elsewhere, "tda", 0)


@pytest.mark.parametrize("words", ["people.seed=3", "people.train_identities=5", "seeds=2", "training_seed=1"])
def test_weights_are_not_taken_for_people_or_seeds_that_they_were_not_trained_on(
    given: Layout, words: str, capsys: pytest.CaptureFixture[str]
):
    assert given.study.given_weights is not None
    profile = str(given.study.given_weights / "study.yaml")
    study = load_study(profile, ["profile=others", words])
    changed = words.partition("=")[0].partition(".")[0]
    with pytest.raises(ConfigError, match=f"{changed}: the weights of weights/boxes"):
        given_run(Layout(study, root=given.root), "tda", 0)
    with pytest.raises(SystemExit, match="2"):
        main(["run", profile, "profile=others", words])  # before anything is made
    assert "come with the record of a training on other data or seeds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("joint.epochs=97", "joint: the weights of .* were trained with other settings"),
        ("identity_encoder.width=8", "identity_encoder: the weights of baseline in"),
        ("variants.no_vi={title: without, purpose: ablation, l_vi: 0}", "holds no weights of no_vi"),
    ],
)
def test_weights_of_other_settings_or_variants_are_refused_before_anything_is_made(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
):
    for command in (["plan"], ["run", "--dry-run"]):
        with pytest.raises(SystemExit, match="2"):
            main([*command, "mini", "--from-weights", words])
        assert re.search(told, capsys.readouterr().err)
    main(["plan", "mini", "--from-weights", "evaluation.fid_pictures=2"])  # what is measured may be chosen
    assert "mini_given" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["source.dataset=market1501", "source.data_root=elsewhere"]])
def test_weights_of_real_people_are_taken_by_who_has_the_pictures(words: list[str], tmp_path: Path):
    theirs = given_study(load_study("market1501", [f"data_root={tmp_path}/theirs", *words]), list(STAGES))
    (tmp_path / "manifest.json").write_text(json.dumps({"runs": {stage: {"settings": {}} for stage in STAGES}}))
    (tmp_path / "study.yaml").write_text(described(theirs))
    assert "theirs" not in (tmp_path / "study.yaml").read_text()
    words = [f"data_root={tmp_path}/ours", *(word for word in words if word.startswith("source.data_root"))]
    check_given(load_study(str(tmp_path / "study.yaml"), words))
    with pytest.raises(ConfigError, match="training_seed: the weights of"):
        check_given(load_study(str(tmp_path / "study.yaml"), [*words, "training_seed=1"]))


@pytest.mark.parametrize(("bound", "most", "message"), [(-1, 1e9, "mAP moves by"), (100, 1000, "at most 0 MB")])
def test_what_would_be_too_large_or_another_network_is_not_given(
    trained: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: float, most: float, message: str
):
    monkeypatch.setattr(give, "BOUND", bound)
    monkeypatch.setattr(give, "MOST", most)
    with pytest.raises(RunError, match=message):
        give_weights(trained, tmp_path / "given" / "boxes")
    assert list((tmp_path / "given").iterdir()) == []


def test_weights_take_the_place_of_an_empty_folder_alone(trained: Layout, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").touch()
    for there in (mine, mine / "file"):
        with pytest.raises(RunError, match=f"{there.name} is no empty folder and stays as it is"):
            give_weights(Layout(trained.study, root=tmp_path / "nothing was run here"), there)
    assert [path.name for path in mine.iterdir()] == ["file"]
    (mine / "file").unlink()
    (tmp_path / "link").symlink_to(mine)
    card = give.model_card

    def meanwhile(*words) -> str:
        (mine / "manifest.json").write_text("of another call")
        return card(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(give, "model_card", meanwhile)
        with pytest.raises(RunError, match="if another call wrote it meanwhile, it stays as it is"):
            give_weights(trained, mine)
    assert (mine / "manifest.json").read_text() == "of another call"
    (mine / "manifest.json").unlink()
    assert give_weights(trained, tmp_path / "link")[-1] == mine / "manifest.json"


def test_every_saved_figure_says_that_weights_were_given(given: Layout, trained: Layout):
    words = "Weights were given (weights/boxes), not trained here."
    for layout, expected in ((given, [words]), (trained, [])):
        figure = new_figure(3.0, 2.0)
        figure.subplots().set_title("title")
        save_figure(figure, layout, "some", runs=[], caption="Some caption.")
        assert [text.get_text() for text in figure.texts] == expected
        gallery = new_figure(3.0, 2.0)
        gallery.set_layout_engine("none")
        axes, title = gallery.add_axes((0.1, 0.0, 0.9, 0.9)), gallery.text(0.5, 0.92, "title")
        write_foot(gallery, *expected or [""])
        foot = gallery.texts[-1].get_window_extent().y1 if expected else 0.0
        assert axes.get_window_extent().y0 >= foot  # nothing is written over pictures
        assert axes.get_window_extent().height == pytest.approx(0.9 * 2 * gallery.dpi)
        assert title.get_window_extent().y1 <= gallery.bbox.y1
        caption = figures_manifest(layout.figures)["some.png"]["caption"]
        assert caption == " ".join(["Some caption.", *expected])


def test_commands_name_the_profiles_that_have_weights(given: Layout, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "smoke", "--from-weights"])
    assert "no weights come with profile smoke; profiles with weights in" in capsys.readouterr().err
    for name, words in (("weights/mini/study.yaml", "goes with the name of a profile"), ("nope", "no profile 'nope'")):
        with pytest.raises(SystemExit, match="2"):
            main(["run", name, "--from-weights"])
        assert words in capsys.readouterr().err
    assert given.study.given_weights is not None
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(given.study.given_weights / "study.yaml"), "gcl"])
    assert "and trains nothing" in capsys.readouterr().err


def test_a_shipped_profile_keeps_its_name_for_its_own_trainings(given: Layout):
    with pytest.raises(ConfigError, match="given_weights would change what profile smoke trains"):
        Layout(load_study("smoke", [f"given_weights={given.study.given_weights}"]))
