"""The article: whole, every number from a table or a setting, and a PDF where a TeX is installed."""

import csv
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.cli import main
from gcl_core.config import load_study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.style import COLUMN, new_figure, save_figure
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.report import article
from gcl_core.report.article import article_text, latex, write_article
from gcl_core.report.facts import findings, not_run_words
from gcl_core.report.typeset import engine
from gcl_core.tables.claim_readings import RULES
from gcl_core.tables.claims import CLAIMS, claims_table
from gcl_core.tables.formats import escape_latex, save_table

COMMITTED = ("evidence", "mini", "evidence_light")


def groups(text: str, start: int) -> tuple[str, str, int]:
    """Return the two braced arguments that begin at `start`, and where they end."""
    found, place = [], start
    for _ in range(2):
        depth, begin = 0, place
        while True:
            depth += {"{": 1, "}": -1}.get(text[place], 0) if text[place - 1] != "\\" else 0
            place += 1
            if depth == 0:
                break
        found.append(text[begin + 1 : place - 1])
    return found[0], found[1], place


def taken_apart(text: str) -> tuple[list[tuple[str, str]], str]:
    """Return every sourced text with its source, and the document without them."""
    pairs, rest, place = [], "", text.index(r"\begin{document}")
    while (at := text.find(r"\from{", place)) >= 0:
        shown, source, end = groups(text, at + len(r"\from"))
        pairs.append((shown, source.replace("\\", "")))
        rest, place = rest + text[place:at], end
    return pairs, rest + text[place:]


def committed(profile: str) -> Layout:
    return Layout(load_study(profile), reference=True)


def cell(figures: Path, source: str) -> float:
    """Look a cell up by FILE:LINE:COLUMN, as a reader would."""
    name, line, column = source.split(":", 2)
    with (figures / name).open(newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    return float(lines[int(line) - 1][lines[0].index(column)])


@pytest.mark.parametrize("profile", COMMITTED)
def test_every_number_is_that_of_its_source(profile: str):
    layout = committed(profile)
    pairs, _ = taken_apart(article_text(layout, read_manifest(layout.figures)))
    kinds = {source.partition(":")[0] for _, source in pairs}
    assert {"claims.csv", "settings"} <= kinds
    runs = (layout.figures / "records" / "runs.csv").read_text(encoding="utf-8")
    for shown, source in pairs:
        if source.startswith("settings:"):
            value = layout.study
            for name in source.removeprefix("settings:").split("."):
                value = value[name] if isinstance(value, dict) else getattr(value, name)
            assert shown == escape_latex(str(value)), source
        elif source == "records/runs.csv":
            words = [word for word in re.findall(r"[^\s,;]+", shown.replace("\\", "")) if re.search(r"\d", word)]
            assert [word for word in words if word not in runs] == []
        else:
            told = shown.strip("$")
            digits = len(told.partition(".")[2])
            assert float(told) == round(cell(layout.figures, source), digits), source


@pytest.mark.parametrize("profile", COMMITTED)
def test_no_number_is_written_in_the_text_itself(profile: str):
    layout = committed(profile)
    entries = read_manifest(layout.figures)
    _, rest = taken_apart(article_text(layout, entries))
    table = pd.read_csv(layout.figures / "claims.csv")
    given = [
        RULES.replace("*", ""),
        *(entry["caption"] for entry in entries.values()),
        *(text for claim in CLAIMS.values() for text in (claim.sentence, claim.where)),
        *(variant.title for variant in layout.study.variants.values()),
        *table["metric"],
        *not_run_words(layout.study, findings(layout.figures, layout.study), []),
        *not_run_words(layout.study, findings(layout.figures, layout.study), ["cpu"]),
    ]
    for text in sorted(map(latex, given), key=len, reverse=True):
        rest = rest.replace(text, "")
    body = re.sub(r"\\begin\{thebibliography\}.*?\\end\{thebibliography\}", "", rest, flags=re.DOTALL)
    body = re.sub(r"\\caption\{What was checked.*?\\end\{longtable\}", "", body, flags=re.DOTALL)  # docs/PARITY.md
    body = re.sub(r"\\(path|input|includegraphics|label|ref)(\[[^]]*\])?\{[^}]*\}", "", body)
    body = re.sub(r"L\{[\d.]+\\linewidth\}|\bC\d\b", "", body)  # widths of columns, names of claims
    assert re.findall(r".*\d.*", body) == []


@pytest.mark.parametrize("profile", COMMITTED)
def test_all_figures_and_tables_of_the_first_seed_are_in_it_once(profile: str):
    layout = committed(profile)
    entries = read_manifest(layout.figures)
    text = article_text(layout, entries)
    shown = re.findall(r"(?:\\input|\\includegraphics(?:\[[^]]*\])?)\{\.\./([^}]+)\}", text)
    wanted = [name for name in entries if name.endswith((".tex", ".pdf")) and not re.search(r"_seed\d+\.", name)]
    assert sorted(shown) == sorted(wanted)


@pytest.fixture
def layout(layout: Layout, write_run: Callable[..., Path]) -> Layout:
    """A study with a table of claims and a figure."""
    queries = pd.DataFrame({"pid": range(8), "ap": 0.5, "rank1": 1, "ap_far": 0.5, "ap_near": 0.5})
    measured = [{"gcl": Measured(queries.assign(ap=0.6 + seed / 50)), "tda": Measured(queries)} for seed in range(3)]
    runs = [write_run(layout, "gcl", 0, [])]
    save_table(claims_table([Evidence(8, each) for each in measured]), layout, "claims", runs=runs, caption="Claims_1")
    figure = new_figure(COLUMN, 1.0)
    figure.subplots().plot([0, 1])
    save_figure(figure, layout, "claims", runs=runs, caption="100 % of it")
    return layout


@pytest.mark.skipif(engine() is None, reason="no TeX here: install tectonic, latexmk or pdflatex")
def test_it_is_typeset(layout: Layout):
    source, pdf = write_article(layout)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in pdf.parent.iterdir()) == [pdf.name, source.name]


@pytest.mark.skipif(engine() is None, reason="no TeX here: install tectonic, latexmk or pdflatex")
def test_where_tex_fails_nothing_is_written_and_what_it_said_is_told(layout: Layout):
    (layout.figures / "claims.tex").write_text(r"\nonsense", encoding="utf-8")
    with pytest.raises(RunError, match="nonsense"):
        write_article(layout)
    assert not (layout.figures / "article").exists()


def test_without_tex_only_the_source_is_written_and_an_old_pdf_goes(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    old = layout.figures / "article" / "article.pdf"
    old.parent.mkdir()
    old.write_bytes(b"of another text")
    monkeypatch.setattr(article, "engine", lambda: None)
    assert write_article(layout) == [old.with_suffix(".tex")]
    assert not old.exists()


def test_a_text_that_somebody_changed_stays(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(article, "engine", lambda: None)
    (source,) = write_article(layout)
    assert write_article(layout) == [source]
    ours = source.read_text(encoding="utf-8").replace(r"\end{document}", "My own words.\n\\end{document}")
    source.write_text(ours, encoding="utf-8")
    with pytest.raises(RunError, match=r"article\.tex was changed since it was written; move or rename it"):
        write_article(layout)
    assert source.read_text(encoding="utf-8") == ours
    source.rename(source.with_name("mine.tex"))
    assert write_article(layout) == [source]


def test_a_study_without_claims_is_refused(layout: Layout, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(layout.figures)
    with pytest.raises(RunError, match=r"run_all\.sh smoke"):
        write_article(replace(layout))
    with pytest.raises(SystemExit) as ended:
        main(["article", "smoke", "profile=never_run"])
    assert ended.value.code == 1
    assert "no table of claims" in capsys.readouterr().err
