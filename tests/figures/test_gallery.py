"""The gallery: every figure and table that lies there once, with its caption, on a page that renders as it is."""

import re
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.gallery import write_gallery
from gcl_core.figures.style import COLUMN, PAGE, is_narrow, new_figure, save_figure
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout
from gcl_core.report.items import report_sections
from gcl_core.tables.formats import save_table


@pytest.fixture
def layout(layout: Layout) -> Layout:
    """A study with two tables and two figures, one of them of a second seed."""
    for name in ("claims", "view_quality_seed1"):
        save_table(pd.DataFrame({"mAP": [1.5]}), layout, name, runs=[], caption=f"Table of {name}.")
    for name, width in (("claims", PAGE), ("ablations", COLUMN)):
        figure = new_figure(width, 1.0)
        figure.subplots()
        save_figure(figure, layout, name, runs=[], caption=f'50 % of "{name}" & <more>')
    return layout


def test_every_file_is_linked_once_and_is_there(layout: Layout):
    page = write_gallery(layout.study, layout.figures)
    text = page.read_text(encoding="utf-8")
    links = [name for name in re.findall(r"\]\(([^)]+)\)", text) if "/" not in name]
    assert sorted(links) == sorted(set(read_manifest(layout.figures)) - {"README.md"})
    assert re.findall(r'<img src="([^"]+)"', text) == ["ablations.png", "claims.png"]
    assert "&quot;claims&quot; &amp; &lt;more&gt;" in text
    assert re.search(r"\[docs/READING\.md\]\(\.\./\.\./docs/READING\.md\)", text)


def test_each_figure_has_a_snippet_of_its_width_with_an_escaped_caption(layout: Layout):
    text = write_gallery(layout.study, layout.figures).read_text(encoding="utf-8")
    snippets = re.findall(r"```latex\n(.*?)```", text, re.DOTALL)
    assert [snippet.splitlines()[0] for snippet in snippets] == [r"\begin{figure}", r"\begin{figure*}"]
    assert all(r"50 \% of" in snippet and r"\&" in snippet for snippet in snippets)
    assert r"\includegraphics[width=\columnwidth]{ablations.pdf}" in snippets[0]
    assert r"\includegraphics[width=\textwidth,height=0.8\textheight,keepaspectratio]{claims.pdf}" in snippets[1]
    assert text.count("<details>") == text.count("</details>") == 2


def test_it_stands_in_the_manifest_and_not_in_the_report_and_is_the_same_when_written_again(layout: Layout):
    page = write_gallery(layout.study, layout.figures)
    before, entries = page.read_bytes(), read_manifest(layout.figures)
    assert entries["README.md"]["sha256"] == hash_file(page)
    assert write_gallery(layout.study, layout.figures).read_bytes() == before
    assert read_manifest(layout.figures) == entries
    names = [name for section in report_sections(layout, entries) for item in section.items for name in item.files]
    assert "README.md" not in names


def test_what_is_gone_or_changed_is_not_shown_and_a_folder_without_figures_is_named(layout: Layout, tmp_path: Path):
    (layout.figures / "claims.png").unlink()
    (layout.figures / "ablations.png").write_bytes(b"")
    text = write_gallery(layout.study, layout.figures).read_text(encoding="utf-8")
    assert "claims.png" not in text
    assert "ablations.png" not in text
    with pytest.raises(RunError, match=r"cannot read the figure .*ablations\.png: .*; run the notebook"):
        is_narrow(layout.figures / "ablations.png")
    with pytest.raises(RunError, match="holds no figures"):
        write_gallery(load_study("smoke"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
