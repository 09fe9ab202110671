"""Which picture of a dataset a name in somebody's file means: keypoints, depths and bodies all ask here."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from gcl_core.data.index import PICTURE_SUFFIXES, DataError, some_of
from gcl_core.mesh.numbers import text_of

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Matches:
    """What a file's names mean."""

    places: dict[str, int]  # picture → the place, in the file, of the name that means it
    strangers: tuple[str, ...]  # names that mean no picture of the dataset
    copied_to: str = ""  # the one folder of all names where the dataset has none such, and base names were taken

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return sentences on what the names of `source` left open."""
        notes = ()
        if self.copied_to:
            notes += (f"{source} names pictures in {text_of(self.copied_to)}: taken by their base names",)
        if self.strangers:
            notes += (
                f"{len(self.strangers)} names in {source} mean no picture of the dataset: {_some(self.strangers)}",
            )
        return notes


def match_names(named: Sequence[str], wanted: Sequence[str], source: Path | str) -> Matches:
    """Return which picture (`wanted`: paths below a dataset's root) each name of a file `source` means.

    A name means the picture whose path it ends with, or that ends with it: `/data/set/query/a.jpg`, `query/a.jpg` and
    `a.jpg` all mean `query/a.jpg`. First the full name decides; what then is left is matched without its suffix (`a`,
    `a.png`), but `a.png` not to a picture that is named in full. Where no name means a picture and all lie in one
    folder that the dataset does not have, as in a flat copy of it, base names count. Upper and lower case differ, the
    two ways to write an accent do not.

    Raises DataError: a name that could mean several pictures, two names that mean one picture, no name that means one.
    """
    finder = _Finder(wanted)
    places: dict[str, int] = {}
    left = dict(enumerate(named))
    _claim(finder.by_full_name, places, left, named, source)
    _claim(finder.by_stem, places, left, named, source)
    copied_to = "" if places else finder.one_other_folder(named)
    if copied_to:
        _claim(finder.by_base_name, places, left, named, source)
    if not places:
        raise DataError(
            f"{source} names none of the dataset's pictures: it has {_some(named) or 'no name'}, the dataset "
            f"{some_of(wanted)}; names must be paths below the dataset's folder, or base names"
        )
    return Matches({file: places[file] for file in wanted if file in places}, tuple(left.values()), copied_to)


def _claim(
    meaning: Callable[[str, Path | str], str | None],
    places: dict[str, int],
    left: dict[int, str],
    named: Sequence[str],
    source: Path | str,
) -> None:
    """Move names from `left` to the pictures that they mean (`places`) in one way of reading them."""
    earlier = set(places)
    for place, name in list(left.items()):
        file = meaning(name, source)
        if file is None or (file in earlier and not _is_stem(name)):
            continue
        if file in places:
            raise DataError(
                f"{source}: {text_of(named[places[file]])} and {text_of(name)} both mean {file}; keep one of the two"
            )
        places[file] = place
        del left[place]


def mesh_names(index: pd.DataFrame) -> dict[str, str]:
    """Return the name of each picture's projections below a folder such as `train/render`, for an index of pictures.

    It is the picture's base name, as in the authors' release, where no other picture of its side (training; query and
    gallery) has that; otherwise as many of the folders before it as tell them apart: `hall/1.jpg` and `yard/1.jpg`.
    """
    training = index["split"] == "train"
    return _shortest(index.loc[training, "file"].tolist()) | _shortest(index.loc[~training, "file"].tolist())


def _shortest(files: Sequence[str]) -> dict[str, str]:
    owners: dict[Parts, int] = {}
    for file in files:
        for end in _ends(PurePosixPath(file).parts):
            owners[end] = owners.get(end, 0) + 1
    names = {}
    for file in files:
        ends = list(_ends(PurePosixPath(file).parts))
        names[file] = "/".join(next((end for end in reversed(ends) if owners[end] == 1), ends[0]))
    return names


def _some(names: Sequence[str]) -> str:
    return some_of(text_of(name) for name in names)


class _Finder:
    """The pictures of a dataset by every end of their paths."""

    def __init__(self, wanted: Sequence[str]):
        self.whole: dict[Parts, list[str]] = {}
        for file in wanted:
            self.whole.setdefault(_parts(file), []).append(file)
        self.stems: dict[Parts, list[str]] = {}
        self.ends: dict[Parts, list[str]] = {}
        self.stem_ends: dict[Parts, list[str]] = {}
        self.folders = {part for file in wanted for part in _parts(file)[:-1]}
        for parts, files in self.whole.items():
            self.stems.setdefault(_stem(parts), []).extend(files)
            for end in _ends(parts):
                self.ends.setdefault(end, []).extend(files)
                self.stem_ends.setdefault(_stem(end), []).extend(files)

    def by_full_name(self, name: str, source: Path | str) -> str | None:
        return self._one(_parts(name), self.whole, self.ends, name, source)

    def by_stem(self, name: str, source: Path | str) -> str | None:
        return self._one(_stem(_parts(name)), self.stems, self.stem_ends, name, source)

    def by_base_name(self, name: str, source: Path | str) -> str | None:
        end = _parts(name)[-1:]
        return _only(self.ends.get(end) or self.stem_ends.get(_stem(end), []), name, source)

    def one_other_folder(self, named: Sequence[str]) -> str:
        """Return the folder in which all names lie, if it is one that the dataset does not have."""
        folders = {_parts(name)[:-1] for name in named}
        folder = folders.pop() if len(folders) == 1 else ()
        return "/".join(folder) if folder and folder[-1] not in self.folders else ""

    @staticmethod
    def _one(
        parts: Parts, whole: dict[Parts, list[str]], ends: dict[Parts, list[str]], name: str, source: Path | str
    ) -> str | None:
        for end in _ends(parts):  # the longest first
            if end in whole:
                return _only(whole[end], name, source)
        return _only(ends.get(parts, []), name, source)


def _only(files: list[str], name: str, source: Path | str) -> str | None:
    if len(files) > 1:
        raise DataError(
            f"{source}: {text_of(name)} could mean {some_of(files, 2)}; name pictures by their whole path, with suffix"
        )
    return files[0] if files else None


def _parts(name: str) -> Parts:
    return PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).parts


def _ends(parts: Parts) -> Iterator[Parts]:
    return (parts[start:] for start in range(len(parts)))


def _is_stem(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).suffix.lower() not in PICTURE_SUFFIXES


def _stem(parts: Parts) -> Parts:
    if not parts or PurePosixPath(parts[-1]).suffix.lower() not in PICTURE_SUFFIXES:
        return parts
    return (*parts[:-1], PurePosixPath(parts[-1]).stem)
