"""What a report shows of `figures/<profile>/`: every figure and table in reading order, with where it comes from."""

import base64
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import PIL.Image

from gcl_core.figure_manifest import Entries, gone_or_changed
from gcl_core.figures.style import is_narrow
from gcl_core.layout import Layout
from gcl_core.outputs import ENDINGS, GALLERY, OUTPUTS
from gcl_core.tables.formats import read_markdown

PICTURES = 3_000_000  # bytes of all embedded PNG together: as text in the page they take a third more

MAIN = (  # shown first; all else is folded, or in an appendix
    *(("figure", "claims"), ("table", "controls"), ("figure", "figure3_generated_views_train")),
    *(("figure", "dose"), ("figure", "figure2_cluster_count"), ("figure", "fid_per_view"), ("figure", "ablations")),
)


@dataclass(frozen=True)
class Item:
    """A figure, table or record: what is shown of it, its files, and the commit, settings and runs it comes from."""

    kind: str
    name: str
    caption: str
    files: Sequence[str]
    commit: str
    settings: str
    runs: Sequence[Mapping[str, Any]]
    picture: str = ""  # data URI
    narrow: bool = False  # drawn for one column
    table: tuple[Sequence[bool], Sequence[Sequence[str]]] | None = None  # whether a column holds numbers; its rows
    doubts: Sequence[str] = ()

    @property
    def source(self) -> str:
        """The runs in words, those of the same seeds together: `runs/mini: gcl, tda (seeds 0, 1)`."""
        seeds: dict[PurePosixPath, list[str]] = defaultdict(list)
        for run in self.runs:
            folder = PurePosixPath(run["folder"])
            own = folder.name.startswith("seed")
            seeds[folder.parent if own else folder] += [folder.name.removeprefix("seed")] if own else []
        together: dict[tuple[PurePosixPath, str], list[str]] = defaultdict(list)
        for folder, found in seeds.items():
            together[folder.parent, seed_words(found)].append(folder.name)
        told = [f"{parent}: {', '.join(names)}{words}" for (parent, words), names in together.items()]
        return "; ".join(told) or "no run of this study: published values, and ours as not run"


@dataclass
class Section:
    """A part of the report: its items in reading order, and what the notebook would make but is not there."""

    title: str
    notebook: str = ""
    items: list[Item] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where links to the section lead."""
        return self.title.lower().replace(" ", "-")


def report_sections(layout: Layout, entries: Entries) -> list[Section]:
    """Return every file of the manifest's `entries` once, in sections; what no section names comes last.

    A file that is gone or differs from its entry is told of among its item's doubts, and is not shown.
    """
    share = PICTURES // max(1, sum(name.endswith(".png") for name in entries))
    groups: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in (each for each in entries if each != GALLERY):
        path = PurePosixPath(name)
        kind = next((kind for kind, endings in ENDINGS.items() if path.suffix in endings), "table")
        groups[str(path.with_suffix(""))].setdefault("record" if path.parent.name else kind, []).append(name)
    sections = {each.section: Section(each.section, each.notebook) for each in OUTPUTS}
    for stem, each in {each.stem: each for each in OUTPUTS}.items():
        section = sections[each.section]
        stems = sorted(found for found in groups if re.fullmatch(rf"{stem}(_seed\d+)?", found))
        section.items += [item for found in stems for item in _items(layout, entries, groups.pop(found), share)]
        if not stems and each.made_by(layout.study):
            section.missing.append(stem)
    others = [item for stem in sorted(groups) for item in _items(layout, entries, groups[stem], share)]
    return [*sections.values(), *([Section("More", items=others)] if others else [])]


def _items(layout: Layout, entries: Entries, group: Mapping[str, list[str]], share: int) -> list[Item]:
    return [_item(layout, entries, kind, group[kind], share) for kind in (*ENDINGS, "record") if kind in group]


def _item(layout: Layout, entries: Entries, kind: str, names: Sequence[str], share: int) -> Item:
    shown = min(names, key=lambda name: (*ENDINGS.get(kind, ()), Path(name).suffix).index(Path(name).suffix))
    entry, path = entries[shown], layout.figures / shown
    gone, changed = gone_or_changed(layout.figures, entries, names)
    kept = [name for name in names if name not in gone]
    as_made = shown in kept and shown not in changed
    drawn = path.suffix == ".png" and as_made
    return Item(
        kind,
        path.stem,
        entry["caption"],
        kept,
        entry["git_revision"],
        entry["settings"],
        entry["runs"],
        picture=embedded(path, share) if drawn else "",
        narrow=drawn and is_narrow(path),
        table=read_markdown(path.read_text(encoding="utf-8")) if path.suffix == ".md" and as_made else None,
        doubts=[*(f"{name} is gone" for name in gone), *(f"{name} was changed after it was made" for name in changed)],
    )


def seed_words(seeds: Sequence[str]) -> str:
    """Return ` (seed 0)`, ` (seeds 0, 1)`, or nothing."""
    return f" (seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)})" if seeds else ""


def embedded(path: Path, limit: int) -> str:
    """Return a PNG as a data URI; above `limit` bytes it is drawn smaller, in 256 colours, until it fits."""
    data = path.read_bytes()
    if len(data) > limit:
        with PIL.Image.open(io.BytesIO(data)) as image:
            whole = image.convert("RGB")
        width = whole.width
        while len(data) > limit and width > 1:
            width = width * 4 // 5
            smaller = whole.resize((width, max(1, round(whole.height * width / whole.width))), PIL.Image.Resampling.BOX)
            stream = io.BytesIO()
            smaller.quantize(256, dither=PIL.Image.Dither.NONE).save(stream, format="png", optimize=True)
            data = stream.getvalue()
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
