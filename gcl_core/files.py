"""Reading and writing files: whole or not at all, and errors that name the file."""

import contextlib
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

SCRAP = re.compile(r"\..+\.(\d{1,9})\.tmp")  # what `atomic` writes to, with the process that writes
MADE_AGAIN = "restore it from a copy, or move it away and run the step that writes it again"


class RunError(RuntimeError):
    """A run cannot start or go on; the text says why, where and what to do."""


class DivergedError(ValueError):
    """Features are zero or not finite, as when a training has diverged; the text says whose and what to do."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes the name `path`, on failure nothing remains.

    Through a link the file that it leads to is written. Raises RunError when the folder cannot be written or the disk
    is full, or `path` is a device, a pipe, a folder or no name; an earlier `path` is then untouched. An error of the
    block about another file, such as one that it reads, is raised as it is.
    """
    if not path.name:
        raise RunError(f"cannot write {str(path)!r}: it names no file; give the name of a file")
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a device or a pipe, whose place a file would take"
            raise RunError(f"cannot write {path}: it is {kind}; give the name of a file")
        yield temporary
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # that of safetensors, which is no OSError, names no file
        if isinstance(error, OSError) and not concerns(error, path, temporary):
            raise
        reason = why(error, path.parent) if isinstance(error, OSError) else error
        elsewhere = isinstance(error, FileExistsError | NotADirectoryError)
        advice = "Name another place, or move that file away" if elsewhere else "Free space or check permissions"
        raise RunError(f"cannot write {path}: {reason}; nothing there changed. {advice}") from error
    finally:
        with contextlib.suppress(OSError):  # the error above is the one to tell
            temporary.unlink()


class _Enough(Exception):
    """Ends a try."""


def require_place(path: Path) -> None:
    """Raise RunError, before the work whose result it is to hold, for a path that `atomic` could not write."""
    missing = [folder for folder in path.parents if not folder.exists()]
    with contextlib.suppress(_Enough), atomic(path) as temporary:
        temporary.touch()
        raise _Enough
    with contextlib.suppress(OSError):  # another process may have written there since
        for folder in missing:
            folder.rmdir()


@contextlib.contextmanager
def held(
    lock: Path, taken: str, besides: str = "", raises: type[Exception] = RunError, *, wait: bool = False
) -> Iterator[None]:
    """Hold a lock, whose folder is made where it is missing; the lock goes with the process, however that ends.

    Raises RunError, or another class given as `raises`: another process holds it, for which `taken` says who is at work
    and where, or its folder cannot be written. `besides` ends both messages. With `wait` another process is waited for,
    however long it takes, and that is printed once.
    """
    from filelock import FileLock, Timeout  # here: who only reads files needs none of it

    own = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            own.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise
            print(f"{taken}; waiting for it", flush=True)
            own.acquire()
    except Timeout as error:
        raise raises(f"{taken}; wait for it or stop it, then try again{besides}") from error
    except OSError as error:
        raise raises(f"cannot write in {lock.parent}: {why(error, lock.parent)}{besides}") from error
    try:
        yield
    finally:
        own.release()


def why(error: OSError, folder: Path) -> str:
    """Return what kept the system from writing in a folder: what stands in a folder's place, if anything does."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        for place in (folder, *folder.parents):
            if place.is_symlink() and not place.exists():
                return f"{place} is a link to {os.readlink(place)}, which is not there"
            if place.exists() and not place.is_dir():
                return f"{place} is a file where a folder is needed"
    return error.strerror or str(error)


def concerns(error: OSError, *paths: Path) -> bool:
    """Whether an error of the system is about writing to one of some paths.

    It is when it names one of them, a folder above it or a file below it, and when it names no file at all, as that of
    a full disk does. A copy names two files; one of them suffices.
    """
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | os.PathLike)]
    named = [Path(os.path.realpath(os.fsdecode(name))) for name in names]
    ours = [Path(os.path.realpath(path)) for path in paths]
    return not named or any(a.is_relative_to(b) or b.is_relative_to(a) for a in named for b in ours)


def files_below(place: Path, left_out: Set[str] = frozenset()) -> dict[str, Path]:
    """Return all that is no folder in a folder and below it: name in the real folder → path; each real folder once.

    Hidden files and folders are passed over. Linked folders are searched too, after those beside them. Raises RunError
    for a folder that cannot be listed.
    """
    found, seen = dict[str, Path](), set(left_out) - {os.path.realpath(place)}
    for folder, folders, names in os.walk(place, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        shown = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted(shown, key=lambda name: (os.path.islink(os.path.join(folder, name)), name))
        for name in names:
            if not name.startswith(".") and (file := os.path.join(real, name)) not in seen:
                found[file] = Path(folder, name)
    return found


def _refuse(error: OSError) -> None:
    raise RunError(
        f"{error.filename} cannot be searched ({error.strerror}); give yourself the right to read it, or take it out"
    ) from error


def remove_scraps(folder: Path) -> None:
    """Remove what killed processes left half written in a folder and below it; for whoever holds the folder's lock.

    Files of another process that lives on this machine stay. One of this process's number is from an earlier process:
    in a container every call may have the same number.
    """
    for path in folder.rglob(".*.tmp"):
        scrap = SCRAP.fullmatch(path.name)
        if scrap and (int(scrap[1]) == os.getpid() or not _lives(int(scrap[1]))):
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 reaches nobody and tells whether it could
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN is refused, since it is no JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=str) + "\n")


class _Facts(dict[str, Any]):
    """An object of a JSON file: where it lacks a key that is asked for, the file is damaged or of something else."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise RunError(f"{self.path} is damaged or of something else: it lacks {key!r}; {MADE_AGAIN}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is missing or holds none is a RunError that names it.

    So is a key that the object, or one within it, lacks when it is asked for.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"), object_hook=lambda found: _Facts(path, found))
    except (OSError, ValueError) as error:  # no JSON, or no UTF-8
        raise RunError(f"cannot read {path}: {error}; {MADE_AGAIN}") from error
    if not isinstance(facts, dict):
        raise RunError(f"{path} is damaged or of something else: it holds no JSON object; {MADE_AGAIN}")
    return facts


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal; a missing or unreadable file is a RunError that names it."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {error.strerror or error}; check path and permissions, or run the step that writes it"
        ) from error


def known_hash(path: Path) -> str:
    """Return `hash_file`, of a file that was hashed before from memory, as long as it keeps its size and time."""
    try:
        facts = path.stat()
    except OSError:
        return hash_file(path)  # which says what is wrong
    return _known_hash(path, facts.st_size, facts.st_mtime_ns)


@functools.cache
def _known_hash(path: Path, _size: int, _time: int) -> str:
    return hash_file(path)
