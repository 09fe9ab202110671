"""Results of a profile as one file that others can check: packed by those who ran it, read from `results/` here.

The file is a ZIP archive with the profile's tables, records and manifest, no picture, what study it is of, and
SHA256SUMS over all of that. The same results give the same bytes.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gcl_core.config import Study
from gcl_core.data.archive import BROKEN
from gcl_core.figure_manifest import MANIFEST, RUNS_FILE, gone_or_changed, read_manifest
from gcl_core.files import RunError, atomic
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.measure.found_runs import Pair, own_pair
from gcl_core.measure.published import DATASETS
from gcl_core.records import read_record

FOLDER = "results"  # in the repository: where files that were handed in lie
SUMS, FACTS = "SHA256SUMS", "results.json"
PACKED = (".csv", ".md", ".tex", ".parquet")
FORMAT = 1
LARGEST = 64 * 2**20  # bytes unpacked: tables and records take a few hundred kilobytes
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the date of every entry, so that equal results are equal files


@dataclass(frozen=True)
class HandedIn:
    """What a results file tells of its dataset: its lines of the records `dataset_runs` and `dataset_fid`."""

    path: Path
    pair: Pair
    runs: pd.DataFrame
    fid: pd.DataFrame


def pack_results(study: Study, figures: Path, out: Path) -> list[str]:
    """Write a profile's tables, records and manifest as one file; return their names.

    Raises RunError for a folder without figures, for a file that is gone or was changed after it was made, and for an
    `out` that is not named .zip, lies among the figures, or is there and no results file.
    """
    _check_place(figures, out)
    dataset, source = own_pair(study)
    if dataset not in DATASETS:
        raise RunError(f"{study.profile} is of dataset {dataset}: results are handed in of {', '.join(DATASETS)} alone")
    entries = read_manifest(figures)
    if not entries:
        raise RunError(f"{figures} holds no figures with a {MANIFEST}; run the study of that profile first")
    names = [name for name in entries if name.endswith(PACKED)]
    gone, changed = gone_or_changed(figures, entries, names)
    if gone or changed:
        told = [f"{name} is gone" for name in gone] + [f"{name} was changed after it was made" for name in changed]
        raise RunError(f"{figures} is not as its notebooks left it: {'; '.join(told)}. Run these notebooks again")
    facts = {"format": FORMAT, "profile": study.profile, "dataset": dataset, "source": source}
    files = {name: (figures / name).read_bytes() for name in [*names, MANIFEST, RUNS_FILE]}
    files[FACTS] = f"{json.dumps(facts, indent=1)}\n".encode()
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    files[SUMS] = "".join(sums).encode()
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(_entry(name), content)
    return sorted(files)


def _check_place(figures: Path, out: Path) -> None:
    """Raise RunError where a results file must not be written: it replaces nothing but another results file."""
    if out.suffix != ".zip":
        raise RunError(f"{out} is no name for a results file; name one that ends in .zip, as market1501.zip")
    if out.resolve().is_relative_to(figures.resolve()):
        raise RunError(f"{out} lies in {figures}, which is what is packed; name a file elsewhere")
    if out.exists() and not (out.is_file() and _is_packed(out)):
        raise RunError(f"{out} is there and no results file; nothing was replaced: name another file")


def _is_packed(path: Path) -> bool:
    """Whether a file is a ZIP archive with the names that every results file has."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {SUMS, FACTS} <= set(archive.namelist())
    except (*BROKEN, OSError):
        return False


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, WRITTEN)
    entry.create_system, entry.external_attr = 3, 0o100644 << 16  # the same on every system
    return entry


def unpacked(path: Path) -> dict[str, bytes]:
    """Return the files of a results file by name, all of them as they were packed.

    Raises RunError for a file that is damaged, too large or no results file, and names what was changed, lost or added.
    """
    again = "ask for it again, or pack it again by `python -m gcl_core results`"
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            files = {each.filename: archive.read(each) for each in archive.infolist()} if size <= LARGEST else {}
    except (*BROKEN, OSError, RuntimeError) as error:  # RuntimeError: what looks encrypted, or packed in another way
        raise RunError(f"{path} is damaged or no ZIP archive ({error}); {again}") from error
    if size > LARGEST:
        raise RunError(f"{path} would unpack to {size:,} bytes, which is no results file; {again}")
    try:
        sums = dict(line.split("  ", 1)[::-1] for line in files.pop(SUMS).decode().splitlines())
    except (KeyError, ValueError) as error:
        raise RunError(f"{path} is no results file, its {SUMS} is missing or unreadable; {again}") from error
    changed = [name for name in sums if name in files and hashlib.sha256(files[name]).hexdigest() != sums[name]]
    for words, names in (("changed", changed), ("lost", sums.keys() - files), ("added", files.keys() - sums)):
        if names:
            raise RunError(f"{path} is damaged: {', '.join(sorted(names))} {words} since it was packed; {again}")
    return files


def read_handed_in(path: Path) -> HandedIn:
    """Return what a results file tells of the three datasets. Raises RunError as `unpacked` does."""
    files = unpacked(path)
    pair = _pair(path, files)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("dataset_runs.csv", "dataset_fid.csv"):
            place = Path(folder, "records", name)
            place.parent.mkdir(exist_ok=True)
            if f"records/{name}" not in files:
                raise RunError(f"{path} lacks records/{name}: run notebook 09 of that profile, then pack it again")
            place.write_bytes(files[f"records/{name}"])
        runs, fid = (read_record(Path(folder), name) for name in ("dataset_runs", "dataset_fid"))
    runs = where(runs, dataset=pair[0], source=pair[1] or "", handed_in="")
    fid = where(fid, dataset=pair[0]) if len(runs) and pair[1] is None else fid.iloc[:0]
    return HandedIn(path, pair, runs.assign(handed_in=path.name), fid)


def _pair(path: Path, files: Mapping[str, bytes]) -> Pair:
    try:
        facts = json.loads(files[FACTS])
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}, expected {FORMAT}")
        return facts["dataset"], facts["source"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: cannot read its {FACTS} ({error}); pack it with this version of the study") from error


def handed_in(layout: Layout) -> Mapping[Pair, HandedIn]:
    """Return the results files in `results/`, by dataset and source set. Raises RunError for two of the same."""
    found: dict[Pair, HandedIn] = {}
    for each in map(read_handed_in, sorted((layout.root / FOLDER).glob("*.zip"))):
        if each.pair in found:
            raise RunError(
                f"{found[each.pair].path} and {each.path} both hold results of {each.pair[0]}; keep one of them in "
                f"{layout.root / FOLDER}"
            )
        found[each.pair] = each
    return found
