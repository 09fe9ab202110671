"""The report: one page with the verdict, every figure and table and their provenance, and how to cite them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import jinja2

from gcl_core.figure_manifest import read_manifest
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.report.citation import citation_page, short
from gcl_core.report.facts import (
    answer,
    devices_of,
    differing,
    findings,
    fingerprints,
    not_run_words,
    runs_of,
    step_times,
    verdict_words,
    versions_of,
)
from gcl_core.report.items import MAIN, report_sections
from gcl_core.tables.claim_readings import RULES, caveat
from gcl_core.tables.dose import dose_reading
from gcl_core.tables.formats import read_table

REPORT, CITATION = "report.html", "how-to-cite.md"
STEP = "report"  # its own mark among the steps is not told of: the page would differ when made again
TEMPLATE = Path(__file__).with_name("report.html.j2")
MARKS = {
    **{"reproduced": "✓", "contradicted": "✗", "no difference of note": "≈", "open": "?"},
    **{"not run": "\u2013", "no verdict": "·"},
}


def write_report(layout: Layout, runs: Path | None = None) -> list[Path]:
    """Write report.html and how-to-cite.md beside the study's figures; return their paths.

    Both follow from the figures, their manifest and what `runs` (the study's own folder) recorded, with no clock of
    their own: the same inputs give the same bytes. What is not there is said to be not run. They show the manifest and
    have no entry in it. Raises RunError when the study has no figures or a given `runs` is no folder.
    """
    if not layout.figures.is_dir():
        raise RunError(
            f"{layout.figures} is not there: profile {layout.study.profile!r} has no figures to report; "
            f"make them by ./run_all.sh {layout.study.profile}"
        )
    if runs is not None and not runs.is_dir():
        raise RunError(f"{runs} is no folder: --runs names that of a profile's runs, as {layout.runs}; or leave it out")
    entries = read_manifest(layout.figures)
    runs = runs or layout.runs
    found, sections, made_by = (
        findings(layout.figures, layout.study),
        report_sections(layout, entries),
        runs_of(layout, entries, runs),
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = short
    items = {(item.kind, item.name): item for section in sections for item in section.items}
    main_items = [items[each] for each in MAIN if each in items]
    folded = [replace(each, items=[item for item in each.items if item not in main_items]) for each in sections]
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        study=layout.study,
        marks=MARKS,
        rules=RULES.replace("*", ""),
        findings=found,
        summary=verdict_words(found),
        main=(main := next(each for each in found if each.claim.key == "C2")),
        answer=answer(main, layout.study),
        caveat=caveat(layout.study),
        not_run=not_run_words(layout.study, found, devices_of(made_by)),
        doubts=[doubt for item in items.values() for doubt in item.doubts],
        evidence=items.get(("table", "claims")),
        doses=_doses(layout.figures),
        main_items=main_items,
        sections=folded,
        runs=made_by,
        versions=versions_of(made_by),
        devices=devices_of(made_by),
        seeds=sorted({str(run["seed"]).partition("_")[0] for run in made_by if run["seed"] is not None}),  # 0_repeat1
        steps=step_times(runs, without=STEP),
        commits=Counter(entry["git_revision"] for entry in entries.values()).most_common(),
        settings=Counter(entry["settings"] for entry in entries.values()).most_common(),
        now=fingerprints(layout),
        differing=differing(layout.study),
    )
    texts = {REPORT: page, CITATION: citation_page(layout.study, sections)}
    for name, text in texts.items():
        write_text(layout.figures / name, f"{text.rstrip()}\n")
    return [layout.figures / name for name in texts]


def _doses(figures: Path) -> str:
    path = figures / "dose.csv"
    return dose_reading(read_table(path)) if path.is_file() else ""
