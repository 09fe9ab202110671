"""Paths in settings: any character that a name may have, and the folder from which a relative one counts."""

import argparse
import os
import shlex
from pathlib import Path

import pytest
from papermill.translators import PythonTranslator
from snakemake.cli import parse_config

from gcl_core.cli.words import read_study
from gcl_core.config import PATHS, ConfigError, load_study, settled
from gcl_core.models.timm_trunk import WHEEL
from gcl_core.settings.paths import placed
from gcl_core.workflow.study import _quoted

TIMM = "identity_encoder={kind: timm, model: resnet18, parts: 1}"
NAMES = [
    "set #2",
    "#2",
    "set: new",
    "a 'quoted' \"one\"",
    "it's",
    "back\\slash",
    "tab\tand\nline",
    "Größe 人 😀",
    "trailing blank ",
    " leading",
    "{seed} {{x}} ${HOME} `x`",
    "[1, 2]",
    "&anchor *star !tag %d @at",
    "- item",
    "null ",
    "2024",
    "1e3",
    "yes",
    "key=value",
    "~nobody-of-that-name",
    os.fsdecode(b"not UTF-8 \xff"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", PATHS)
def test_a_path_on_the_command_line_is_taken_literally(name: str, key: str, tmp_path: Path) -> None:
    """As every stage of a run hands it on: the command, Snakemake's words, the shell, papermill, the notebook."""
    given = f"{key}={tmp_path / name}"
    study = _study_with(key, settled(given))
    assert study == str(tmp_path / name)
    handed = parse_config([f"overrides={_quoted([settled(given)])}"])["overrides"]
    (text,) = shlex.split(shlex.quote(shlex.join(handed)))
    told: dict[str, str] = {}
    exec(PythonTranslator.codify({"overrides": text}), told)
    assert shlex.split(told["overrides"]) == [given]
    assert _study_with(key, *shlex.split(told["overrides"])) == study


def _study_with(key: str, *words: str) -> str:
    """Return the setting's value in a study for which all that it needs is given."""
    needed = {
        "source.data_root": ["source.dataset=market1501"],
        "baseline.checkpoint": ["baseline.method=checkpoint"],
        "identity_encoder.weights": [TIMM],
    }
    value: object = load_study("smoke", [*needed.get(key, []), *words])
    for name in key.split("."):
        value = getattr(value, name)
    return str(value)


@pytest.mark.parametrize("profile", ["2024", "1e3", "true", "my plan #2.yaml", "a=b.yaml", "it's: 😀.yaml"])
def test_a_profile_reaches_snakemake_as_it_was_given(profile: str) -> None:
    assert parse_config([f"profile={_quoted(profile)}"]) == {"profile": profile}


def test_relative_words_and_the_home_folder_are_settled_where_the_command_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "~kept").mkdir()
    found = {
        "data_root=data": f"data_root={tmp_path}/data",
        "data_root=./~": f"data_root={tmp_path}/~",
        "data_root=~/data": "data_root=/home/me/data",
        "data_root=~kept": f"data_root={tmp_path}/~kept",
        "data_root=null": "data_root=null",
        "data_root=./null": f"data_root={tmp_path}/null",
        "joint.epochs=3": "joint.epochs=3",
    }
    assert {word: settled(word) for word in found} == found
    inner = settled("source={dataset: folder, data_root: 'my #2 set'}")
    monkeypatch.chdir("/")
    source = load_study("smoke", [inner]).source
    assert source is not None
    assert source.data_root == tmp_path / "my #2 set"


@pytest.mark.parametrize("weights", [None, "pretrained", WHEEL])
def test_weights_that_are_no_file_are_no_path(weights: str | None) -> None:
    word = f"identity_encoder.weights={weights or 'null'}"
    assert settled(word) == word
    for words in ([TIMM, word], [TIMM.replace("}", f", weights: {weights or 'null'}}}")]):
        assert load_study("smoke", [settled(each) for each in words]).identity_encoder.weights == weights
    assert load_study("market1501", "data_root=/data").identity_encoder.weights == "imagenet"


def test_paths_in_a_file_count_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a base that lies elsewhere from the base's; whoever reads the profile, and wherever it stands."""
    (tmp_path / "bases").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "bases" / "base.yaml").write_text("dataset: folder\ndata_root: ../data\nmesh_root: meshes\n")
    own = tmp_path / "mine" / "own #1.yaml"
    own.write_text(
        "profile: own\nextends: ../bases/base.yaml\nmesh_root: ~/meshes\n"
        "source: {dataset: folder, data_root: labelled}\nbaseline: {jvtc: {camera_styles: 'styles #2 '}}\n"
        "identity_encoder: {kind: timm, model: resnet18, weights: ../trunk.pth}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    studies = [load_study("mine/own #1.yaml")]
    monkeypatch.chdir("/")
    studies.append(load_study(str(own)))
    for study in studies:
        assert study.source is not None
        assert (study.data_root, study.mesh_root) == (tmp_path / "data", tmp_path / "home" / "meshes")
        assert study.source.data_root == tmp_path / "mine" / "labelled"
        assert study.baseline.jvtc.camera_styles == tmp_path / "mine" / "styles #2 "
        assert study.identity_encoder.weights == str(tmp_path / "trunk.pth")


def test_a_home_folder_that_is_not_known_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where the user has no entry and HOME is not set
    with pytest.raises(ConfigError, match="none is known here; write the path in full"):
        placed("~/data", tmp_path)
    with pytest.raises(ConfigError, match="NUL"):
        placed("a\0b", tmp_path)


@pytest.mark.parametrize(
    "content",
    ["dataset: folder # Jörg\n".encode("latin-1"), "dataset: folder\n".encode("utf-16"), b"\x80\x81", b"a: \xff"],
)
def test_a_profile_that_is_not_utf_8_is_told_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    base = tmp_path / "extending.yaml"
    base.write_text("extends: own.yaml\n")
    for profile in (path, base):
        with pytest.raises(ConfigError, match=r"own\.yaml is not UTF-8 \(byte \d+ is 0x\w\w\); save it") as told:
            load_study(str(profile))
        assert "\n" not in str(told.value)


def test_utf_8_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("seeds: 3 # Jörg\n", encoding="utf-8-sig")
    assert load_study(str(path)).seeds == 3


def test_a_profile_that_may_not_be_read_or_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="is not there"):
        load_study(str(tmp_path / "folder.yaml"))


def test_words_that_cannot_be_split_are_told() -> None:
    with pytest.raises(ConfigError, match="cannot be split into words: No closing quotation"):
        load_study("smoke", "data_root='/a b")


def test_names_of_profiles_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or file of a profile's name in the current folder changes nothing, and no path passes for a name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").mkdir()
    (tmp_path / "other.yaml").write_text("seeds: 2\n")
    assert load_study("smoke").profile == "smoke"
    for name in (
        "other",
        "./smoke",
        str(tmp_path / "other"),
        "cluster/slurm/config",
        "bases/evidence",
        "../configs/mini",
    ):
        with pytest.raises(ConfigError, match="no profile"):
            load_study(name)
    assert load_study("other.yaml").seeds == 2


def test_the_path_of_a_profile_may_hold_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lr=3").mkdir()
    (tmp_path / "lr=3" / "own.yaml").write_text("seeds: 2\n")
    (tmp_path / "joint.epochs=4.yaml").write_text("profile: named\nseeds: 3\n")
    monkeypatch.chdir(tmp_path)
    chosen = argparse.Namespace(seeds=None)
    for word, seeds in (("lr=3/own.yaml", 2), ("joint.epochs=4.yaml", 3)):
        study, profile, overrides = read_study(chosen, [word, "joint.epochs=5"])
        assert (study.seeds, study.joint.epochs, profile) == (seeds, 5, str(tmp_path / word))
        assert overrides == ["joint.epochs=5"]
