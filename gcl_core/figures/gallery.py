"""A page that shows every figure of a profile and links every table, as a repository's web page renders it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gcl_core.config import Study
from gcl_core.figure_manifest import enter_page, gone_or_changed, read_manifest
from gcl_core.figures.style import is_narrow
from gcl_core.files import RunError, write_text
from gcl_core.outputs import ENDINGS, GALLERY, OUTPUTS, Output
from gcl_core.tables.formats import escape_latex

SYNTHETIC = "Every person in these pictures is synthetic."
INTRODUCTION = (
    "Every figure and table of this profile, in reading order. [docs/READING.md]({guide}) explains each file; "
    "the table `claims` answers first. "
    "Figures are PNG for the screen and PDF for a paper; tables are Markdown, CSV with full precision, and LaTeX."
)


def write_gallery(study: Study, folder: Path) -> Path:
    """Write README.md of a profile's figures, enter it into their manifest, and return its path.

    It shows what the folder holds as its manifest knows it: figures with their captions and a LaTeX snippet each,
    tables with links; what was changed after it was made is left out. The same files give the same bytes. Raises
    RunError for a folder without figures.
    """
    entries = read_manifest(folder)
    if not entries:
        raise RunError(f"{folder} holds no figures with a manifest.json; run the study of that profile first")
    gone, changed = gone_or_changed(folder, entries, entries)
    present = {name: entry for name, entry in entries.items() if name not in (*gone, *changed)}
    guide = "../" * (3 if folder.parent.name == "reference" else 2) + "docs/READING.md"
    parts = [f"# Figures and tables of profile {study.profile}", INTRODUCTION.format(guide=guide)]
    parts += [SYNTHETIC] if study.dataset == "synthetic" else []
    section = ""
    for output in OUTPUTS:
        for stem in _stems(output, present):
            if output.section != section:
                section = output.section
                parts.append(f"## {section}")
            parts.append(
                "\n\n".join(_figure(folder, stem, present) if output.kind == "figure" else _table(stem, present))
            )
    write_text(folder / GALLERY, "\n\n".join(parts) + "\n")
    enter_page(folder, GALLERY, f"All figures and tables of profile {study.profile} on one page.")
    return folder / GALLERY


def _stems(output: Output, entries: Mapping[str, Any]) -> Sequence[str]:
    """Return the names under which a figure or table is there: plain for seed 0, then those of other seeds."""
    if output.kind == "record":
        return []
    ending = ENDINGS[output.kind][0]
    stems = [name.removesuffix(ending) for name in entries if name.endswith(ending)]
    own = [stem for stem in stems if stem == output.name or stem.removeprefix(f"{output.name}_seed").isdigit()]
    return sorted(own, key=lambda stem: (len(stem), stem))


def _figure(folder: Path, stem: str, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    caption = entries[f"{stem}.png"]["caption"]
    narrow = is_narrow(folder / f"{stem}.png")
    kind, width = ("figure", r"\columnwidth") if narrow else ("figure*", r"\textwidth")
    size = f"width={width}" if narrow else rf"width={width},height=0.8\textheight,keepaspectratio"
    snippet = [
        rf"\begin{{{kind}}}",
        r"  \centering",
        rf"  \includegraphics[{size}]{{{stem}.pdf}}",
        rf"  \caption{{{escape_latex(caption)}}}",
        rf"  \label{{fig:{stem}}}",
        rf"\end{{{kind}}}",
    ]
    yield f"### {stem}"
    yield f'<img src="{quote(stem)}.png" alt="{_attribute(caption)}" width="{450 if narrow else 900}">'
    yield f"{caption} {_links(stem, 'figure', entries)}"
    yield "\n".join(["<details><summary>LaTeX</summary>", "", "```latex", *snippet, "```", "", "</details>"])


def _table(stem: str, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"**Table `{stem}`.** {entries[f'{stem}.md']['caption']} {_links(stem, 'table', entries)}"


def _links(stem: str, kind: str, entries: Mapping[str, Any]) -> str:
    names = [f"{stem}{ending}" for ending in ENDINGS[kind]]
    return ", ".join(f"[{Path(name).suffix[1:]}]({quote(name)})" for name in names if name in entries)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
