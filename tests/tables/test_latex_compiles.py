"""Every table can be put into a two-column paper as it is: pdflatex takes it, and it stays within the page."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.figure_manifest import read_manifest
from gcl_core.layout import Layout
from gcl_core.tables.formats import LATEX, latex_table, read_table, save_table, write_table

pytestmark = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex here: install texlive to try the LaTeX tables"
)
COMMITTED = ("mini", "evidence")
HEAD = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,textcomp,graphicx}
\setlength{\textwidth}{6.875in}\setlength{\columnsep}{0.375in}\setlength{\oddsidemargin}{-0.1875in}
\setlength{\textheight}{9in}\setlength{\topmargin}{-0.5in}
\begin{document}
"""


def compiled(folder: Path, tables: Iterable[str]) -> str:
    """Set tables in one document and return its log, one message a line."""
    body = "\n\\clearpage\n".join(tables)
    (folder / "paper.tex").write_text(f"{HEAD}{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert answer.returncode == 0, answer.stdout[-2000:]
    return (folder / "paper.log").read_text(encoding="utf-8", errors="replace")


def faults(log: str) -> list[str]:
    return re.findall(r"^(?:Overfull \\hbox|LaTeX Warning: Float too large).*$", log, re.MULTILINE)


def remade(repository: Path, profile: str, out: Path) -> list[str]:
    """Return the tables of a profile as they would be written now."""
    folder = repository / "figures" / "reference" / profile
    manifest = read_manifest(folder)
    for path in sorted(folder.glob("*.tex")):
        write_table(read_table(path.with_suffix(".csv")), out, path.stem, caption=manifest[path.name]["caption"])
    return [path.read_text(encoding="utf-8") for path in sorted(out.glob("*.tex"))]


@pytest.fixture
def nasty() -> pd.DataFrame:
    """Cells of every character that means something to LaTeX, also where it means something only there."""
    special = " ".join(LATEX)
    cells = ["[0.5]", "*", "%", "&", "", "\\", "``--''", special, f"$x^2_1$ {special}", "é ß µ …"]
    return pd.DataFrame({"# {name} & ^": cells, "±": [float("nan"), *range(9)], "L''_vi": "not run"})


@pytest.mark.parametrize("profile", COMMITTED)
def test_committed_tables_compile(profile: str, repository: Path, tmp_path: Path):
    tables = [
        path.read_text(encoding="utf-8")
        for path in sorted((repository / "figures" / "reference" / profile).glob("*.tex"))
    ]
    assert len(tables) > 10
    compiled(tmp_path, tables)


@pytest.mark.parametrize("profile", COMMITTED)
def test_no_table_of_a_study_runs_over_the_page(profile: str, repository: Path, tmp_path: Path):
    assert faults(compiled(tmp_path, remade(repository, profile, tmp_path / "tables"))) == []


def test_nasty_cells_compile_and_are_printed(layout: Layout, nasty: pd.DataFrame, tmp_path: Path):
    save_table(nasty, layout, "nasty", runs=[], caption="x")
    log = compiled(tmp_path, [(layout.figures / "nasty.tex").read_text(encoding="utf-8")])
    assert faults(log) == []
    if shutil.which("pdftotext"):
        words = ["pdftotext", "-layout", str(tmp_path / "paper.pdf"), "-"]
        printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in printed.splitlines()]
        for place, cell in ((1, "*"), (2, "%"), (3, "&"), (5, "\\")):
            assert [cell, f"{place - 1}.00"] in [line[:2] for line in lines]
        assert "[0.5]" in printed


@pytest.mark.parametrize(("columns", "words"), [(2, {r"\begin{table}"}), (8, {r"\begin{table*}"})])
def test_a_table_stands_in_one_column_or_across_both(columns: int, words: set[str], tmp_path: Path):
    frame = pd.DataFrame({f"column {number}": ["text"] for number in range(columns)})
    text = latex_table(frame, caption="c", label="tab:a")
    assert {line for line in text.splitlines() if line.startswith(r"\begin{table")} == words
    assert faults(compiled(tmp_path, [text])) == []


@pytest.mark.parametrize(
    ("heading", "columns", "means"),
    [
        ("a column with a long name", 12, {r"\shortstack"}),
        ("a measurement", 9, {r"\shortstack", r"\tabcolsep"}),
        ("immeasurability", 12, {r"\tabcolsep", r"\resizebox"}),
    ],
)
def test_headings_are_wrapped_then_columns_moved_then_a_table_is_made_smaller(
    heading: str, columns: int, means: set[str], tmp_path: Path
):
    frame = pd.DataFrame({f"{heading} {number}": [1.5] for number in range(columns)})
    text = latex_table(frame, caption="c", label="tab:a")
    assert {each for each in (r"\shortstack", r"\tabcolsep", r"\resizebox") if each in text} >= means
    assert (r"\resizebox" in text) == (r"\resizebox" in means)
    assert faults(compiled(tmp_path, [text])) == []
