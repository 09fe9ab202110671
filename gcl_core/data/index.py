"""Which pictures a dataset holds: file, identity, camera, split, by their names (§5.4) or by a table of one's own."""

import csv
import errno
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

SPLITS = ("train", "query", "gallery")
MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
MARKET_NAME = re.compile(r"(?P<pid>-1|[0-9]{1,9})_c(?P<camid>[0-9]{1,9})(?![0-9])")
MSMT_LISTS = {
    **{"train": ("list_train.txt", "list_val.txt"), "query": ("list_query.txt",), "gallery": ("list_gallery.txt",)},
}
MSMT_FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}  # V1 and V2 (faces masked)
MSMT_LINE = re.compile(r"(?P<file>\S.*?)\s+(?P<pid>[0-9]{1,9})\s*")
MSMT_NAME = re.compile(r"[^_]*_[^_]*_(?P<camid>[0-9]{1,9})_")
TABLE = "pictures.csv"  # in the folder of `folder`: it says what names say elsewhere
TABLE_COLUMNS = ("file", "pid", "camid", "split")
TABLE_NUMBERS = {"pid": re.compile(r"-1|[0-9]{1,9}"), "camid": re.compile(r"[0-9]{1,9}")}
JUNK = -1  # identity of pictures that are neither right nor wrong
DISTRACTOR = 0  # identity, in the gallery, of pictures of nobody searched for
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SEARCHED_FOLDERS = 500  # at most, when the right data_root is looked for
NAMED = 300  # characters of a name that messages show

Entry = tuple[str, int, int]


class DataError(ValueError):
    """Pictures, meshes or their folders are not as they must be; the text says what, where and what to do."""


@dataclass(frozen=True)
class Arrangement:
    """How a dataset lies in its folder."""

    needed: tuple[tuple[str, ...], ...]  # in its root: one name out of each group
    entries: Callable[[Path, str], Iterator[Entry]]  # (root, split) → file, pid, camid
    one_numbering: bool  # whether a number names the same person in training and test


def list_pictures(dataset: str, root: Path) -> pd.DataFrame:
    """List all pictures of a dataset, junk (identity -1) and distractors (identity 0) included.

    Returns columns file (relative to `root`, with `/`), pid, camid, split; sorted by split (train, query, gallery) and
    file whatever the file system's order. MSMT17 numbers its people from 0, which means distractor elsewhere: its
    identities are read as number + 1. A `folder` that holds pictures.csv is read by that table, whatever its names.

    Raises DataError: no such folder, an archive, a folder above or below the right one, a split missing or empty, a
    name or line of a list or table that does not parse, one picture in both query and gallery, a person in both
    training and test, a folder that may not be read.
    """
    try:
        arrangement = _arrangement(dataset, root)
        _check_root(dataset, arrangement, root)
        rows = [(*entry, split) for split in SPLITS for entry in sorted(arrangement.entries(root, split))]
    except OSError as error:
        where, why = str(error.filename or root), error.strerror or error
        denied, long = isinstance(error, PermissionError), error.errno == errno.ENAMETOOLONG
        advice = "give yourself the right to read it" if denied else "shorten it" if long else "copy it anew"
        raise DataError(f"{where[:NAMED]}{'…' * (len(where) > NAMED)} cannot be read ({why}); {advice}") from error
    index = pd.DataFrame(rows, columns=["file", "pid", "camid", "split"])
    _check_splits(root, index)
    _check_once(index)
    if arrangement.one_numbering:
        _check_people(root, index)
    return index


def read_index(dataset: str, root: Path) -> pd.DataFrame:
    """List the pictures a study uses: `list_pictures` without junk (§5.4); distractors stay in the gallery."""
    index = list_pictures(dataset, root)
    return index.loc[index["pid"] != JUNK].reset_index(drop=True)


def list_ignored(root: Path, index: pd.DataFrame) -> list[str]:
    """List the files below a dataset's picture folders that `index` does not name, such as Thumbs.db; sorted."""
    listed = set(index["file"])
    folders = sorted({file.partition("/")[0] for file in listed})
    below = [Path(where) / name for top in folders for where, _, names in os.walk(root / top) for name in names]
    return sorted({path.relative_to(root).as_posix() for path in below} - listed)


def some_of(items: Iterable[object], count: int = 3) -> str:
    """Return a list as text, cut after `count` items: `a, b, c … and 9 more`."""
    texts = [str(item) for item in items]
    more = f" … and {len(texts) - count} more" if len(texts) > count else ""
    return ", ".join(texts[:count]) + more


def _market_entries(root: Path, split: str) -> Iterator[Entry]:
    folder = root / MARKET_FOLDERS[split]
    names = list(filter(_is_picture, sorted(os.listdir(folder))))
    if not names and (deeper := _first_folder_of_pictures(folder)):
        raise DataError(
            f"{folder} holds no picture itself, but {deeper} does; move the pictures up into {folder.name}, or list "
            f"them in {TABLE} and use dataset=folder"
        )
    for name in names:
        match = MARKET_NAME.match(name)
        if odd := unprintable(name):
            raise DataError(f"{folder}: the name {name!a} holds {odd}, which cannot be printed; rename it")
        if match is None:
            raise DataError(
                f"{folder / name}: the name does not begin like 0002_c1 (identity, camera); rename it or take it out "
                "of the folder"
            )
        yield f"{folder.name}/{name}", int(match["pid"]), int(match["camid"])


def _is_picture(name: str) -> bool:
    """Return whether a file is a picture by its name; Thumbs.db and a Mac's ._0002_c1.jpg are none."""
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def _first_folder_of_pictures(folder: Path) -> str | None:
    found = (where for where, _, names in os.walk(folder) if any(map(_is_picture, names)))
    return min(found, default=None)


def _msmt_entries(root: Path, split: str) -> Iterator[Entry]:
    folders = MSMT_FOLDERS["train" if split == "train" else "test"]
    folder, *others = [name for name in folders if (root / name).is_dir()]
    if others:
        raise DataError(f"{root} holds both {folder} and {others[0]}, which are V1 and V2; keep one of the two there")
    seen: dict[str, str] = {}
    for name in MSMT_LISTS[split]:
        for number, line in enumerate(_lines(root / name), start=1):
            where = f"{root / name}, line {number}"
            words = MSMT_LINE.fullmatch(line)
            file = PurePosixPath(words["file"]) if words else PurePosixPath("/")
            match = MSMT_NAME.match(file.name)
            if words and (odd := unprintable(words["file"])):
                raise DataError(f"{where}: the name {words['file']!a} holds {odd}, which cannot be printed; rename it")
            if words is None or match is None or file.is_absolute() or ".." in file.parts:
                raise DataError(
                    f"{where}: expected a line like `0000/0000_000_01_0303morning_0008_0.jpg 0` (path, identity; the "
                    f"camera is the name's third field), got {line!r}"
                )
            earlier = seen.setdefault(str(file), where)
            if earlier is not where:
                raise DataError(f"{where}: {file} is listed already in {earlier}; remove one of the two lines")
            if not (root / folder / file).exists():
                raise DataError(f"{where}: {root / folder / file} is not there; restore it or take the line out")
            yield f"{folder}/{file}", int(words["pid"]) + 1, int(match["camid"])


def _table_entries(root: Path, split: str) -> Iterator[Entry]:
    """Yield a split's pictures by the table in `root`; every line is checked, files are looked for in this split."""
    seen: dict[str, int] = {}
    for number, line in _table_lines(root / TABLE):
        where = f"{root / TABLE}, line {number}"
        if not any(line.values()):
            raise DataError(f"{where}: the line is empty but for its commas; remove it")
        if odd := unprintable(line["file"]):
            raise DataError(f"{where}: the name {line['file']!a} holds {odd}, which cannot be printed; rename the file")
        file = PurePosixPath(_on_disk(root, line["file"]))
        if not file.name or file.is_absolute() or ".." in file.parts:
            raise DataError(
                f"{where}: file is {line['file']!r}; expected a path in the table's folder, such as people/ann_1.jpg: "
                "move the picture there"
            )
        if file.suffix.lower() not in PICTURE_SUFFIXES or file.name.startswith("."):
            raise DataError(f"{where}: {file} is hidden or no .jpg, .jpeg or .png; convert or rename it")
        for column, form in TABLE_NUMBERS.items():
            if not form.fullmatch(line[column]):
                least = "-1 (junk), 0 (distractor) or the person's number" if column == "pid" else "the camera's number"
                raise DataError(f"{where}: {column} is {line[column]!r}; write {least}, a whole one of up to 9 digits")
        if line["split"] not in SPLITS:
            raise DataError(f"{where}: split is {line['split']!r}; write one of {', '.join(SPLITS)}")
        earlier = seen.setdefault(str(file), number)
        if earlier != number:
            raise DataError(f"{where}: {file} is listed already in line {earlier}; remove one of the two lines")
        if line["split"] != split:
            continue
        if not (root / file).exists():
            raise DataError(f"{where}: {root / file} is not there; restore it or take the line out")
        yield str(file), int(line["pid"]), int(line["camid"])


def _on_disk(root: Path, name: str) -> str:
    """Return a picture's path as the disk has it: tables of Windows have other slashes, Macs other forms of accents."""
    slashes = name.replace("\\", "/")
    forms = [name, slashes, *(unicodedata.normalize(form, slashes) for form in ("NFC", "NFD"))]
    return next((form for form in forms if os.path.lexists(root / form)), name)


def unprintable(name: str) -> str:
    """Return the first character of a name that is neither printable nor a kind of space, as U+0007; "" if none is."""
    odd = [letter for letter in name if not letter.isprintable() and unicodedata.category(letter) != "Zs"]
    return f"U+{ord(odd[0]):04X}" if odd else ""


def _table_lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a table of pictures with their numbers; cells without spaces around, absent ones empty."""
    head = ",".join(TABLE_COLUMNS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet may write a byte order mark
            table = csv.DictReader(file, restval="", strict=True)
            table.fieldnames = [name.strip() for name in table.fieldnames or []]
            missing = [name for name in TABLE_COLUMNS if name not in table.fieldnames]
            if missing:
                found = f"the columns {', '.join(table.fieldnames)}" if table.fieldnames else "nothing"
                raise DataError(
                    f"{path}, line 1: no column {', '.join(missing)} (found: {found}); begin the file with the line "
                    f"`{head}`, parted by commas"
                )
            twice = [name for name in TABLE_COLUMNS if table.fieldnames.count(name) > 1]
            if twice:
                raise DataError(f"{path}, line 1: column {twice[0]} stands there twice; take one of the two out")
            line = None
            for line in table:
                yield table.line_num, {name: line[name].strip() for name in TABLE_COLUMNS}
            if line is None:
                raise DataError(f"{path} lists no picture; give each a line `{head}` below the first")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}); save it anew as CSV in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV ({error}); save it anew as CSV, parted by commas") from error


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text file ({error}); copy it anew from the dataset's archive") from error


MARKET = Arrangement(tuple((name,) for name in MARKET_FOLDERS.values()), _market_entries, one_numbering=True)
MSMT = Arrangement(
    (*((name,) for names in MSMT_LISTS.values() for name in names), *MSMT_FOLDERS.values()),
    _msmt_entries,
    one_numbering=False,
)
LISTED = Arrangement(((TABLE,),), _table_entries, one_numbering=True)
DATASETS = {"synthetic": MARKET, "market1501": MARKET, "dukemtmc_reid": MARKET, "msmt17": MSMT, "folder": MARKET}


def _arrangement(dataset: str, root: Path) -> Arrangement:
    if dataset not in DATASETS:
        raise DataError(f"{dataset!r} is no dataset known here; choose one of {', '.join(DATASETS)}")
    listed = dataset == "folder" and (os.path.isfile(root / TABLE) or os.path.islink(root / TABLE))
    return LISTED if listed else DATASETS[dataset]


def _check_root(dataset: str, arrangement: Arrangement, root: Path) -> None:
    """Raise DataError when `root` is not the dataset's folder, and say which one looks right."""
    try:
        names = set(os.listdir(root))
    except FileNotFoundError as error:
        raise DataError(
            f"{root}: no such folder; give the folder that holds the dataset (data_root, or --root)"
        ) from error
    except NotADirectoryError as error:
        unpack = f"unpack it first: python -m gcl_core unpack {root} --out DIR, then give DIR as data_root"
        advice = unpack if root.name.lower().endswith(ARCHIVE_SUFFIXES) else "give a folder (data_root, or --root)"
        if root.suffix.lower() == ".csv":
            advice = f"name it {TABLE}, give the folder that holds it as data_root, and dataset=folder"
        raise DataError(f"{root} is a file; {advice}") from error
    missing = _missing(arrangement, root)
    if not missing:
        return
    for name in (name for group in arrangement.needed for name in group):
        if os.path.islink(root / name) and not os.path.exists(root / name):
            raise DataError(
                f"{root / name} is a link to {os.readlink(root / name)}, which is not there; mount or fetch that first"
            )
    kinds = {"market1501": MARKET, "msmt17": MSMT, "folder": LISTED}
    other = [name for name, kind in kinds.items() if not _missing(kind, root)]
    hints = [f"dataset={name} looks right for what is there" for name in other]
    hints += [f"data_root={path} looks right" for path in _search(arrangement, root)]
    if dataset == "folder":
        hints += [f"data_root={path} looks right" for path in _search(LISTED, root)]
    raise DataError(
        f"{root}: {', '.join(missing)} not found (found: {some_of(sorted(names), 8) or 'nothing'}); "
        f"{' or '.join(hints[:3]) or 'give the folder that holds them (data_root, or --root)'}"
    )


def _missing(arrangement: Arrangement, folder: Path) -> list[str]:
    """Return what of an arrangement is not in `folder`; lists must be files, what holds pictures folders."""

    def there(name: str) -> bool:
        return (os.path.isfile if name.endswith((".txt", ".csv")) else os.path.isdir)(folder / name)

    return [" or ".join(group) for group in arrangement.needed if not any(map(there, group))]


def _search(arrangement: Arrangement, root: Path) -> list[Path]:
    """Return the folders up to three levels below `root` and two above that hold a dataset so arranged."""
    level, below = [root], []
    for _ in range(3):
        level = [folder for parent in level for folder in _subfolders(parent)][:SEARCHED_FOLDERS]
        below += level
    return [folder for folder in [*below, *list(root.absolute().parents)[:2]] if not _missing(arrangement, folder)]


def _subfolders(folder: Path) -> list[Path]:
    try:
        folders = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    return sorted(path for path in folders if not path.name.startswith((".", "__MACOSX")))  # a Mac's, in its archives


def _check_splits(root: Path, index: pd.DataFrame) -> None:
    used = set(index.loc[index["pid"] != JUNK, "split"])
    empty = [split for split in SPLITS if split not in used]
    if empty:
        raise DataError(
            f"{root}: no picture in {', '.join(empty)}; expected .jpg, .jpeg or .png files named like "
            "0002_c1s1_000451_03.jpg, or a line each in MSMT17's lists or pictures.csv"
        )


def _check_once(index: pd.DataFrame) -> None:
    tests = index.loc[index["split"] != "train"]
    again = tests.loc[tests.duplicated("file"), "file"]
    if len(again):
        raise DataError(
            f"{again.iloc[0]} is listed both as query and as gallery, where it would find itself; take it out of one"
        )


def _check_people(root: Path, index: pd.DataFrame) -> None:
    nobody = index.loc[(index["split"] == "query") & (index["pid"] == DISTRACTOR), "file"]
    if len(nobody):
        raise DataError(
            f"{root / nobody.iloc[0]}: a query of identity 0, which means distractor (nobody searched for); number "
            "people from 1"
        )
    real = index[index["pid"] > DISTRACTOR]
    both = sorted(set(real.loc[real["split"] == "train", "pid"]) & set(real.loc[real["split"] != "train", "pid"]))
    if both:
        raise DataError(
            f"{root}: identity {some_of(both, 5)} in training and also in query or gallery: the test would ask for "
            "people seen in training; give different people different numbers, or move their pictures to one side"
        )
