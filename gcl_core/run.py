"""Where a study's artifacts live, and how they are written: whole or not at all, with a manifest beside them."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from gcl_core.config import REPOSITORY, Study

PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "scipy", "pytorch-fid", "anny")


class RunError(RuntimeError):
    """A run cannot start or go on; the text says why, where and what to do."""


@dataclass(frozen=True)
class Layout:
    """Every path of a study; `root` is the folder that holds `runs/` and `figures/`, the repository by default."""

    study: Study
    root: Path = REPOSITORY
    people_of: int | None = None  # the seed whose people this is about, where each seed has its own

    def of_seed(self, seed: int = 0) -> "Layout":
        """Return the layout as a seed's stages see it: with that seed's own people, where each seed has its own."""
        people = self.study.people
        if not people.each_seed or self.people_of == seed:
            return self
        first = people.seed - (self.people_of or 0)
        study = self.study.model_copy(update={"people": people.model_copy(update={"seed": first + seed})})
        return replace(self, study=study, people_of=seed)

    @property
    def runs(self) -> Path:
        """Folder of all artifacts of this profile."""
        return self.root / "runs" / self.study.profile

    @property
    def figures(self) -> Path:
        """Folder of the figures and tables of this profile."""
        return self.root / "figures" / self.study.profile

    @property
    def data_root(self) -> Path:
        """Folder of the pictures: the user's, or the synthetic people's."""
        return self.study.data_root or self.runs / "people" / self._own

    @property
    def mesh_root(self) -> Path:
        """Folder of the mesh projections in the released layout (§1.3)."""
        return self.study.mesh_root or self.data_root / "meshes"

    @property
    def store(self) -> Path:
        """Folder of the decoded pictures and projections and their index."""
        return self.runs / "data" / self._own

    @property
    def _own(self) -> str:
        return "" if self.people_of is None else f"seed{self.people_of}"

    def stage(self, name: str, seed: int) -> Path:
        """Run folder of `baseline`, `warm_up` or a variant."""
        return self.runs / name / f"seed{seed}"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes the name `path`, on failure nothing remains.

    Raises RunError when the folder cannot be written or the disk is full; an earlier `path` is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; nothing there changed. Free space or check permissions"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # the error above is the one to tell
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN is refused, since it is no JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a missing or broken file is a RunError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}; run the step that writes it again") from error


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_code(packages: Sequence[str]) -> str:
    """SHA-256 over the sources of sub-packages of gcl_core: a checkpoint goes on only under the code that wrote it."""
    digest = hashlib.sha256()
    for name in packages:
        for path in sorted((Path(__file__).parent / name).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Short hash of anything JSON can hold, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def resolve_device(name: str) -> torch.device:
    """Return the device of a study: `auto` is the GPU when there is one. Raises RunError for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("device: cuda was asked for but torch sees no GPU here; use device=cpu or device=auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@contextlib.contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Run with `count` CPU threads (None: torch's own choice) and put the number back."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def git_revision() -> str:
    """Return the checkout's commit, with `+changes` when files differ from it; `unknown` outside git."""
    command = ["git", "-C", str(REPOSITORY)]
    try:
        commit = subprocess.run(
            [*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        code = [*command, "status", "--porcelain", "--untracked-files=no", "--", "gcl_core", "notebooks", "configs"]
        changed = subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def provenance(device: torch.device) -> dict[str, Any]:
    """Return what a manifest says of code and machine: revision, versions, device, threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES if _installed(package)},
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class RunFolder:
    """One stage's folder, locked while open: manifest, metrics line by line, times apart.

    A folder begun with other settings, inputs or code is set aside as `<name>.superseded`, never mixed or deleted.
    `metrics.jsonl` holds no clock time, so that a resumed run and an uninterrupted one write the same bytes.
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: dict[str, Any],
        inputs: dict[str, str],
        code: str,
        seed: int,
        device: torch.device,
    ):
        self.path = path
        self._lock = FileLock(path.parent / f".{path.name}.lock")
        self._identity = fingerprint({"settings": settings, "inputs": inputs, "code": code, "seed": seed})
        self._manifest = {
            "fingerprint": self._identity,
            "seed": seed,
            "settings": settings,
            "inputs": inputs,
            "code": code,
            **provenance(device),
            "started": _now(),
        }

    def __enter__(self) -> "RunFolder":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(f"another run is at work in {self.path}; wait for it or stop it, then try again") from error
        except OSError as error:
            raise RunError(f"cannot write in {self.path.parent}: {error.strerror or error}") from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _open(self) -> None:
        manifest = self.path / "manifest.json"
        if self.path.is_dir():
            earlier = read_json(manifest) if manifest.is_file() else {}
            if earlier.get("fingerprint") == self._identity:
                return
            aside = self.path.with_name(self.path.name + ".superseded")
            if aside.is_dir():
                _remove(aside)
            self.path.rename(aside)
            print(f"{self.path}: made with other settings, inputs or code; set aside as {aside.name}, starting anew")
        self.path.mkdir()
        write_json(manifest, self._manifest)

    @property
    def finished(self) -> bool:
        """Whether the stage ran to its end."""
        return "finished" in read_json(self.path / "manifest.json")

    def finish(self, **facts: Any) -> None:
        """Mark the stage as done and add facts to its manifest."""
        manifest = read_json(self.path / "manifest.json")
        write_json(self.path / "manifest.json", {**manifest, **facts, "finished": _now()})

    def record(self, line: dict[str, Any]) -> None:
        """Append one epoch to metrics.jsonl, replacing any line of the same or a later epoch, and stamp times.jsonl."""
        kept = [earlier for earlier in read_metrics(self.path) if earlier["epoch"] < line["epoch"]]
        lines = [json.dumps(entry, allow_nan=False) for entry in [*kept, line]]
        write_text(self.path / "metrics.jsonl", "\n".join(lines) + "\n")
        with (self.path / "times.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"epoch": line["epoch"], "time": time.time()}) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl, oldest first; an empty list before the first epoch."""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
