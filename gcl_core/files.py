"""Reading and writing files: whole or not at all, and errors that name the file."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RunError(RuntimeError):
    """A run cannot start or go on; the text says why, where and what to do."""


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
