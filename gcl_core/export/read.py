"""An export of drawn views as others get it: its manifest and pictures, and whether every byte is as it was written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from jaxtyping import UInt8

from gcl_core.data.index import some_of
from gcl_core.data.pictures import read_picture
from gcl_core.files import RunError, hash_file

WITHOUT_PIXELS = "{} holds recipe and manifest alone; its README.md says how to draw the pixels"
RECIPE, SUMS = "recipe.json", "SHA256SUMS"  # the first and the last file of an export


@dataclass(frozen=True)
class Views:
    """An export: `manifest` has one line per view (see `view_manifest`); pictures are read when asked for."""

    folder: Path
    manifest: pd.DataFrame

    @property
    def drawn(self) -> bool:
        """Whether the pictures are here, not recipe and manifest alone."""
        return not self.manifest["sha256"].isna().to_numpy().any()

    def pictures(self, lines: pd.DataFrame) -> UInt8[np.ndarray, "n h w 3"]:
        """Return the pictures of lines of the manifest. Raises RunError where the export holds none."""
        if not self.drawn:
            raise RunError(WITHOUT_PIXELS.format(self.folder))
        size = int(lines["height"].iloc[0]), int(lines["width"].iloc[0])
        return np.stack([read_picture(self.folder / file, *size) for file in lines["file"]])

    def sources(self, lines: pd.DataFrame) -> UInt8[np.ndarray, "n h w"]:
        """Return where each pixel of lines of the manifest comes from, as `gcl_core.surface.sources.NAMES` has it.

        Raises RunError for an export of drawn views, which have no sources, and as `pictures` does.
        """
        if "sources" not in lines:
            raise RunError(f"{self.folder} holds drawn views, whose pixels have no sources; carried ones have")
        if not self.drawn:
            raise RunError(WITHOUT_PIXELS.format(self.folder))
        return np.stack([np.asarray(PIL.Image.open(self.folder / file)) for file in lines["sources"]])

    def of(self, sources: Sequence[str]) -> UInt8[np.ndarray, "n v h w 3"]:
        """Return all views of each source picture, yaws ascending. Raises RunError for one that has none here."""
        lines = {source: lines for source, lines in self.manifest.groupby("source", sort=False)}
        lacking = [source for source in sources if source not in lines]
        if lacking:
            raise RunError(f"{self.folder} has no views of {some_of(lacking)}; export those people too")
        return np.stack([self.pictures(lines[source]) for source in sources])


def load_views(folder: Path) -> Views:
    """Open a finished export. Raises RunError when there is none, it has not run to its end, or it is damaged."""
    _require_finished(folder)
    return Views(folder, _read_manifest(folder / "manifest.parquet"))


def file_hashes(manifest: pd.DataFrame) -> dict[str, str]:
    """Return the SHA-256 of each view and, of carried ones, of the picture of its pixels' sources, by file."""
    hashes = dict(zip(manifest["file"], manifest["sha256"], strict=True))
    if "sources" in manifest:
        hashes |= dict(zip(manifest["sources"], manifest["sources_sha256"], strict=True))
    return hashes


def verify_views(folder: Path) -> int:
    """Return the number of an export's files, all of them as they were written.

    Raises RunError that names every changed, missing or extra file, as `compare_views` finds them.
    """
    whole, faults = compare_views(folder)
    if faults:
        told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in faults.items())
        raise RunError(
            f"{folder} is not as it was exported. {told[0].upper()}{told[1:]}. Move away what is extra; the same "
            f"export-views makes again what is changed or missing, if {RECIPE} can still be read. Or export it anew "
            "into another folder, or get it anew"
        )
    return len(whole)


def compare_views(folder: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the SHA-256 of an export's files that are as they were written, and by kind those that are not.

    A picture counts as changed, too, when SHA256SUMS was made anew but the manifest knows it otherwise. Raises RunError
    for a folder without a finished export, and when SHA256SUMS or a manifest that it vouches for is damaged.
    """
    _require_finished(folder)
    sums = _read_sums(folder / SUMS)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {SUMS}
    found = {name: hash_file(folder / name) for name in sorted(there & set(sums))}
    changed = {name for name, digest in found.items() if digest != sums[name]}
    if "manifest.parquet" in found and "manifest.parquet" not in changed:
        told = file_hashes(_read_manifest(folder / "manifest.parquet").dropna(subset="sha256"))
        changed |= {name for name in found if told.get(name, found[name]) != found[name]}
    faults = {"changed": sorted(changed), "missing": sorted(set(sums) - there), "extra": sorted(there - set(sums))}
    whole = {name: digest for name, digest in found.items() if name not in changed}
    return whole, {kind: names for kind, names in faults.items() if names}


def _require_finished(folder: Path) -> None:
    if not (folder / SUMS).is_file():
        raise RunError(
            f"{folder} holds no finished export of views ({SUMS} is not there); make it, or go on with it, by "
            "python -m gcl_core export-views"
        )


def _read_manifest(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # what is no Parquet is a ValueError
        raise RunError(
            f"{path} is damaged or lost ({error}); export it anew into another folder, or get it anew"
        ) from error


def _read_sums(path: Path) -> dict[str, str]:
    again = "give the same export-views again, which makes it again, or get it anew"
    try:
        lines = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        sums = {name: digest for digest, name in lines}
    except ValueError as error:
        raise RunError(f"{path} is damaged: a line is not `SHA-256  file`; {again}") from error
    if not sums:
        raise RunError(f"{path} is damaged: it has no line; {again}")
    return sums
