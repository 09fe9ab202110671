"""What a dataset's folder holds, beside what its authors published, and what is wrong with it: one screen of text."""

import os
import textwrap
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from tqdm import tqdm

from gcl_core.data.index import DISTRACTOR, JUNK, SPLITS, DataError, list_ignored, list_pictures, some_of
from gcl_core.data.names import mesh_names
from gcl_core.data.pictures import BadPictureError, PictureFacts, inspect_picture
from gcl_core.data.sources import list_names
from gcl_core.files import hash_file
from gcl_core.machine import cores
from gcl_core.mesh.projection import YAWS, projection_folder

PUBLISHED = {  # split → pictures (§5.4), identities (general knowledge); Duke's gallery: 408 people seen by one camera
    "market1501": {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, 750)},
    "dukemtmc_reid": {"train": (16522, 702), "query": (2228, 702), "gallery": (17661, 1110)},
    "msmt17": {"train": (32621, 1041), "query": (11659, 3060), "gallery": (82161, 3060)},
}
SHOWN = 3  # examples
COLUMNS = 100


@dataclass(frozen=True)
class Picture:
    """A listed picture and what was found in its file: facts and digest (SHA-256), or why it cannot be used."""

    file: str
    pid: int
    camid: int
    split: str
    facts: PictureFacts | None
    digest: str
    problem: str


@dataclass(frozen=True)
class MeshCount:
    """Pictures of a side (train or test) by their projections: at all eight yaw angles, at some, at none."""

    complete: int
    incomplete: list[str]
    none: int
    strangers: list[str]  # projections under a name that no picture has


@dataclass(frozen=True)
class DataReport:
    """Facts of a dataset's folder; `pictures` are without junk, which `junk` counts by split."""

    dataset: str
    root: Path
    mesh_root: Path
    pictures: list[Picture]
    junk: dict[str, int]
    ignored: list[str]
    meshes: dict[str, MeshCount]

    @property
    def errors(self) -> list[str]:
        """What a study cannot work with, a sentence each: unusable pictures, a test in which nobody can be found."""
        errors = [picture.problem for picture in self.pictures if picture.problem]
        if len(self.lone_queries) == len(self._of("query")):
            errors.append(f"{self.root}: no query has a match in the gallery by another camera; nothing can be tested")
        return errors

    @property
    def lone_queries(self) -> list[str]:
        """Queries whose person no other camera has in the gallery; the evaluation passes over them (§5.4)."""
        seen = {(picture.pid, picture.camid) for picture in self._of("gallery")}
        cameras = {camid for _, camid in seen}
        queries = self._of("query")
        return [q.file for q in queries if not any((q.pid, camid) in seen for camid in cameras - {q.camid})]

    @property
    def duplicates(self) -> list[list[Picture]]:
        """Groups of files of equal bytes; first those across splits, then those across identities."""
        groups: dict[str, list[Picture]] = {}
        for picture in self.pictures:
            if picture.digest:
                groups.setdefault(picture.digest, []).append(picture)
        found = [group for group in groups.values() if len(group) > 1]
        return sorted(found, key=lambda group: (-_splits(group), -_identities(group)))

    def table(self) -> pd.DataFrame:
        """Return one row per split: counts, and the published ones beside them (missing where none are known)."""
        rows = []
        for split in SPLITS:
            chosen = self._of(split)
            distractors = [picture for picture in chosen if picture.pid == DISTRACTOR and split != "train"]
            pictures, identities = PUBLISHED.get(self.dataset, {}).get(split, (None, None))
            rows.append(
                {
                    "split": split,
                    "pictures": len(chosen),
                    "published pictures": pictures,
                    "identities": len({picture.pid for picture in chosen} - ({DISTRACTOR} if distractors else set())),
                    "published identities": identities,
                    "cameras": len({picture.camid for picture in chosen}),
                    "distractors": len(distractors),
                    "junk": self.junk.get(split, 0),
                    "unusable": sum(bool(picture.problem) for picture in chosen),
                }
            )
        return pd.DataFrame(rows).astype({name: "Int64" for name in rows[0] if name != "split"})

    def _of(self, split: str) -> list[Picture]:
        return [picture for picture in self.pictures if picture.split == split]

    def text(self) -> str:
        """Return the report for a terminal: at most 40 lines of at most 100 columns; long lists are cut."""
        errors, lone = self.errors, self.lone_queries
        lines = [*_lines("", f"{self.dataset} in {self.root}"), "", *self._counts(), ""]
        lines += _lines("sizes", self._sizes())
        lines += _lines("converted", self._conversions())
        lines += _lines("duplicates", self._duplicates())
        lines += _lines("ignored", f"{len(self.ignored):,} other files in the picture folders", self.ignored)
        lines += _lines("queries", f"{len(lone):,} without a match by another camera", lone)
        for side, count in self.meshes.items():
            lines += _lines(f"{side} meshes", *_mesh_words(count, self.mesh_root))
        lines.append("")
        for error in errors[:SHOWN]:
            lines += _lines("error", error.replace(f"{self.root}{os.sep}", ""))
        end = f"errors: {len(errors):,}" if errors else "no errors"
        return "\n".join([*lines, f"{end}, {SHOWN} of them shown" if len(errors) > SHOWN else end])

    def _counts(self) -> list[str]:
        """The table as text; `*` marks what differs from the published count."""
        heads = ["pictures", "published", "identities", "published", "cameras", "distractors", "junk", "unusable"]
        widths = [max(len(head), 6) + 2 for head in heads]
        lines = [f"{'split':8}" + "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))]
        for row in self.table().to_dict("records"):
            cells = [f"{row['split']:8}"]
            for name, width in zip(list(row)[1:], widths, strict=True):
                known = row.get(f"published {name}", pd.NA)
                mark = "" if pd.isna(known) or known == row[name] else "*"
                cells.append(f"{'-' if pd.isna(row[name]) else f'{row[name]:,}{mark}':>{width}}")
            lines.append("".join(cells))
        return [*lines, "* not the published number"] if any("*" in line for line in lines) else lines

    def _sizes(self) -> str:
        read = [picture.facts for picture in self.pictures if picture.facts]
        if not read:
            return "no picture could be read"
        sizes = sorted((facts.width * facts.height, facts.width, facts.height) for facts in read)
        least, middle, most = (f"{w} x {h}" for _, w, h in (sizes[0], sizes[len(sizes) // 2], sizes[-1]))
        return f"smallest {least}, median {middle}, largest {most} (width x height)"

    def _conversions(self) -> str:
        kinds = Counter(each.facts.conversion for each in self.pictures if each.facts and each.facts.conversion)
        return some_of((f"{count:,} {kind}" for kind, count in sorted(kinds.items())), 6) or "none"

    def _duplicates(self) -> str:
        groups = self.duplicates
        splits, people = (sum(count(each) > 1 for each in groups) for count in (_splits, _identities))
        words = (
            f"{len(groups):,} groups of files of equal bytes, {splits:,} across splits, {people:,} across identities"
        )
        examples = some_of((f"{first.file} = {second.file}" for first, second, *_ in groups), SHOWN)
        return f"{words}: {examples}" if examples else words


def report_data(dataset: str, root: Path, mesh_root: Path | None = None) -> DataReport:
    """Read every picture of a dataset in full and report on it; `mesh_root` is `<root>/meshes` when left out.

    Raises DataError when the folder cannot be listed, as `list_pictures` does.
    """
    index = list_pictures(dataset, root)
    ignored = list_ignored(root, index)
    used = index[index["pid"] != JUNK].reset_index(drop=True)
    with ThreadPoolExecutor(cores()) as pool:
        facts = pool.map(_inspect, [root / file for file in used["file"]])
        facts = list(tqdm(facts, total=len(used), desc="pictures", delay=2, mininterval=2))
    lines = zip(used["file"], used["pid"], used["camid"], used["split"], facts, strict=True)
    pictures = [Picture(file, int(pid), int(camid), split, *found) for file, pid, camid, split, found in lines]
    junk = Counter(index.loc[index["pid"] == JUNK, "split"])
    if mesh_root is not None and not mesh_root.is_dir():
        raise DataError(f"{mesh_root} is no folder; give the one of meshes, which holds train and test, by --mesh-root")
    mesh_root = mesh_root or root / "meshes"
    training = index["split"] == "train"
    meshes = {
        "train": _count_meshes(mesh_root, "train", index.loc[training]),
        "test": _count_meshes(mesh_root, "test", index.loc[~training]),
    }
    return DataReport(dataset, root, mesh_root, pictures, dict(junk), ignored, meshes)


def _inspect(path: Path) -> tuple[PictureFacts | None, str, str]:
    try:
        return inspect_picture(path), hash_file(path), ""
    except BadPictureError as error:
        return None, "", str(error)


def _splits(group: list[Picture]) -> int:
    return len({picture.split for picture in group})


def _identities(group: list[Picture]) -> int:
    return len({(picture.split == "train", picture.pid) for picture in group})  # nobody is in training and test


def _count_meshes(mesh_root: Path, side: Literal["train", "test"], index: pd.DataFrame) -> MeshCount:
    """Count the projections of the pictures of one side; `index` holds its junk too, whose meshes are no strangers."""
    junk = index["pid"] == JUNK
    own = mesh_names(index.loc[~junk])
    folders = [projection_folder(mesh_root, side, yaw) for yaw in YAWS]
    there = Counter(name for folder in folders for name in list_names(folder, {*own, *own.values()}))
    names = [file if file in there else name for file, name in own.items()]
    counts = [there[name] for name in names]
    incomplete = [name for name, count in zip(names, counts, strict=True) if 0 < count < len(YAWS)]
    strangers = sorted(set(there) - {*names, *(file.rpartition("/")[2] for file in index.loc[junk, "file"])})
    return MeshCount(counts.count(len(YAWS)), incomplete, counts.count(0), strangers)


def _mesh_words(count: MeshCount, mesh_root: Path) -> tuple[str, list[str]]:
    if not count.complete and not count.incomplete and not count.strangers:
        return f"none in {mesh_root}", []
    words = (
        f"{count.complete:,} pictures with all {len(YAWS)}, {count.none:,} with none, {len(count.incomplete):,} partly"
    )
    if count.strangers:
        words += f"; {len(count.strangers):,} names that no picture has ({count.strangers[0]})"
    return words, count.incomplete


def _lines(label: str, text: str, examples: Iterable[str] = ()) -> list[str]:
    """Return a labelled fact in at most three lines."""
    listed = some_of(examples, SHOWN)
    whole = f"{text}: {listed}" if listed else text
    indent = " " * 14 if label else ""
    return textwrap.wrap(
        "".join(letter if letter.isprintable() else "?" for letter in whole),  # file names may hold anything
        COLUMNS,
        initial_indent=f"{label:<14}" if label else "",
        subsequent_indent=indent,
        max_lines=3,
        placeholder=" …",
    )
