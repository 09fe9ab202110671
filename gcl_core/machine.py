"""What differs between machines: cores, the terminal's characters, folders in a home that cannot be written."""

import io
import os
import sys
import tempfile
from pathlib import Path

from gcl_core.files import RunError

HOMES = {  # the setting of each program that writes in the home folder, and the folder that it takes without
    "XDG_CACHE_HOME": "~/.cache",  # Snakemake, numba, the body model, downloaded weights
    "MPLCONFIGDIR": "~/.config/matplotlib",
}
FILLED = {"TORCH_HOME": "torch", "ANNY_CACHE_DIR": "gcl_core"}  # in a cache that can only be read, used as they are


def cores() -> int:
    """Return how many CPU cores this process may use, which on a cluster or in a container are not all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle_streams() -> None:
    """Print what the terminal's character set lacks as `?`, and nothing where a stream is closed, without an error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # as after `>&-`
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def settle_caches() -> None:
    """Give this process and its children folders of their own where those in the home folder cannot be written.

    They lie in the folder of temporary files and are used again. Raises RunError when there is none.
    """
    usual = {name: Path(os.environ.get(name) or os.path.expanduser(path)) for name, path in HOMES.items()}
    locked = [name for name, folder in usual.items() if not _writable(folder)]
    if not locked:
        return
    scratch = _scratch()
    if "XDG_CACHE_HOME" in locked:
        for name, folder in FILLED.items():
            if (usual["XDG_CACHE_HOME"] / folder).is_dir():
                os.environ.setdefault(name, str(usual["XDG_CACHE_HOME"] / folder))
    os.environ.update({name: str(scratch / name.lower()) for name in locked})
    print(
        f"{usual[locked[0]]} cannot be written: caches are kept in {scratch}; set HOME or {locked[0]} to a folder that "
        "can be written to keep them elsewhere",
        file=sys.stderr,
    )


def _writable(folder: Path) -> bool:
    """Return whether a folder can be written or made."""
    if not folder.is_absolute():  # of ~ where no home folder is known
        return False
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    try:
        with tempfile.TemporaryFile(dir=there) as file:  # rights alone tell nothing of a full disk or quota
            file.write(b".")
    except OSError:
        return False
    return True


def _scratch() -> Path:
    try:
        folder = Path(tempfile.gettempdir(), f"gcl_core-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PermissionError(1, "it belongs to another user", str(folder))
    except OSError as error:
        raise RunError(
            f"neither the home folder nor that of temporary files can be written ({error}); set HOME or TMPDIR to a "
            "folder that can"
        ) from error
    return folder
