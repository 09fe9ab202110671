"""The command `runs`: what lies in the folders of runs, what it belongs to, and removing what is named."""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gcl_core.cli.words import Add
from gcl_core.config import REPOSITORY, ConfigError


def add_run_commands(add: Add) -> None:
    """Add `runs` to the command line."""
    runs = add("runs", _runs, "list the run folders with their size and state, or remove those that are named")
    runs.add_argument(
        "--remove", nargs="+", metavar="FOLDER", default=[], help="remove these, as listed, and no others"
    )


def run_folders(root: Path) -> list[Path]:
    """Return every run folder below `root`/runs, those that were set aside among them."""
    return sorted(path for path in (root / "runs").glob("*/*/seed*") if (path / "manifest.json").is_file())


def describe(folder: Path) -> str:
    """Return in words what a run folder is: finished, unfinished or set aside, by which code, when."""
    from gcl_core.files import RunError, read_json
    from gcl_core.run_folder import SUPERSEDED

    aside = "set aside, " if SUPERSEDED in folder.name else ""
    try:
        facts = read_json(folder / "manifest.json")
    except RunError:
        return f"{aside}its manifest.json is unreadable"
    state = "finished" if "finished" in facts else "unfinished"
    when = facts.get("finished", facts.get("started", ""))
    return f"{aside}{state} {when}, commit {str(facts.get('git_revision', 'unknown'))[:10]}"


def _runs(chosen: argparse.Namespace) -> None:
    folders = {path.relative_to(REPOSITORY).as_posix(): path for path in run_folders(REPOSITORY)}
    named = list(dict.fromkeys(name.rstrip("/") for name in chosen.remove))
    if unknown := [name for name in named if name not in folders]:
        raise ConfigError(f"no run folder {unknown[0]}; `runs` lists them, as runs/mini/gcl/seed0; nothing was removed")
    if links := [name for name in named if folders[name].is_symlink()]:
        raise ConfigError(
            f"{links[0]} is a link to {folders[links[0]].resolve()}; remove the link itself, by `rm`, or that folder "
            "where it lies; nothing was removed"
        )
    with _at_rest([folders[name] for name in named]):
        for name in named:
            shutil.rmtree(folders[name])
            print(f"removed {name}")
    if not named:
        for name, path in folders.items():
            print(f"{_size(path):>9}  {name}  ({describe(path)})")
        if not folders:
            print("no runs yet")


@contextmanager
def _at_rest(folders: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of runs, so that none is trained meanwhile; one that was set aside has that of its own name.

    Raises RunError when another process holds one of them, or when a folder cannot be written.
    """
    from gcl_core.files import held
    from gcl_core.run_folder import SUPERSEDED

    runs = dict.fromkeys(path.with_name(path.name.partition(SUPERSEDED)[0]) for path in folders)
    with ExitStack() as locks:
        for run in runs:
            lock, taken = run.with_name(f".{run.name}.lock"), f"another run is at work in {run}"
            locks.enter_context(held(lock, taken, "; nothing was removed"))
        yield


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f} MB"
