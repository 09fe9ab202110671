"""A profile's figures described for those who check or keep them: codecheck.yml, and an RO-Crate.

Both list the files of manifest.json with their SHA-256. CODECHECK: https://codecheck.org.uk/spec/config/2.0/;
RO-Crate: https://w3id.org/ro/crate/.
"""

import datetime
import mimetypes
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gcl_core.config import Study
from gcl_core.figure_manifest import MANIFEST, Entries, read_manifest
from gcl_core.figures.gallery import SYNTHETIC
from gcl_core.files import RunError, hash_file, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.report.citation import CITATION_FILE, REAL

CODECHECK, CRATE = "codecheck.yml", "ro-crate-metadata.json"
SPECIFICATION = "https://codecheck.org.uk/spec/config/2.0/"
HEAD = """\
# Written by `python -m gcl_core article {profile}` from manifest.json. Whoever submits it adds the authors' ORCIDs;
# whoever checks it adds codechecker, report, summary and certificate.
"""
TYPES = {".parquet": "application/vnd.apache.parquet", ".md": "text/markdown", ".tex": "application/x-tex"}
LICENCE = "https://spdx.org/licenses/MIT"


def write_descriptions(layout: Layout) -> list[Path]:
    """Write codecheck.yml and ro-crate-metadata.json beside the study's figures; return both paths.

    Raises RunError for a study without figures, and for a file that is gone or differs from its entry in the manifest.
    """
    entries, figures = read_manifest(layout.figures), layout.figures
    if not entries:
        raise RunError(f"{figures} has no {MANIFEST}: run ./run_all.sh {layout.study.profile} first")
    for name, entry in entries.items():
        if not (figures / name).is_file() or hash_file(figures / name) != entry["sha256"]:
            raise RunError(
                f"{figures / name} is gone or differs from its entry in {MANIFEST}; "
                f"make it anew by ./run_all.sh or, for tables and plots, by python -m gcl_core redraw"
            )
    about = yaml.safe_load(CITATION_FILE.read_text(encoding="utf-8"))
    crate = crate_of(layout, entries, about)  # before anything is written
    write_text(figures / CODECHECK, codecheck_page(layout.study, entries, about))
    write_json(figures / CRATE, crate)
    return [figures / CODECHECK, figures / CRATE]


def codecheck_page(study: Study, entries: Entries, about: Mapping[str, Any]) -> str:
    """Return the authors' part of a CODECHECK configuration; `about` is what CITATION.cff says."""
    commits = sorted({entry["git_revision"] for entry in entries.values()})
    page = {
        "version": SPECIFICATION,
        "manifest": [{"file": name, "comment": entry["caption"]} for name, entry in entries.items()],
        "paper": {
            "title": about["title"],
            "authors": [{"name": each["name"]} for each in about["authors"]],
            "reference": f"not published; article/article.tex reproduces {_paper(about)['identifiers'][0]['value']}",
        },
        "source": f"./run_all.sh {study.profile} makes every file, at the commits {', '.join(commits)}",
        "gcl_study": {"sha256": {name: entry["sha256"] for name, entry in entries.items()}},
    }
    text = yaml.safe_dump(page, sort_keys=False, allow_unicode=True, width=120, explicit_start=True)
    return HEAD.format(profile=study.profile) + text


def crate_of(layout: Layout, entries: Entries, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an RO-Crate: each file, and a CreateAction for what one commit and settings made."""
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

    study, crate = layout.study, ROCrate()
    crate.name = f"{about['title']}: figures of profile {study.profile}"
    people = SYNTHETIC if study.dataset == "synthetic" else REAL.format(dataset=study.dataset)
    crate.description = f"Figures, tables and the records that they are made of, with caption and SHA-256. {people}"
    crate.datePublished = datetime.datetime.now(datetime.UTC).date()
    crate.root_dataset["license"] = crate.add(
        ContextEntity(crate, LICENCE, {"@type": "CreativeWork", "name": "MIT License", "identifier": LICENCE})
    )

    def named(identifier: str, kind: str, **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, identifier, {"@type": kind, **properties}))

    authors = [
        named(f"#author{place}", "Organization", name=each["name"]) for place, each in enumerate(about["authors"])
    ]
    crate.root_dataset["author"] = authors[0] if len(authors) == 1 else authors
    paper = _paper(about)
    address = f"https://arxiv.org/abs/{paper['identifiers'][0]['value'].removeprefix('arXiv:')}"
    crate.root_dataset["isBasedOn"] = named(address, "ScholarlyArticle", name=paper["title"])
    software = named("#study", "SoftwareApplication", name=about["title"], version=str(about["version"]))
    made: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for name, entry in entries.items():
        path = layout.figures / name
        properties = {
            **{"name": name, "description": entry["caption"], "sha256": entry["sha256"]},
            **{"contentSize": str(path.stat().st_size), "encodingFormat": _format(path)},
        }
        made[entry["git_revision"], entry["settings"]].append(crate.add_file(path, name, properties=properties))
    crate.root_dataset["mentions"] = [
        named(
            f"#made{place}",
            "CreateAction",
            name=f"commit {commit}, settings {settings}",
            instrument=software,
            result=files,
        )
        for place, ((commit, settings), files) in enumerate(sorted(made.items(), key=lambda item: item[0]))
    ]
    return crate.metadata.generate()


def _paper(about: Mapping[str, Any]) -> Mapping[str, Any]:
    return about["references"][0]


def _format(path: Path) -> str:
    return TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
