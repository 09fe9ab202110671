"""The descriptions of a profile's figures: valid, and of exactly the files that the manifest has."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gcl_core.figure_manifest import read_manifest
from gcl_core.files import RunError, hash_file, read_json
from gcl_core.layout import Layout
from gcl_core.report.research_object import CODECHECK, CRATE, write_descriptions
from gcl_core.tables.formats import save_table

rocrate = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed: see requirements.txt")


@pytest.fixture
def figures(layout: Layout, write_run: Callable[..., Path]) -> Path:
    """Figures of a study with two tables, described."""
    for name in ("claims", "dose"):
        save_table(
            pd.DataFrame({"a": [1]}), layout, name, runs=[write_run(layout, name, 0, [])], caption=f"{name}: 5 %"
        )
    write_descriptions(layout)
    return layout.figures


def test_codecheck_lists_the_files_of_the_manifest_with_their_checksums(figures: Path):
    text = (figures / CODECHECK).read_text(encoding="utf-8")
    assert re.search("^---$", text, re.MULTILINE)
    page, entries = yaml.safe_load(text), read_manifest(figures)
    assert page["version"] == "https://codecheck.org.uk/spec/config/2.0/"
    assert [(each["file"], each["comment"]) for each in page["manifest"]] == [
        (name, entry["caption"]) for name, entry in entries.items()
    ]
    assert page["gcl_study"]["sha256"] == {name: hash_file(figures / name) for name in entries}
    assert page["paper"]["title"]
    assert page["paper"]["reference"]
    assert all(each["name"] for each in page["paper"]["authors"])
    assert not re.search("FIXME|TODO|XXXX", text)
    assert not {"codechecker", "report", "summary", "certificate"} & set(page)  # whoever checks it writes these


def test_the_crate_is_read_back_with_the_files_of_the_manifest_and_their_checksums(figures: Path):
    crate, entries = rocrate.ROCrate(figures), read_manifest(figures)
    files = {each.id: each for each in crate.get_entities() if each.type == "File"}
    assert set(files) == set(entries)
    for name, each in files.items():
        assert each["sha256"] == hash_file(figures / name)
        assert int(each["contentSize"]) == (figures / name).stat().st_size
        assert each["description"] == entries[name]["caption"]
        assert "/" in each["encodingFormat"]
    root = crate.root_dataset  # what the specification requires of it
    for name in ("name", "description", "datePublished", "license"):
        assert root[name], name
    assert {part.id for part in root["hasPart"]} == set(entries)
    made = [result.id for each in crate.get_entities() if each.type == "CreateAction" for result in each["result"]]
    assert sorted(made) == sorted(entries)


def test_every_reference_in_the_crate_leads_to_an_entity(figures: Path):
    graph = read_json(figures / CRATE)["@graph"]
    known = {each["@id"] for each in graph}
    assert len(known) == len(graph)
    named = [
        value["@id"]
        for each in graph
        for values in each.values()
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, dict)
    ]
    outside = {name for name in named if name not in known}
    assert all(name.startswith("https://w3id.org/ro/crate/") for name in outside)


def test_a_changed_file_is_refused_and_nothing_is_written(layout: Layout, figures: Path):
    before = [(figures / name).read_bytes() for name in (CODECHECK, CRATE)]
    (figures / "dose.csv").write_text("a\n2\n")
    with pytest.raises(RunError, match=r"dose\.csv is gone or differs"):
        write_descriptions(layout)
    assert [(figures / name).read_bytes() for name in (CODECHECK, CRATE)] == before


def test_a_study_without_figures_is_refused(layout: Layout):
    with pytest.raises(RunError, match=r"run_all\.sh smoke"):
        write_descriptions(layout)
