"""How to cite: the paper, this study, and each figure and table with the commit and settings it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gcl_core.config import REPOSITORY, Study
from gcl_core.figures.gallery import SYNTHETIC
from gcl_core.report.items import Section

CITATION_FILE = REPOSITORY / "CITATION.cff"
LICENCE = (
    "The study and its figures are under the MIT licence (LICENSE): use them with attribution, as above. What was "
    "drawn on, and under which terms, is in NOTICE."
)
REAL = (
    "Pictures of people in these figures, and views drawn of them, are under the terms of the data set ({dataset}); "
    "read those before you publish one. Tables and curves show nobody."
)


def citation_page(study: Study, sections: Sequence[Section]) -> str:
    """Return a Markdown page: BibTeX of paper and study, a line a figure or table, the licence of the figures."""
    about = yaml.safe_load(CITATION_FILE.read_text(encoding="utf-8"))
    items = [item for section in sections for item in section.items]
    lines = [
        f"| {item.name} | {item.kind} | {item.caption.replace('|', chr(92) + '|')} | `{short(item.commit)}` | "
        f"`{item.settings}` | {len(item.runs) or '-'} |"
        for item in items
    ]
    return "\n".join(
        [
            f"# How to cite profile {study.profile}",
            "",
            "The paper:",
            "",
            *_bibtex("inproceedings", "chen2021gcl", _paper(about["references"][0])),
            "",
            "This study:",
            "",
            *_bibtex("software", "gclstudy", _software(about, sorted({item.commit for item in items}))),
            "",
            "## Figures and tables",
            "",
            "Name one by profile, file, commit and settings; `python -m gcl_core run` at that commit makes it again.",
            "The settings are a fingerprint of the whole configuration. manifest.json has it, and each run's seed.",
            "",
            "| file | kind | what it shows | commit | settings | runs |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
            "## Licence",
            "",
            LICENCE,
            SYNTHETIC if study.dataset == "synthetic" else REAL.format(dataset=study.dataset),
        ]
    )


def _bibtex(kind: str, key: str, fields: Mapping[str, str]) -> list[str]:
    return [
        "```bibtex",
        f"@{kind}{{{key},",
        *(f"  {name} = {{{value}}}," for name, value in fields.items()),
        "}",
        "```",
    ]


def _paper(reference: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of the paper, which CITATION.cff names as its first reference."""
    return {
        "title": f"{{{reference['title']}}}",  # the braces keep its capitals
        "author": " and ".join(f"{each['family-names']}, {each['given-names']}" for each in reference["authors"]),
        "booktitle": reference["collection-title"],
        "year": str(reference["year"]),
        "note": reference["identifiers"][0]["value"],
    }


def _software(about: Mapping[str, Any], commits: Sequence[str]) -> dict[str, str]:
    return {
        "title": f"{{{about['title']}}}",
        "author": " and ".join(f"{{{each['name']}}}" for each in about["authors"]),
        "version": str(about["version"]),
        "license": about["license"],
        **({"note": f"commit {', '.join(commits)}"} if commits else {}),
    }


def short(commit: str) -> str:
    """Return a commit by its first characters, with its `+changes` where it has them."""
    return commit[:10] + commit[40:] if len(commit) >= 40 else commit
