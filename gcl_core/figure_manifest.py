"""Where each file in `figures/<profile>/` comes from: a manifest that several notebooks may write at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from gcl_core.files import RunError, hash_file, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.provenance import fingerprint, git_revision


def record_files(layout: Layout, files: Sequence[Path], *, runs: Sequence[Path], caption: str) -> None:
    """Enter files of `layout.figures` into its manifest.json: caption, hash, commit, settings, the runs they show.

    Entries of other files stay; notebooks running side by side take turns. Raises RunError when a file is missing.
    """
    settings = fingerprint(layout.study.model_dump(mode="json"))
    entry = {
        "caption": caption,
        "profile": layout.study.profile,
        "settings": settings,
        "git_revision": git_revision(),
        "runs": [_run(layout, folder) for folder in runs],
    }
    manifest = layout.figures / "manifest.json"
    layout.runs.mkdir(parents=True, exist_ok=True)
    with FileLock(layout.runs / ".figures.lock"):  # beside the runs: `figures/` holds nothing but results
        entries = read_json(manifest) if manifest.is_file() else {}
        for path in files:
            if not path.is_file():
                raise RunError(f"cannot enter {path} into {manifest}: it was not written")
            entries[path.name] = {"sha256": hash_file(path), **entry}
        write_json(manifest, dict(sorted(entries.items())))


def renew_hashes(folder: Path, files: Sequence[Path]) -> None:
    """Enter the hashes of files that were drawn anew from the same tables; all else that the manifest says stays."""
    manifest = folder / "manifest.json"
    entries = read_json(manifest) if manifest.is_file() else {}
    for path in files:
        if path.name in entries:
            entries[path.name]["sha256"] = hash_file(path)
    write_json(manifest, entries)


def _run(layout: Layout, folder: Path) -> dict[str, Any]:
    manifests = (folder / "manifest.json", folder / "store.json")  # of a run, of the prepared data
    facts = next((read_json(path) for path in manifests if path.is_file()), {})
    name = folder.relative_to(layout.root) if folder.is_relative_to(layout.root) else folder
    return {"folder": name.as_posix(), **{key: facts.get(key) for key in ("fingerprint", "git_revision", "seed")}}
