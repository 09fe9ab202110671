"""Pictures of one's own: found in folders, embedded, ranked by their similarity to a query."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from gcl_core.data.pictures import BadPictureError, read_picture
from gcl_core.evaluation.features import extract_features
from gcl_core.files import RunError, atomic
from gcl_core.retrieval.encoder import RunEncoder

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
AT_ONCE = 1024  # pictures decoded before they are embedded
NAMED = 5  # bad pictures that an error names


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """Return the named pictures, and those in the named folders and below them by suffix, in the order of their names.

    Raises RunError for a place that does not exist, and for a folder without a picture.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            below = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            if not below:
                raise RunError(f"{place} holds no picture; pictures end in {', '.join(sorted(SUFFIXES))}")
            found += below
        elif place.exists():
            found.append(place)
        else:
            raise RunError(f"{place} does not exist; give a picture or a folder of pictures")
    return list(dict.fromkeys(found))


def embed_pictures(run: RunEncoder, files: Sequence[Path]) -> Float[Tensor, "n d"]:
    """Return L2-normalised features of picture files of any size, each resized to the run's height and width.

    Raises RunError that names pictures which cannot be read.
    """
    features, bad = [], list[str]()
    for start in range(0, len(files), AT_ONCE):
        pictures = []
        for file in files[start : start + AT_ONCE]:
            try:
                pictures.append(read_picture(file, run.height, run.width))
            except BadPictureError as error:
                bad.append(str(error))
        if not bad:
            features.append(extract_features(run.encoder, np.stack(pictures), np.arange(len(pictures))))
    if bad:
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise RunError(f"{len(bad)} of {len(files)} pictures cannot be used: {'; '.join(bad[:NAMED])}{more}")
    return torch.cat(features)


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
        others = list(islice((place for place in order if places[place] != own), top))
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
    with atomic(path) as temporary:
        if path.suffix == ".npz":
            with temporary.open("wb") as stream:
                np.savez(stream, files=np.array(names), features=features.numpy())
        else:
            pd.DataFrame({"file": names, "feature": list(features.numpy())}).to_parquet(temporary, index=False)
