"""Pictures of one's own: found in folders, embedded, ranked by their similarity to a query."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gcl_core.data.index import some_of
from gcl_core.data.pictures import BadPictureError, read_picture
from gcl_core.evaluation.features import extract_features
from gcl_core.files import RunError, atomic, files_below
from gcl_core.machine import cores
from gcl_core.retrieval.encoder import RunEncoder

SUFFIXES = {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
OF_THE_SYSTEM = {"desktop.ini", "thumbs.db"}  # what Windows puts into folders of pictures
RANKED = ("ranked.csv", "ranked.png")  # what a search writes
AT_ONCE = 1024  # pictures decoded before they are embedded
NAMED = 5  # bad pictures that an error names


def find_pictures(places: Sequence[Path], without: Iterable[Path] = ()) -> tuple[list[Path], dict[Path, int]]:
    """Return the named pictures and, in the order of their names, those in the named folders and below them by suffix.

    Hidden files are none, such as the `._0001.jpg` that a Mac puts beside a picture.

    Also returned: folder → how many other files it holds, hidden ones and the system's not counted. Linked folders are
    searched too; a folder that is reached twice counts once. What `without` names is left out where it lies below a
    named folder. Raises RunError for a place that does not exist, a folder without a picture or that cannot be listed,
    and names that are not UTF-8, which no table can hold.
    """
    found, others, left_out = dict[str, Path](), dict[Path, int](), {os.path.realpath(path) for path in without}
    for place in places:
        if place.is_dir():
            below = files_below(place, left_out)
            shown = {real: path for real, path in below.items() if not _is_no_picture(path)}
            pictures = {real: path for real, path in shown.items() if path.suffix.lower() in SUFFIXES}
            if not pictures:
                raise RunError(f"{place} holds no picture; pictures end in {', '.join(sorted(SUFFIXES))}")
            others[place] = len(shown) - len(pictures)
        elif place.exists():
            pictures = {os.path.join(os.path.realpath(place.parent), place.name): place}
        else:
            raise RunError(f"{place} does not exist; give a picture or a folder of pictures")
        for real, path in sorted(pictures.items(), key=lambda each: each[1]):
            found.setdefault(real, path)
    _check_names(found.values())
    return list(found.values()), {place: count for place, count in others.items() if count}


def _is_no_picture(path: Path) -> bool:
    """Whether a file is the system's, or what an earlier search wrote."""
    return path.name.lower() in OF_THE_SYSTEM or (path.name in RANKED and path.with_name(RANKED[0]).is_file())


def _check_names(files: Iterable[Path]) -> None:
    bad = [repr(name) for name in map(str, files) if name != name.encode("utf-8", "replace").decode()]
    if bad:
        raise RunError(
            f"{some_of(bad, NAMED)}: no table can hold a name that is not UTF-8; rename these files or their folders"
        )


def embed_pictures(run: RunEncoder, files: Sequence[Path]) -> Float[Tensor, "n d"]:
    """Return L2-normalised features of picture files of any size, each resized to the run's height and width.

    Raises RunError that names pictures which cannot be read, and for an encoder whose features are not finite.
    """
    features, bad = [], list[str]()

    def read(file: Path) -> UInt8[np.ndarray, "h w 3"] | str:
        try:
            return read_picture(file, run.height, run.width)
        except BadPictureError as error:
            return str(error)

    with ThreadPoolExecutor(cores()) as pool:  # decoding lets other threads run
        for start in range(0, len(files), AT_ONCE):
            pictures = list(pool.map(read, files[start : start + AT_ONCE]))
            bad += [each for each in pictures if isinstance(each, str)]
            if not bad:
                features.append(extract_features(run.encoder, np.stack(pictures), np.arange(len(pictures))))
    if bad:
        raise RunError(f"{len(bad)} of {len(files)} pictures cannot be used: {some_of(bad, NAMED)}")
    embedded = torch.cat(features)
    if wrong := int((~embedded.isfinite().all(dim=1)).sum()):
        raise RunError(
            f"the encoder gives {wrong} of {len(files)} pictures features that are no numbers: its weights are damaged "
            "or its training diverged; give another run"
        )
    return embedded


def rank_gallery(
    queries: Float[Tensor, "q d"],
    gallery: Float[Tensor, "g d"],
    query_files: Sequence[Path],
    gallery_files: Sequence[Path],
    *,
    top: int,
) -> pd.DataFrame:
    """Return the `top` most similar gallery pictures of every query: query, rank from 1, file, cosine similarity.

    Pictures of equal similarity stand in the gallery's order. A query that is itself in the gallery is left out of its
    own list.
    """
    lines, places = [], [file.resolve() for file in gallery_files]
    for query, similarity in zip(query_files, queries @ gallery.T, strict=True):
        order = torch.argsort(similarity, descending=True, stable=True).tolist()
        own = query.resolve()
        others = list(islice((place for place in order if places[place] != own), min(top, len(order))))
        lines += [
            {
                "query": str(query),
                "rank": rank,
                "file": str(gallery_files[place]),
                "similarity": float(similarity[place]),
            }
            for rank, place in enumerate(others, 1)
        ]
    return pd.DataFrame(lines, columns=["query", "rank", "file", "similarity"])


def write_features(path: Path, files: Sequence[Path], features: Float[Tensor, "n d"]) -> None:
    """Write the names of pictures and their features as Parquet or npz, whole or not at all.

    Parquet has one line per picture with the columns file and feature, npz the arrays files and features.
    """
    names = [str(file) for file in files]
    with atomic(path) as temporary, temporary.open("wb") as stream:
        if path.suffix == ".npz":
            np.savez(stream, files=np.array(names), features=features.numpy())
        else:
            pd.DataFrame({"file": names, "feature": list(features.numpy())}).to_parquet(stream, index=False)
