"""Which pictures a dataset holds: file, identity, camera, split, read from the names its authors gave them (§5.4)."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

SPLITS = ("train", "query", "gallery")
MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
MARKET_NAME = re.compile(r"(?P<pid>-?\d+)_c(?P<camid>\d+)")
MSMT_LISTS = {
    "train": (("list_train.txt", "train"), ("list_val.txt", "train")),
    "query": (("list_query.txt", "test"),),
    "gallery": (("list_gallery.txt", "test"),),
}
JUNK = -1  # identity of pictures that are neither right nor wrong
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}

Entry = tuple[str, int, int]


class DataError(ValueError):
    """Pictures, meshes or their folders are not as they must be; the text says what, where and what to do."""


def read_market_layout(root: Path) -> pd.DataFrame:
    """List a folder in the layout and naming of Market-1501 or DukeMTMC-reID (§5.4).

    Returns columns file (relative to `root`), pid, camid, split; sorted by split and name whatever the file system's
    order. Junk pictures (identity -1) are left out, distractors (identity 0) stay.

    Raises DataError: a split's folder missing or empty, a picture whose name does not parse.
    """

    def entries(split: str) -> Iterator[Entry]:
        folder = root / MARKET_FOLDERS[split]
        pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
        for path in sorted(pictures, key=lambda path: path.name):
            match = MARKET_NAME.match(path.name)
            if match is None:
                raise DataError(f"{path}: the name does not begin like 0002_c1; rename it or take it out of the folder")
            yield f"{folder.name}/{path.name}", int(match["pid"]), int(match["camid"])

    return _collect(root, entries, needed=MARKET_FOLDERS.values())


def read_msmt17(root: Path) -> pd.DataFrame:
    """List MSMT17 from its list files: training is list_train with list_val (§5.4); columns as `read_market_layout`.

    Raises DataError: a list file missing, a line that does not parse.
    """

    def entries(split: str) -> Iterator[Entry]:
        for name, side in MSMT_LISTS[split]:
            folder = next((f for f in (side, f"mask_{side}_v2", f"{side}_v2") if (root / f).is_dir()), side)
            for number, line in enumerate((root / name).read_text(encoding="utf-8").splitlines(), start=1):
                words = line.split()
                fields = Path(words[0]).name.split("_") if len(words) == 2 else []
                if len(fields) < 3 or not words[1].isdigit() or not fields[2].isdigit():
                    raise DataError(f"{root / name}, line {number}: expected `path identity`, got {line!r}")
                yield f"{folder}/{words[0]}", int(words[1]), int(fields[2])

    return _collect(root, entries, needed=[name for lists in MSMT_LISTS.values() for name, _ in lists])


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "synthetic": read_market_layout,
    "market1501": read_market_layout,
    "dukemtmc_reid": read_market_layout,
    "msmt17": read_msmt17,
}


def _collect(root: Path, entries: Callable[[str], Iterator[Entry]], *, needed: Iterable[str]) -> pd.DataFrame:
    missing = [name for name in needed if not (root / name).exists()]
    if missing:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise DataError(
            f"{root}: {', '.join(missing)} not found (found: {found}); data_root must be the folder that holds them"
        )
    rows = [(*entry, split) for split in SPLITS for entry in entries(split) if entry[1] != JUNK]
    empty = [split for split in SPLITS if all(row[3] != split for row in rows)]
    if empty:
        raise DataError(
            f"{root}: no picture in {', '.join(empty)}; expected .jpg or .png files named like 0002_c1s1_000451_03.jpg"
        )
    return pd.DataFrame(rows, columns=["file", "pid", "camid", "split"])
