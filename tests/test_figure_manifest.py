"""The manifest of figures: where a file comes from, also when two notebooks write at once."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gcl_core.config import load_study
from gcl_core.figure_manifest import record_files
from gcl_core.files import RunError, hash_file, read_json, write_text
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
    entries = read_json(layout.figures / "manifest.json")
    assert set(entries) == {f"{name}_{number}.csv" for name in ("left", "right") for number in range(12)}
    assert list(entries) == sorted(entries)


def test_an_entry_names_runs_commit_and_settings(layout: Layout, write_run: Callable[..., Path]):
    run = write_run(layout, "gcl", 1, [])
    layout.figures.mkdir(parents=True)
    path = layout.figures / "a.csv"
    path.write_text("one")
    record_files(layout, [path], runs=[run], caption="What it is")
    entry = read_json(layout.figures / "manifest.json")["a.csv"]
    assert entry["runs"] == [
        {"folder": "runs/smoke/gcl/seed1", "fingerprint": "gcl-1", "git_revision": "abc", "seed": 1}
    ]
    assert entry["sha256"] == hash_file(path)
    assert entry["caption"] == "What it is"
    assert len(entry["git_revision"]) >= 7


def test_other_settings_have_another_fingerprint_and_a_rewritten_file_a_new_entry(layout: Layout):
    other = Layout(load_study("smoke", "seeds=2 joint.epochs=9"), root=layout.root)
    layout.figures.mkdir(parents=True)
    path = layout.figures / "a.csv"
    path.write_text("one")
    record_files(layout, [path], runs=[], caption="x")
    before = read_json(layout.figures / "manifest.json")["a.csv"]
    path.write_text("two")
    record_files(other, [path], runs=[], caption="x")
    after = read_json(layout.figures / "manifest.json")["a.csv"]
    assert before["settings"] != after["settings"]
    assert before["sha256"] != after["sha256"]


def test_a_file_that_was_not_written_is_not_entered(layout: Layout):
    with pytest.raises(RunError, match=r"absent\.csv"):
        record_files(layout, [layout.figures / "absent.csv"], runs=[], caption="x")
