"""Where each file in `figures/<profile>/` comes from: a manifest that several notebooks may write at once.

`manifest.json` has one line for all files that share caption, commit, settings and runs; `records/runs.csv` tells of
those runs what their own manifests tell: commit, versions, device, when.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from gcl_core.config import Study
from gcl_core.files import RunError, hash_file, read_json, write_text
from gcl_core.layout import Layout
from gcl_core.provenance import fingerprint, git_revision
from gcl_core.typed_frames import read_typed, write_typed

MANIFEST, RUNS_FILE = "manifest.json", "records/runs.csv"
RUNS = {
    **{"folder": "str", "fingerprint": "str", "seed": "Int64", "git_revision": "str", "measured_by": "str"},
    **{"kept_epoch": "Int64", "python": "str", "packages": "str", "device": "str", "threads": "Int64"},
    **{"processor": "str", "kernels": "str", "started": "str", "finished": "str"},
}
SHARED = ("caption", "settings", "git_revision")
Entries = dict[str, dict[str, Any]]  # of a file: sha256, caption, profile, settings, git_revision, runs
Runs = dict[tuple[str, str], dict[str, Any]]  # by folder and fingerprint


def record_files(layout: Layout, files: Sequence[Path], *, runs: Sequence[Path], caption: str) -> None:
    """Enter files of `layout.figures` into its manifest: caption, hash, commit, settings, the runs they show.

    Entries of other files stay; notebooks running side by side take turns. Raises RunError when a file is missing.
    """
    if words := given_words(layout.study):
        caption = f"{caption} {words}"
    entry = {
        "caption": caption,
        "profile": layout.study.profile,
        "settings": fingerprint(layout.study.model_dump(mode="json")),
        "git_revision": git_revision(),
        "runs": [_run(layout, folder) for folder in runs],
    }
    with _alone(layout.figures):
        entries = read_manifest(layout.figures)
        for path in files:
            if not path.is_file():
                raise RunError(f"cannot enter {path} into {layout.figures / MANIFEST}: it was not written")
            name = path.relative_to(layout.figures).as_posix()
            entries.pop(name, None)  # the last one entered says what is known of a run
            entries[name] = {"sha256": hash_file(path), **entry}
        write_manifest(layout.figures, layout.study.profile, entries)


def given_words(study: Study) -> str:
    """Return the sentence for figures and captions of a study that takes given weights; nothing for one that trains."""
    folder = study.given_weights
    return "" if folder is None else f"Weights were given ({folder.parent.name}/{folder.name}), not trained here."


def renew_hashes(folder: Path, files: Iterable[Path]) -> None:
    """Enter the hashes of files that were drawn anew from the same records; all else that the manifest says stays."""
    with _alone(folder):
        entries = read_manifest(folder)
        for path in files:
            name = path.relative_to(folder).as_posix()
            if name in entries:
                entries[name]["sha256"] = hash_file(path)
        if entries:
            write_manifest(folder, next(iter(entries.values()))["profile"], entries)


def enter_page(folder: Path, name: str, caption: str) -> None:
    """Enter a page that is made of the other files into their manifest, with their profile, settings and commit."""
    with _alone(folder):
        entries = read_manifest(folder)
        shared = {key: next(iter(entries.values()))[key] for key in ("profile", "settings", "git_revision")}
        entries[name] = {"sha256": hash_file(folder / name), "caption": caption, **shared, "runs": []}
        write_manifest(folder, shared["profile"], entries)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time change a folder's manifest; the lock lies beside it, since it holds results only."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def read_manifest(folder: Path) -> Entries:
    """Return the entry of every file, in order of their names; empty where there is no manifest.

    `runs` of an entry are lines of runs.csv: folder, fingerprint, seed, git_revision and what else is known. Raises
    RunError for a file that cannot be read, and for a manifest with a run that runs.csv does not know.
    """
    if not (folder / MANIFEST).is_file():
        return {}
    manifest, lines = read_json(folder / MANIFEST), read_typed(folder / RUNS_FILE, RUNS).to_dict("records")
    known = {(line["folder"], line["fingerprint"]): _known(line) for line in lines}
    entries: Entries = {}
    listed = manifest["entries"]
    if not (isinstance(listed, list) and all(isinstance(each, dict) for each in listed)):
        raise RunError(
            f"{folder / MANIFEST} is damaged: its entries are no list of objects; take it from where it was made"
        )
    for each in listed:
        keys = [(_long(name, manifest["profile"]), value) for name, value in each["runs"].items()]
        if unknown := [" ".join(key) for key in keys if key not in known]:
            raise RunError(
                f"{folder / MANIFEST} and {folder / RUNS_FILE} do not belong together: the second does not know "
                f"{unknown[0]}. Take both from one copy, or delete {folder} and run ./run_all.sh {manifest['profile']}"
            )
        runs = [known[key] for key in keys]
        shared = {key: each[key] for key in SHARED}
        for name, digest in each["files"].items():
            entries[name] = {"sha256": digest, "profile": manifest["profile"], **shared, "runs": runs}
    return dict(sorted(entries.items()))


def gone_or_changed(folder: Path, entries: Mapping[str, Any], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which of a folder's files that have an entry are gone, and which are not as they were made."""
    own = [name for name in names if name in entries]
    gone = [name for name in own if not (folder / name).is_file()]
    return gone, [name for name in own if name not in gone and hash_file(folder / name) != entries[name]["sha256"]]


def write_manifest(folder: Path, profile: str, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write manifest.json and records/runs.csv so that `read_manifest` returns these entries.

    Until the new manifest is there, runs.csv also knows the runs of the old one, so a kill leaves two that agree.
    """
    groups: dict[str, dict[str, Any]] = {}
    earlier, runs = _runs_of(read_manifest(folder)), _runs_of(entries)
    for name, entry in sorted(entries.items()):
        made_of = {_short(run["folder"], profile): str(run["fingerprint"]) for run in entry["runs"]}
        shared = {**{key: entry[key] for key in SHARED}, "runs": made_of}
        group = groups.setdefault(json.dumps(shared), {**shared, "files": {}})
        group["files"][name] = entry["sha256"]
    lines = ",\n".join(json.dumps(group, ensure_ascii=False) for group in groups.values())
    _write_runs(folder, earlier | runs)
    write_text(folder / MANIFEST, f'{{"profile": {json.dumps(profile)}, "entries": [\n{lines}\n]}}\n')
    _write_runs(folder, runs)


def _runs_of(entries: Mapping[str, Mapping[str, Any]]) -> Runs:
    return {(run["folder"], str(run["fingerprint"])): dict(run) for entry in entries.values() for run in entry["runs"]}


def _write_runs(folder: Path, runs: Runs) -> None:
    rows = [runs[key] for key in sorted(runs)]
    write_typed(folder / RUNS_FILE, RUNS, pd.DataFrame(rows, columns=list(RUNS)))


def _known(line: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: None if pd.isna(value) or value == "" else value for name, value in line.items()}


def _short(folder: str, profile: str) -> str:
    return folder.removeprefix(f"runs/{profile}/")


def _long(name: str, profile: str) -> str:
    return name if name.startswith(("runs/", "/")) else f"runs/{profile}/{name}"


def _run(layout: Layout, folder: Path) -> dict[str, Any]:
    manifests = (folder / "manifest.json", folder / "store.json")  # of a run, of the prepared data
    facts = next((read_json(path) for path in manifests if path.is_file()), None)
    if facts is None:
        raise RunError(f"{folder} has neither manifest.json nor store.json: it is no run that a figure can come from")
    name = folder.relative_to(layout.root) if folder.is_relative_to(layout.root) else folder
    packages = ", ".join(f"{name} {version}" for name, version in facts.get("packages", {}).items())
    return {**{key: facts.get(key) for key in RUNS}, "folder": name.as_posix(), "packages": packages or None}
