"""A prepared dataset: the index, the decoded pictures and the mesh projections, row by row."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8

from gcl_core.data.index import DataError
from gcl_core.data.store import open_array
from gcl_core.run import Layout, fingerprint, read_json

ARRAYS = ("index.csv", "pictures.npy", "projections.npy")


@dataclass(frozen=True)
class PersonSet:
    """Index and pixels of a dataset; row i of every array belongs to line i of the index.

    index: columns file, pid, camid, split (train, query, gallery); pictures: uint8 (N, H, W, 3);
    projections: uint8 (N, 8, H, W), yaw 0, 45 … 315, all zero where a test picture has no mesh;
    fingerprint: hash of all three.
    """

    index: pd.DataFrame
    pictures: UInt8[np.ndarray, "n h w 3"]
    projections: UInt8[np.ndarray, "n 8 h w"]
    fingerprint: str

    def rows(self, split: str) -> Int64[np.ndarray, " m"]:
        """Return the rows of `train`, `query` or `gallery`, in listing order."""
        return np.flatnonzero(self.index["split"] == split)

    def with_mesh(self, rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " k"]:
        """Return those of `rows` that have mesh projections (test pictures may have none)."""
        return rows[[bool(self.projections[row, 0].any()) for row in rows]]


def load_person_set(layout: Layout) -> PersonSet:
    """Open a prepared set, memory-mapped. Raises DataError when it was not prepared for this study."""
    study, described = layout.study, layout.store / "store.json"
    again = f"run notebook 00_data_preparation with profile {study.profile!r}"
    if not described.is_file():
        raise DataError(f"{layout.store} holds no prepared data; {again}")
    facts = read_json(described)
    size = [study.picture.height, study.picture.width]
    if facts["size"] != size:
        raise DataError(f"{layout.store} was prepared at {facts['size']} pixels, the study asks for {size}; {again}")
    index = pd.read_csv(layout.store / "index.csv")
    pictures, projections = open_array(layout.store / "pictures.npy"), open_array(layout.store / "projections.npy")
    if not len(index) == len(pictures) == len(projections):
        raise DataError(f"{layout.store}: index and arrays differ in length; delete that folder, then {again}")
    return PersonSet(index, pictures, projections, fingerprint([facts[name] for name in ARRAYS]))
