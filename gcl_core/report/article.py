"""The study as an article: a LaTeX text in the form of a reproduction report, filled from a profile's tables."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import yaml

from gcl_core.config import REPOSITORY, Study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.style import is_narrow
from gcl_core.files import RunError, atomic, write_text
from gcl_core.layout import Layout
from gcl_core.measure.recorded import as_run
from gcl_core.outputs import OUTPUTS
from gcl_core.report.citation import CITATION_FILE, short
from gcl_core.report.facts import VERDICTS, devices_of, differing, findings, not_run_words, runs_of, versions_of
from gcl_core.report.items import MAIN
from gcl_core.report.sourced import Row, effect, number, rows, sourced
from gcl_core.report.typeset import engine, typeset
from gcl_core.tables.claim_readings import PLANNED, POOL, RULES, caveat
from gcl_core.tables.claims import CLAIMS, OURS, decides
from gcl_core.tables.formats import escape_latex
from gcl_core.tables.pooled import POOLED_PROFILES

FOLDER, NAME = "article", "article"
TEMPLATE = Path(__file__).with_name("article.tex.j2")
SIGNED = "\n% `python -m gcl_core article` writes this file anew while nobody changed it, which it knows by its hash: "
PARITY = REPOSITORY / "docs" / "PARITY.md"
ELSEWHERE = ("dataset",)  # tables that the text has already shown


def write_article(layout: Layout) -> list[Path]:
    """Write article/article.tex beside the study's figures, and its PDF where a TeX is installed; return the files.

    The text includes the figures and LaTeX tables of that folder. Both files appear together or not at all; a PDF of
    an earlier text is removed where no TeX can make a new one. Raises RunError for a study without figures or claims,
    where TeX fails, and when somebody changed the earlier text.
    """
    entries = read_manifest(layout.figures)
    if "claims.csv" not in entries:
        raise RunError(
            f"{layout.figures} has no table of claims with a manifest.json: nothing to write about. "
            f"Make it by ./run_all.sh {layout.study.profile}"
            + (", and leave --reference out" if layout.reference else ", or take the committed figures by --reference")
        )
    folder, chosen = layout.figures / FOLDER, engine()
    source, pdf = folder / f"{NAME}.tex", folder / f"{NAME}.pdf"
    if source.is_file() and not _is_as_written(source):
        raise RunError(f"{source} was changed since it was written; move or rename it, and a new one is written")
    text = _signed(article_text(layout, entries))
    if chosen is None:
        write_text(source, text)
        pdf.unlink(missing_ok=True)
        return [source]
    with tempfile.TemporaryDirectory(prefix="article-") as scratch:
        for name in entries:
            if "/" not in name and name.endswith((".pdf", ".tex")):
                shutil.copy(layout.figures / name, scratch)
        write_text(Path(scratch) / FOLDER / source.name, text)
        made = typeset(Path(scratch) / FOLDER / source.name, chosen)
        with atomic(pdf) as temporary:
            shutil.copy(made, temporary)
            write_text(source, text)
    return [source, pdf]


def _signed(text: str) -> str:
    """Return a text that ends in its own hash, by which it is known whether somebody changed it."""
    return f"{text}{SIGNED}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _is_as_written(source: Path) -> bool:
    found = source.read_bytes().decode("utf-8", errors="replace")
    return found == _signed(found.rpartition(SIGNED)[0])


def article_text(layout: Layout, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the LaTeX text of a profile's article, every number with its source; `entries` are of its manifest."""
    study, figures = as_run(layout.study, layout.figures), layout.figures
    environment = jinja2.Environment(
        **{"block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<"},
        **{"variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>"},
        **{"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True, "autoescape": False},
    )
    environment.filters["tex"] = latex
    found = findings(figures, study)
    made_by = runs_of(layout, entries, layout.runs)
    claims = rows(figures, "claims")
    shown = [(each.kind, each.name) for each in OUTPUTS if f"{each.name}{_ending(each.kind)}" in entries]
    splits = {each: rows(figures, "dataset", split=each) for each in ("train", "query", "gallery")}
    cited = yaml.safe_load(CITATION_FILE.read_text(encoding="utf-8"))
    paper = cited["references"][0]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        study=study,
        synthetic=study.dataset == "synthetic",
        paper=paper,
        authors=[each["name"] for each in cited["authors"]],
        paper_authors=f"{escape_latex(paper['authors'][0]['family-names'])} and others",
        reference=_reference(paper),
        picture=_picture(study),
        findings=found,
        verdicts=[
            (verdict, keys)
            for verdict in VERDICTS
            if (keys := [each.claim.key for each in found if each.verdict == verdict])
        ],
        rules=escape_latex(RULES.replace("*", "")),
        caveat=caveat(study),
        planned=PLANNED.get(study.profile, "Verdicts follow the rules of this project's protocol"),
        answer=_answer(study, figures),
        decisive={key: [row for row in claims if row.cells["claim"] == key and decides(row.cells)] for key in CLAIMS},
        own=[row for row in claims if row.cells["claim"] == OURS],
        pooled=_pooled(study, figures),
        compared=partial(compared_words, study),
        effect=effect,
        data={split: _counts(found) for split, found in splits.items()},
        seeds="Every seed has people of its own." if study.people.each_seed else "All seeds share the data.",
        checks=_checks(),
        devices=devices_of(made_by),
        versions=versions_of(made_by),
        commits=sorted({short(entry["git_revision"]) for entry in entries.values()}),
        not_run=not_run_words(study, found, devices_of(made_by)),
        settings=[each for each in differing(study) if not each[0].startswith("variants.")],
        setting=lambda name, value: sourced(escape_latex(value), f"settings:{name}"),
        main=[each for each in MAIN if each in shown],
        others=[each for each in shown if each not in MAIN and each[1] not in ELSEWHERE],
        shown=partial(_shown, figures, entries),
        ref=lambda kind, name: rf"{kind.capitalize()}~\ref{{{kind[:3]}:{name}}}",
    )


def compared_words(study: Study, row: Row) -> str:
    """Return what a row compares with the variants' titles for their names, as LaTeX."""
    sides = str(row.cells["compared"]).split(" - ")
    titles = [
        re.sub(r"^\w+", lambda found: variant.title if (variant := study.variants.get(found[0])) else found[0], side)
        for side in sides
    ]
    return latex(" \N{MINUS SIGN} ".join(titles))


def latex(text: str) -> str:
    """Return text as LaTeX, the names of the view-invariant losses as mathematics."""
    return re.sub(r"L('*)\\_vi\b", r"$\\mathcal L\1_\\mathrm{vi}$", escape_latex(text))


def _ending(kind: str) -> str:
    return {"figure": ".pdf", "table": ".tex"}.get(kind, ".none")


def _shown(figures: Path, entries: Mapping[str, Mapping[str, Any]], kind: str, name: str) -> str:
    """Return the LaTeX that shows a figure or table at the size that it was made for; nothing where it is not there."""
    if f"{name}{_ending(kind)}" not in entries:
        return ""
    if kind == "table":
        return rf"\input{{../{name}.tex}}"
    size = "" if is_narrow(figures / f"{name}.png") else r"[width=\linewidth,height=0.8\textheight,keepaspectratio]"
    caption = latex(entries[f"{name}.pdf"]["caption"])
    lines = [r"\begin{figure}[htbp]\centering", rf"\includegraphics{size}{{../{name}.pdf}}"]
    return "\n".join([*lines, rf"\caption{{{caption}}}\label{{fig:{name}}}", r"\end{figure}"])


def _picture(study: Study) -> str:
    height, width = ("picture.height", study.picture.height), ("picture.width", study.picture.width)
    return r" $\times$ ".join(sourced(str(value), f"settings:{name}") for name, value in (height, width))


def _counts(found: Sequence[Row]) -> dict[str, str]:
    return {column: number(found[0], column) for column in ("pictures", "people")} if found else {}


def _answer(study: Study, figures: Path) -> str:
    """Return the answer to the study's question: the effect of drawn views on mAP, of all seeds together if known."""
    wanted = {"claim": "C2", "compared": "gcl - tda", "metric": "mAP"}
    table = f"../{POOL}/claims" if study.profile in POOLED_PROFILES else "claims"
    found = rows(figures, table, **wanted) or rows(figures, "claims", **wanted)
    if not found:
        return "The comparison of GCL with TDA was not run."
    row = found[0]
    told = f"GCL changes mAP by {effect(row)} points against TDA (number of seeds: {number(row, 'seeds')})"
    if caveat(study):
        return f"{told}. {escape_latex(caveat(study))}"
    return f"{told}; the verdict on the claim that drawn views are the better contrast is: {row.cells['verdict']}."


def _pooled(study: Study, figures: Path) -> list[Row]:
    return rows(figures, f"../{POOL}/claims") if study.profile in POOLED_PROFILES else []


def _checks() -> list[list[str]]:
    """Return the lines of the first table of docs/PARITY.md without its column of tests, as LaTeX."""
    lines = PARITY.read_text(encoding="utf-8").splitlines() if PARITY.is_file() else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [[_inline(cell.replace(" (see below)", "")) for cell in row[:3]] for row in cells[1:]]


def _inline(text: str) -> str:
    parts = text.split("`")
    return "".join(rf"\path{{{part}}}" if place % 2 else escape_latex(part) for place, part in enumerate(parts))


def _reference(paper: Mapping[str, Any]) -> str:
    names = ", ".join(f"{each['given-names']} {each['family-names']}" for each in paper["authors"])
    where = f"{paper['collection-title']}, {paper['year']}, {paper['identifiers'][0]['value']}"
    return f"{escape_latex(names)}. {escape_latex(paper['title'])}. {escape_latex(where)}."
