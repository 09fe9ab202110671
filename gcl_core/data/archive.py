"""Unpacking a dataset's archive: whole or not at all, and nowhere but into its folder."""

import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock, Timeout
from tqdm import tqdm

from gcl_core.data.index import ARCHIVE_SUFFIXES, DataError
from gcl_core.files import why

LARGEST = 200 * 10**9  # bytes unpacked: several times the largest dataset known here
HIGHEST_RATIO = 100  # unpacked to packed; pictures hardly shrink at all
HARMLESS = 100 * 10**6  # bytes: what unpacks to less fills no disk, whatever its ratio
BLOCK = 4096  # bytes per file takes at least on most disks
BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, UnicodeError, ValueError)


@dataclass(frozen=True)
class Member:
    """One entry of an archive: its path there, its bytes when unpacked, how to read it (None: it is a folder)."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]] | None


def unpack(archive: Path, target: Path) -> Path:
    """Unpack a zip or tar (.gz, .bz2, .xz) into the new folder `target`, whole or not at all; return `target`.

    Files are written to a hidden folder beside `target`, which then takes its name; one left by a killed call is
    removed. Names, links and sizes are checked before anything is written.

    Raises DataError: `target` exists; not an archive, broken, truncated, encrypted, empty; an entry that is absolute,
    climbs out of the folder, comes twice or is a link or device; too large for the disk or out of all proportion.
    """
    if target.exists() or target.is_symlink():
        raise DataError(f"{target} exists already; give the name of a new folder, or remove it first")
    scratch = target.with_name(f".{target.name}.unpacking")
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        with _open(archive) as source:
            members = _checked_members(archive, source)
            _check_room(archive, target, members)
            target.parent.mkdir(parents=True, exist_ok=True)
            with lock.acquire(timeout=0):
                try:
                    _write_members(scratch, members)
                    scratch.rename(target)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
                    Path(lock.lock_file).unlink(missing_ok=True)
    except DataError:
        raise
    except Timeout as error:
        raise DataError(f"{target} is being unpacked by another call; wait for it or stop it") from error
    except NotImplementedError as error:
        raise DataError(f"{archive} is packed in a way that Python cannot read ({error}); unpack it by hand") from error
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            reason, where = why(error, target.parent), error.filename or target
            raise DataError(f"cannot unpack {archive}: {where}: {reason}; {target} was not made") from error
        raise DataError(f"{archive} is broken or truncated ({error or 'it ends early'}); fetch it again") from error
    return target


def archives_in(folder: Path) -> list[Path]:
    """Return what by its name is an archive in a folder or below it: `unpack` leaves archives inside of one as are."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES))


def _open(archive: Path) -> tarfile.TarFile | zipfile.ZipFile:
    if archive.is_dir():
        raise DataError(f"{archive} is a folder, there is nothing to unpack; give it as data_root")
    if tarfile.is_tarfile(archive):
        return tarfile.open(archive)
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    raise DataError(
        f"{archive} is neither a zip nor a tar (.gz, .bz2, .xz), or it is truncated; fetch it again, or unpack it with "
        "the program that made it"
    )


def _checked_members(archive: Path, source: tarfile.TarFile | zipfile.ZipFile) -> list[Member]:
    """Return an archive's entries. Raises DataError when one is not to be unpacked or all of them are too much."""
    packed, total = archive.stat().st_size, 0
    members: dict[PurePosixPath, Member] = {}
    entries = _tar_members(archive, source) if isinstance(source, tarfile.TarFile) else _zip_members(archive, source)
    for member in entries:
        total += member.size
        if total > min(LARGEST, max(HIGHEST_RATIO * packed, HARMLESS)):
            raise DataError(
                f"{archive} ({packed} bytes) would unpack to {total} bytes or more: out of proportion for pictures, "
                "as in a zip bomb; if you trust it, unpack it by hand"
            )
        if member.path in members and (member.open or members[member.path].open):
            raise DataError(f"{archive} holds {member.path} twice; nothing was unpacked: fetch it again")
        members[member.path] = member
    files = {path for path, member in members.items() if member.open}
    inside = next((path for path in members if not files.isdisjoint(path.parents)), None)
    if inside or not files:
        what = f"holds {inside} inside of what is a file" if inside else "holds no file"
        raise DataError(f"{archive} {what}; nothing was unpacked: fetch it again")
    return list(members.values())


def _zip_members(archive: Path, source: zipfile.ZipFile) -> Iterator[Member]:
    for info in source.infolist():
        path = _safe_path(archive, info.orig_filename)
        if info.flag_bits & 1:
            raise DataError(f"{archive} is encrypted; unpack it by hand with the password its authors gave you")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{archive} holds the link {path}; a dataset needs none: unpack it by hand if you trust it")
        folder = info.orig_filename.endswith(("/", "\\"))
        yield Member(path, info.file_size, None if folder else lambda info=info: source.open(info))


def _tar_members(archive: Path, source: tarfile.TarFile) -> Iterator[Member]:
    for info in source:
        path = _safe_path(archive, info.name)
        if not info.isreg() and not info.isdir():
            raise DataError(
                f"{archive} holds {path}, a link or device; a dataset needs none: unpack it by hand if you trust it"
            )
        yield Member(path, info.size, None if info.isdir() else lambda info=info: _tar_stream(source, info))
    # tarfile takes a file cut off between two entries for a whole one: look for the mark of the end
    assert source.fileobj is not None
    source.fileobj.seek(source.offset)
    if source.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{archive} is broken or truncated (its end mark is missing); fetch it again")
    while source.fileobj.read(1 << 20):
        pass  # to the end, where a packed stream has its check sum


def _tar_stream(source: tarfile.TarFile, info: tarfile.TarInfo) -> io.BufferedReader:
    stream = source.extractfile(info)
    assert isinstance(stream, io.BufferedReader)  # None is for what is no file
    return stream


def _safe_path(archive: Path, name: str) -> PurePosixPath:
    """Return an entry's name as a relative path; backslashes part folders as in archives made on Windows."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(f"{archive} holds {name!r}, which would lie outside the folder; nothing was unpacked")
    return path


def _check_room(archive: Path, target: Path, members: Iterable[Member]) -> None:
    needed = sum(-(-member.size // BLOCK) * BLOCK for member in members)
    there = next(folder for folder in target.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DataError(
            f"{archive} needs {needed / 1e9:.1f} GB when unpacked, {there} has {free / 1e9:.1f} GB free; make room or "
            "choose another disk"
        )


def _write_members(scratch: Path, members: list[Member]) -> None:
    if scratch.exists():
        shutil.rmtree(scratch)  # of a call that was killed
    scratch.mkdir()
    for member in tqdm(members, desc="unpacking", delay=2, mininterval=2):
        path = scratch / member.path
        if member.open is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
