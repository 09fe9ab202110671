"""The manifest of figures: where a file comes from, also when two notebooks write at once."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcl_core import figure_manifest
from gcl_core.config import load_study
from gcl_core.figure_manifest import enter_page, read_manifest, record_files, renew_hashes, write_manifest
from gcl_core.files import RunError, hash_file, read_json, write_json, write_text
from gcl_core.layout import Layout


def write_files(layout: Layout, name: str) -> None:
    for number in range(12):
        path = layout.figures / f"{name}_{number}.csv"
        write_text(path, name)
        record_files(layout, [path], runs=[], caption=name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork: importing torch twice would take long")
def test_two_processes_lose_no_entry(layout: Layout):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_files, args=(layout, name)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    entries = read_manifest(layout.figures)
    assert set(entries) == {f"{name}_{number}.csv" for name in ("left", "right") for number in range(12)}
    assert list(entries) == sorted(entries)


@pytest.mark.parametrize("how", ["renew", "enter"])
def test_whatever_changes_the_manifest_lets_no_other_writer_in(
    layout: Layout, how: str, monkeypatch: pytest.MonkeyPatch
):
    folder, write = layout.figures, figure_manifest.write_manifest
    for name in ("a.csv", "b.csv", "README.md", "other.csv"):
        write_text(folder / name, name)
    record_files(layout, [folder / "a.csv", folder / "b.csv"], runs=[], caption="x")
    other = threading.Thread(
        target=record_files, args=(layout, [folder / "other.csv"]), kwargs={"runs": [], "caption": "x"}
    )

    def slow(*given: Any) -> None:
        if not other.ident:  # the first to write: it has read what was there before
            other.start()
            other.join(timeout=0.5)
        write(*given)

    monkeypatch.setattr(figure_manifest, "write_manifest", slow)
    {
        "renew": lambda: renew_hashes(folder, [folder / "a.csv"]),
        "enter": lambda: enter_page(folder, "README.md", "All"),
    }[how]()
    other.join(timeout=60)
    left = {"renew": {"a.csv", "b.csv"}, "enter": {"a.csv", "b.csv", "README.md"}}[how]
    assert set(read_manifest(folder)) == left | {"other.csv"}


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_kill_while_the_manifest_is_written_loses_no_run(
    layout: Layout, write_run: Callable[..., Path], writes: int, monkeypatch: pytest.MonkeyPatch
):
    """Killed after that many of its files: the old entries or the new ones, and a rerun gives the new ones."""
    path, run = layout.figures / "a.csv", write_run(layout, "gcl", 0, [])
    write_text(path, "one")
    record_files(layout, [path], runs=[run], caption="x")
    before = read_manifest(layout.figures)
    write_json(run / "manifest.json", {**read_json(run / "manifest.json"), "fingerprint": "again"})
    write, replaced = os.replace, list[object]()

    def killed(*names: Any) -> None:
        if len(replaced) == writes:
            raise KeyboardInterrupt
        replaced.append(names)
        write(*names)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        record_files(layout, [path], runs=[run], caption="y")
    monkeypatch.setattr(os, "replace", write)
    found = read_manifest(layout.figures)
    assert found["a.csv"]["caption"] == ("y" if writes == 2 else "x")
    assert found == before or found["a.csv"]["runs"][0]["fingerprint"] == "again"
    record_files(layout, [path], runs=[run], caption="y")
    assert [each["fingerprint"] for each in read_manifest(layout.figures)["a.csv"]["runs"]] == ["again"]
    assert len((layout.figures / "records" / "runs.csv").read_text().splitlines()) == 2


def test_a_manifest_of_other_runs_than_the_list_of_runs_is_told(layout: Layout, write_run: Callable[..., Path]):
    path, run = layout.figures / "a.csv", write_run(layout, "gcl", 0, [])
    write_text(path, "one")
    record_files(layout, [path], runs=[run], caption="x")
    listed = layout.figures / "records" / "runs.csv"
    listed.write_text(listed.read_text().replace("gcl-0", "other"))
    with pytest.raises(RunError, match=r"manifest\.json .*runs\.csv do not belong together: .*gcl/seed0 gcl-0\."):
        read_manifest(layout.figures)


def test_an_entry_names_runs_commit_and_settings(layout: Layout, write_run: Callable[..., Path]):
    run = write_run(layout, "gcl", 1, [])
    layout.figures.mkdir(parents=True)
    path = layout.figures / "a.csv"
    path.write_text("one")
    record_files(layout, [path], runs=[run], caption="What it is")
    entry = read_manifest(layout.figures)["a.csv"]
    known = {"folder": "runs/smoke/gcl/seed1", "fingerprint": "gcl-1", "git_revision": "abc", "seed": 1}
    assert [{key: run[key] for key in known} for run in entry["runs"]] == [known]
    assert entry["runs"][0]["device"] is None
    assert entry["sha256"] == hash_file(path)
    assert entry["caption"] == "What it is"
    assert len(entry["git_revision"]) >= 7


def test_other_settings_have_another_fingerprint_and_a_rewritten_file_a_new_entry(layout: Layout):
    other = Layout(load_study("smoke", "seeds=2 joint.epochs=9"), root=layout.root)
    layout.figures.mkdir(parents=True)
    path = layout.figures / "a.csv"
    path.write_text("one")
    record_files(layout, [path], runs=[], caption="x")
    before = read_manifest(layout.figures)["a.csv"]
    path.write_text("two")
    record_files(other, [path], runs=[], caption="x")
    after = read_manifest(layout.figures)["a.csv"]
    assert before["settings"] != after["settings"]
    assert before["sha256"] != after["sha256"]


def test_a_file_that_was_not_written_is_not_entered(layout: Layout):
    with pytest.raises(RunError, match=r"absent\.csv"):
        record_files(layout, [layout.figures / "absent.csv"], runs=[], caption="x")


def test_what_is_written_is_read_and_files_of_one_origin_share_a_line(layout: Layout, write_run: Callable[..., Path]):
    runs = [write_run(layout, stage, seed, []) for stage in ("gcl", "tda") for seed in (0, 1)]
    more = {"device": "cpu (x86_64)", "python": "3.11.7", "packages": {"torch": "2.9.1", "numpy": "2.4.0"}}
    more |= {"processor": "A Chip", "kernels": "torch AVX2, MKL 1"}
    write_json(runs[0] / "manifest.json", {**read_json(runs[0] / "manifest.json"), **more, "kept_epoch": 3})
    other = layout.root / "runs" / "market1501" / "gcl" / "seed0"
    write_json(other / "manifest.json", {"fingerprint": "elsewhere", "seed": 0})
    for name in ("a.csv", "a.md", "records/b.csv"):
        write_text(layout.figures / name, name)
    record_files(layout, [layout.figures / name for name in ("a.csv", "a.md")], runs=runs, caption="one")
    record_files(layout, [layout.figures / "records/b.csv"], runs=[runs[0], other], caption="two")
    entries = read_manifest(layout.figures)
    assert list(entries) == ["a.csv", "a.md", "records/b.csv"]
    first, elsewhere = entries["records/b.csv"]["runs"]
    assert (first["packages"], first["kept_epoch"], first["finished"]) == ("torch 2.9.1, numpy 2.4.0", 3, "now")
    assert (first["processor"], first["kernels"]) == ("A Chip", "torch AVX2, MKL 1")
    assert elsewhere["folder"] == "runs/market1501/gcl/seed0"
    before = {path: path.read_bytes() for path in layout.figures.rglob("*") if path.is_file()}
    write_manifest(layout.figures, "smoke", entries)
    assert {path: path.read_bytes() for path in before} == before
    assert len((layout.figures / "manifest.json").read_text().splitlines()) == 2 + 2
