"""When and by which camera pictures were taken, read from the names that the datasets' authors gave them (§6.2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from gcl_core.data.index import DataError

MARKET_NAME = re.compile(r"[^_]+_c(?P<camid>[0-9]{1,9})s(?P<sequence>[0-9]{1,9})_(?P<frame>[0-9]{1,12})_")
DUKE_NAME = re.compile(r"[^_]+_c(?P<camid>[0-9]{1,9})_f(?P<frame>[0-9]{1,12})(?![0-9])")
MSMT_NAME = re.compile(r"[^_]+_[^_]+_(?P<camid>[0-9]{1,9})_(?P<slot>[0-9]+[a-z]+)_(?P<frame>[0-9]{1,8})_")
EXAMPLES = {
    MARKET_NAME: "0002_c1s1_000451_03.jpg",
    DUKE_NAME: "0001_c2_f0046182.jpg",
    MSMT_NAME: "0000_000_01_0303morning_0008_0.jpg",
}
SLOT_GAP = 10**9  # frames between two time slots: more than any histogram of gaps reaches


@dataclass(frozen=True)
class Captures:
    """Camera, time and time slot of n pictures.

    camids: as in the names; frames: one clock for all pictures of a camera, in frames, different slots SLOT_GAP apart;
    slots: such as 0303morning in MSMT17's names, empty for other datasets.
    """

    camids: Int64[np.ndarray, " n"]
    frames: Int64[np.ndarray, " n"]
    slots: Shaped[np.ndarray, " n"]

    def take(self, rows: Int64[np.ndarray, " m"]) -> "Captures":
        """Return those of `rows`, in that order."""
        return Captures(self.camids[rows], self.frames[rows], self.slots[rows])


def read_captures(files: Sequence[str]) -> Captures:
    """Read cameras and times from names like those of Market-1501, DukeMTMC-reID or MSMT17, all of one kind.

    Market-1501 counts frames anew in each sequence: the largest frame numbers of a camera's earlier sequences, among
    `files`, are added. Raises DataError, which quotes the name, when one has no time or is of another kind.
    Source: METHOD.md §6.2.
    """
    names = [file.rpartition("/")[2] for file in files]
    known = [pattern for pattern in EXAMPLES if names and pattern.match(names[0])]
    found = [known[0].match(name) if known else None for name in names]
    fields = [match.groupdict() for match in found if match is not None]
    if len(fields) < len(names):
        raise DataError(
            f"{names[[match is None for match in found].index(True)]}: no time can be read from this name "
            f"({len(names) - len(fields)} of {len(names)} pictures); expected names like "
            f"{' or '.join(EXAMPLES[pattern] for pattern in known or EXAMPLES)} (camera and frame number)"
        )
    camids = np.array([int(field["camid"]) for field in fields], dtype=np.int64)
    frames = np.array([int(field["frame"]) for field in fields], dtype=np.int64)
    sequences = np.array([int(field.get("sequence", 1)) for field in fields], dtype=np.int64)
    slots = np.array([field.get("slot", "") for field in fields], dtype=str)
    return Captures(camids, _one_clock(camids, sequences, frames) + SLOT_GAP * _places(slots), slots)


def _one_clock(camids: np.ndarray, sequences: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Add to each frame number the maxima of its camera's earlier sequences."""
    clock = frames.copy()
    for camid in np.unique(camids):
        earlier = 0
        for sequence in np.unique(sequences[camids == camid]):
            here = (camids == camid) & (sequences == sequence)
            clock[here] += earlier
            earlier += frames[here].max()
    return clock


def _places(slots: np.ndarray) -> np.ndarray:
    """Return each slot's place among the sorted slots."""
    return np.unique(slots, return_inverse=True)[1].astype(np.int64)
