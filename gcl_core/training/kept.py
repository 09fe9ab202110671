"""What a joint training keeps of each epoch: pseudo labels, and from whom merged views take colours."""

from pathlib import Path

import numpy as np
from torch import Tensor

from gcl_core.files import atomic


def labels_file(run: Path, epoch: int) -> Path:
    """Return where a run keeps the pseudo labels of an epoch."""
    return run / "labels" / f"epoch_{epoch:03d}.npy"


def merged_file(run: Path, part: str, epoch: int) -> Path:
    """Return where a run with merged views keeps a field of an epoch's `Plan`."""
    return run / "merged" / f"{part}_{epoch:03d}.npy"


def keep_array(path: Path, values: Tensor) -> None:
    """Write a tensor as a .npy file, whole or not at all."""
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, values.numpy())
