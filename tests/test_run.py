"""A run folder belongs to one run at a time, and records never mix runs."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gcl_core.config import ConfigError, load_study
from gcl_core.device import resolve_device
from gcl_core.files import RunError, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.provenance import provenance
from gcl_core.run_folder import RunFolder, kept_line, read_metrics, set_aside

CPU = torch.device("cpu")
HOLDER = """
import sys, time, torch
from pathlib import Path
from gcl_core.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]), settings={}, inputs={}, code={"c": "1"}, seed=0, device=torch.device("cpu"))
with folder:
    print("held", flush=True)
    time.sleep(120)
"""


def run_folder(path: Path, **changes: Any) -> RunFolder:
    facts: dict[str, Any] = {"settings": {}, "inputs": {}, "code": {"c": "1"}, "seed": 0, "device": CPU}
    return RunFolder(path, **{**facts, **changes})


def test_layout_keeps_profiles_seeds_and_stages_apart(tmp_path: Path) -> None:
    one, other = (Layout(load_study("smoke", f"profile={name}"), root=tmp_path) for name in ("one", "other"))
    folders = [
        layout.stage(stage, seed)
        for layout in (one, other)
        for stage in ("baseline", "warm_up", "gcl")
        for seed in (0, 1)
    ]
    assert len({*folders, one.figures, other.figures, one.store, other.store}) == 16
    assert all(folder.is_relative_to(tmp_path / "runs") for folder in folders)
    assert one.figures == tmp_path / "figures" / "one"
    committed = replace(one, reference=True)
    assert committed.figures == committed.of_seed(1).figures == tmp_path / "figures" / "reference" / "one"
    with pytest.raises(ConfigError, match="profile=reference is no name"):
        Layout(load_study("smoke", "profile=reference"), root=tmp_path)


def test_layout_takes_the_users_folders() -> None:
    layout = Layout(load_study("smoke", ["data_root=/elsewhere/people"]))
    assert layout.data_root == Path("/elsewhere/people")
    assert layout.mesh_root == Path("/elsewhere/people/meshes")
    layout = Layout(load_study("smoke", ["data_root=/elsewhere/people", "mesh_root=/meshes"]))
    assert layout.mesh_root == Path("/meshes")


def test_manifest_tells_what_a_run_was(tmp_path: Path) -> None:
    with run_folder(tmp_path / "seed3", settings={"lr": 0.1}, inputs={"data": "d"}, seed=3) as run:
        manifest = read_json(run.path / "manifest.json")
        assert not run.finished
        for name in ("encoder", "checkpoint", "checkpoint.previous"):
            (run.path / f"{name}.safetensors").touch()
        run.finish(note="fine")
        assert run.finished
    assert (manifest["seed"], manifest["settings"], manifest["inputs"]) == (3, {"lr": 0.1}, {"data": "d"})
    assert manifest["packages"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["device"].startswith("cpu")
    assert set(provenance(CPU)) < set(manifest)
    finished = read_json(run.path / "manifest.json")
    assert finished == {
        **manifest,
        "finished": finished["finished"],
        "note": "fine",
        "networks": ["encoder.safetensors"],
    }
    (run.path / "encoder.safetensors").unlink()
    assert not run.finished  # what it was to leave is gone


def test_same_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "seed0"
    with run_folder(path) as run:
        run.record({"epoch": 1, "loss": 2.0})
        (path / "checkpoint.pt").write_text("c")
    with run_folder(path) as run:
        assert read_metrics(path) == [{"epoch": 1, "loss": 2.0}]
        assert (path / "checkpoint.pt").exists()
    assert [each.name for each in tmp_path.iterdir() if each.is_dir()] == ["seed0"]


@pytest.mark.parametrize("content", [b'{"epoch": 1}\n{"epoch"', b"\xff\xfe", b"\n"])
def test_broken_records_are_named(content: bytes, tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=r"cannot read .*metrics\.jsonl: .*; copy it again"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '{"epoch": "1"}', '{"epoch": 1}\n{"map": 0.5}'])
def test_lines_that_are_no_epochs_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged: line \d is no epoch; copy it again"):
        read_metrics(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("map", '"a"'), ("clusters", "[3]"), ("rank1", "{}")])
def test_a_value_that_is_no_number_is_named_with_its_line(name: str, value: str, tmp_path: Path) -> None:
    first = '{"epoch": 0, "map": null, "rank1": 0.5, "note": "random start"}'
    (tmp_path / "metrics.jsonl").write_text(f'{first}\n{{"epoch": 1, "{name}": {value}}}\n')
    with pytest.raises(RunError, match=rf"metrics\.jsonl is damaged: '{name}' in line 2 is no number; copy it again"):
        read_metrics(tmp_path)


def test_a_run_without_a_line_keeps_none(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {})
    with pytest.raises(RunError, match=r"metrics\.jsonl has no epoch"):
        kept_line(tmp_path, [])


@pytest.mark.parametrize(
    "change", [{"settings": {"lr": 1}}, {"inputs": {"data": "d"}}, {"code": {"c": "2"}}, {"seed": 1}]
)
def test_other_run_sets_the_folder_aside(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "seed0"
    with run_folder(path):
        first = read_json(path / "manifest.json")["fingerprint"]
        (path / "checkpoint.pt").write_text("first")
    with run_folder(path, **change):
        second = read_json(path / "manifest.json")["fingerprint"]
        assert not (path / "checkpoint.pt").exists()
        (path / "checkpoint.pt").write_text("second")
    assert (tmp_path / f"seed0.superseded-{first}" / "checkpoint.pt").read_text() == "first"
    assert "set aside" in capsys.readouterr().out
    with run_folder(path):  # asked for again, the first one comes back
        assert (path / "checkpoint.pt").read_text() == "first"
    assert (tmp_path / f"seed0.superseded-{second}" / "checkpoint.pt").read_text() == "second"
    assert "it is back" in capsys.readouterr().out


def test_nothing_that_was_set_aside_is_ever_replaced(tmp_path: Path) -> None:
    path = tmp_path / "seed0"
    for text in ("one", "two", "three"):
        path.mkdir()
        (path / "checkpoint.pt").write_text(text)  # no manifest: nobody knows whose it is
        set_aside(path, None)
    kept = {folder.name: (folder / "checkpoint.pt").read_text() for folder in tmp_path.iterdir()}
    assert kept == {
        f"seed0.superseded-unknown{end}": text
        for end, text in zip(("", "-1", "-2"), ("one", "two", "three"), strict=True)
    }


def test_folder_without_its_manifest_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "seed0"
    path.mkdir()
    (path / "checkpoint.pt").write_text("whose?")
    with run_folder(path):
        assert not (path / "checkpoint.pt").exists()
    assert (tmp_path / "seed0.superseded-unknown" / "checkpoint.pt").exists()


@pytest.mark.parametrize("scraps", [[], [".manifest.json.{dead}.tmp"]])
def test_a_folder_that_a_kill_left_empty_is_none(
    scraps: list[str], tmp_path: Path, dead: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "seed0"
    with run_folder(path):
        (path / "checkpoint.pt").write_text("first")
    with run_folder(path, seed=1):
        pass
    shutil.rmtree(path)
    capsys.readouterr()
    for change, kept in (({"seed": 2}, ["manifest.json"]), ({}, ["checkpoint.pt", "manifest.json"])):
        path.mkdir(exist_ok=True)
        for name in scraps:
            (path / name.format(dead=dead)).write_text("{")
        with run_folder(path, **change):
            assert sorted(each.name for each in path.iterdir()) == kept
        assert "made with other settings" not in capsys.readouterr().out
        if change:
            shutil.rmtree(path)
    assert not list(tmp_path.glob("*unknown*"))


@pytest.fixture
def dead() -> int:
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_a_kill_left_half_written_is_removed_when_the_run_goes_on(tmp_path: Path, dead: int) -> None:
    path, alive = tmp_path / "seed0", os.getppid()
    with run_folder(path):
        (path / "labels").mkdir()
    for number in (dead, os.getpid(), alive):
        (path / f".checkpoint.safetensors.{number}.tmp").write_text("half")
    (path / "labels" / f".epoch_001.npy.{dead}.tmp").write_text("half")
    kept = ["checkpoint.safetensors", ".note.tmp", f"seen.{dead}.tmp", f".checkpoint.safetensors.{alive}.tmp"]
    for name in kept:
        (path / name).write_text("whole")
    with run_folder(path):
        files = {each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file()}
    assert files == {"manifest.json", *kept}


def test_no_scrap_comes_back_with_a_run_that_was_set_aside(tmp_path: Path, dead: int) -> None:
    path = tmp_path / "seed0"
    for change in ({}, {"seed": 1}):
        with run_folder(path, **change):
            pass
    (aside,) = tmp_path.glob("seed0.superseded-*")
    (aside / f".checkpoint.safetensors.{dead}.tmp").write_text("half")
    with run_folder(path):
        assert [each.name for each in path.iterdir()] == ["manifest.json"]


def test_second_process_is_refused_until_the_first_is_gone(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "seed0"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=repository, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(RunError, match=r"another run is at work in .*seed0"), run_folder(path):
            pass
    finally:
        holder.kill()  # SIGKILL: a crashed run must leave no lock behind
        holder.communicate()
    with run_folder(path) as run:
        assert not run.finished


def test_record_replaces_the_same_and_later_epochs(tmp_path: Path) -> None:
    with run_folder(tmp_path / "seed0") as run:
        for epoch in (0, 1, 2, 3):
            run.record({"epoch": epoch, "loss": epoch / 10})
        run.record({"epoch": 2, "loss": 7.0})
        assert [(line["epoch"], line["loss"]) for line in read_metrics(run.path)] == [(0, 0.0), (1, 0.1), (2, 7.0)]
        with pytest.raises(ValueError, match="JSON"):
            run.record({"epoch": 3, "loss": float("inf")})
        assert len(read_metrics(run.path)) == 3
    times = [json.loads(line) for line in (run.path / "times.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in times] == [0, 1, 2, 3, 2]


def test_metrics_of_equal_runs_are_equal_bytes(tmp_path: Path) -> None:
    """No clock time may get in, and going on from a checkpoint must leave no trace."""
    for name, epochs in (("through", (0, 1, 2)), ("resumed", (0, 1, 2, 1, 2))):
        with run_folder(tmp_path / name) as run:
            for epoch in epochs:
                run.record({"epoch": epoch, "loss": 1 / 3})
    assert (tmp_path / "through/metrics.jsonl").read_bytes() == (tmp_path / "resumed/metrics.jsonl").read_bytes()


def test_no_metrics_before_the_first_epoch(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="device=cpu"):
            resolve_device("cuda")


def test_a_seed_has_people_of_its_own_only_where_the_study_says_so(tmp_path: Path):
    shared = Layout(load_study("smoke", "people.seed=100"), tmp_path)
    assert shared.of_seed(3) is shared
    each = Layout(load_study("smoke", "people.seed=100 people.each_seed=true"), tmp_path)
    first, third = each.of_seed(), each.of_seed(2)
    assert [layout.study.people.seed for layout in (first, third)] == [100, 102]
    assert [layout.store for layout in (first, third)] == [each.runs / "data" / "seed0", each.runs / "data" / "seed2"]
    assert third.data_root == each.runs / "people" / "seed2"
    assert third.stage("gcl", 2) == each.stage("gcl", 2)
    assert third.of_seed(2) is third
    assert third.of_seed(1).study == each.of_seed(1).study  # from one seed's to another's
    for wrong in (-1, "0", 1.0):
        with pytest.raises(ConfigError, match=rf"seed is {wrong!r}: expected a whole number from 0"):
            each.of_seed(wrong)  # pyright: ignore[reportArgumentType]
