"""Runs, profiles and folders by name: none is taken for another, whatever lies in the current folder."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from gcl_core import cli
from gcl_core.cli.words import is_setting, local_path, read_study, run_folder, split_name
from gcl_core.config import ConfigError, load_study
from gcl_core.files import write_json
from gcl_core.layout import Layout


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A profile with a variant that is named like a profile, run in a folder that holds folders of all those names."""
    monkeypatch.chdir(tmp_path)
    for name in ("gcl", "mini", "smoke", "weights", "runs"):
        (tmp_path / name).mkdir()
    words = (
        "variants.gcl.title=GCL variants.tda.view=augmented variants.mini.view=augmented evaluation.fid_variants=[gcl]"
    )
    return Layout(load_study("smoke", words), root=tmp_path / "study")


def test_a_folder_in_the_current_one_is_no_run(layout: Layout) -> None:
    for name in ("gcl", "mini", "baseline"):
        assert run_folder(layout, name, 2) == (layout.stage(name, 2), 2)
    assert run_folder(layout, "./gcl", 2) == (Path("gcl"), 2)
    assert run_folder(layout, "weights/", None) == (Path("weights"), 0)


def test_a_folder_is_of_the_seed_in_its_name(layout: Layout) -> None:
    for name in ("seed12", "seed12_repeat1", "seed12.superseded-0123"):
        Path(name).mkdir()
        assert run_folder(layout, f"./{name}", None) == run_folder(layout, f"./{name}", 12) == (Path(name), 12)
        with pytest.raises(ConfigError, match=rf"\./{name} is of seed 12, --seed says 0: leave --seed out"):
            run_folder(layout, f"./{name}", 0)


def test_evaluate_measures_the_run_of_a_folder_on_its_own_people(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr("gcl_core.models.weights.load_encoder", lambda *_: None)
    monkeypatch.setattr("gcl_core.data.person_set.load_person_set", lambda own: seen.append(own.people_of))
    measured = SimpleNamespace(map=0.5, cmc={})
    monkeypatch.setattr("gcl_core.evaluation.accuracy.evaluate_encoder", lambda *_: measured)
    Path("seed1").mkdir()
    cli.main(["evaluate", "smoke", "profile=never_run", "people.each_seed=true", "seeds=2", "./seed1"])
    assert seen == [1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "weights",
            r"no run 'weights'; for the folder of that name in the current one write \./weights; known: baseline",
        ),
        ("market1501", r"no run 'market1501'; market1501 is a profile: say the run as well"),
        ("nobody", r"no run 'nobody'; known: baseline, warm_up, gcl, .*, mini"),
        ("./nobody", r"no run folder \./nobody"),
    ],
)
def test_a_word_that_names_no_run_is_told(layout: Layout, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        run_folder(layout, name, 0)


def test_an_imported_run_is_known_by_its_name(layout: Layout) -> None:
    write_json(layout.stage("weights", 0) / "manifest.json", {})
    assert run_folder(layout, "weights", None) == (layout.stage("weights", 0), 0)


def test_the_last_word_is_the_run_also_when_it_equals_the_profile() -> None:
    assert split_name(["smoke", "smoke", "seeds=2"], "") == ("smoke", ["smoke", "seeds=2"])
    assert split_name(["seeds=2", "gcl"], "") == ("gcl", ["seeds=2"])
    with pytest.raises(ConfigError, match="say whose"):
        split_name(["seeds=2"], "say whose")


def test_settings_are_told_from_paths() -> None:
    assert is_setting("data_root=/a/b.yaml")
    assert is_setting("=3")
    assert not is_setting("/runs/lr=3/own.yaml")
    assert not is_setting("gcl")


@pytest.mark.parametrize("command", ["evaluate", "export-weights", "train"])
def test_commands_with_a_name_treat_their_words_alike(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lone profile is no run, an unknown word is told with what is known, two profiles are one too many."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nobody").mkdir()
    more = ["--out", "weights"] if command == "export-weights" else []
    for words, told in (
        (["smoke", "profile=never_run", "nobody"], "'nobody'"),
        (["smoke"], "'smoke'"),
        (["smoke", "mini", "gcl"], "expected one profile and key=value words, got 'smoke mini'"),
        (["gcl", "smoke"], "no profile 'gcl'"),
        ([], "say "),
        (["smoke", "gcl", "--seed", "-1"], "expected a whole number from 0" if command != "train" else "whole number"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, *words, *more])
        assert ended.value.code == 2, words
        assert told in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nobody"]


def test_redraw_takes_a_profile_by_the_path_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("profile: never_run\n")
    for words in (["own.yaml"], ["smoke", "profile=never_run"]):
        with pytest.raises(SystemExit):
            cli.main(["redraw", *words])
        assert "figures/never_run holds no" in capsys.readouterr().err


def test_a_path_behind_an_equals_sign_has_its_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/x.npz") == tmp_path / "x.npz"
    assert local_path("a~/x.npz") == Path("a~/x.npz")
    with pytest.raises(argparse.ArgumentTypeError, match="got an empty text"):
        local_path("")


def test_every_path_of_a_command_is_read_that_way() -> None:
    """By the source, so that a new option is not forgotten."""
    for source in (Path(cli.__file__).parent).glob("*.py"):
        assert "type=Path" not in source.read_text(encoding="utf-8"), source


def test_who_reads_figures_alone_needs_no_folder_of_real_people():
    with pytest.raises(ConfigError, match="data_root"):
        read_study(argparse.Namespace(), ["real_small"])
    study, _, _ = read_study(argparse.Namespace(), ["real_small", "seeds=2"], pictures=False)
    assert (study.profile, study.seeds) == ("real_small", 2)
    with pytest.raises(ConfigError, match=r"joint\.epoch: unknown key"):
        read_study(argparse.Namespace(), ["real_small", "joint.epoch=3"], pictures=False)
