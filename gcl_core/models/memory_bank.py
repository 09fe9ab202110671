"""The memory bank M: one unit feature a training picture (METHOD.md §3.5)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gcl_core.data.batches import send
from gcl_core.files import DivergedError

SHORTEST = 1e-12  # below this F.normalize gives no unit vector


def unit_rows(features: Float[Tensor, "n d"], names: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Return L2-normalised rows; raises DivergedError that names (by `names`) the rows that are zero or not finite."""
    refuse(without_direction(features).to(names.device), names)
    return F.normalize(features)


def without_direction(features: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Return which rows are zero or not finite."""
    norms = features.norm(dim=1)
    return ~(torch.isfinite(norms) & (norms > SHORTEST))


def refuse(bad: Bool[Tensor, " n"], names: Int[Tensor, " n"]) -> None:
    """Raise DivergedError if any row is bad; it names them by `names`."""
    if bad.any():
        rows = names[bad].tolist()
        raise DivergedError(
            f"{len(rows)} of {len(names)} features for the memory bank are zero or not finite, first for rows "
            f"{rows[:5]}: the identity encoder broke down (too high a learning rate?) or these pictures are damaged"
        )


class MemoryBank(nn.Module):
    """Unit features of all training pictures in index order, kept in the buffer `rows` (so checkpoints hold it).

    `features` (n, d) of any length, not zero; `keep_old` in [0, 1] is the weight of the OLD row in an update (D8).
    Raises DivergedError for features that are zero or not finite, ValueError for `keep_old` out of range.
    """

    rows: Float[Tensor, "n d"]

    def __init__(self, features: Float[Tensor, "n d"], *, keep_old: float = 0.2) -> None:
        super().__init__()
        if not 0 <= keep_old <= 1:
            raise ValueError(f"keep_old is {keep_old}, but it is the old row's weight: expected 0 to 1")
        self.keep_old = keep_old
        self.register_buffer("rows", unit_rows(features.detach(), torch.arange(len(features))))

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " b"], features: Float[Tensor, "b d"]) -> None:
        """Set rows `indices` to normalise(keep_old · row + (1 - keep_old) · unit feature); other rows stay as they are.

        In place: call it after the backward pass of the losses that read `rows`. With `indices` on the CPU nothing
        waits for a GPU; that is why `check` finds features that are zero or not finite. Raises ValueError, with the
        bank unchanged, when an index occurs twice.
        """
        indices = indices.cpu()
        found, counts = indices.unique(return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f"rows {found[counts > 1].tolist()[:5]} occur more than once in one update of the memory bank, so its "
                "result would depend on the order: sample pictures without replacement"
            )
        features, places = features.detach().to(self.rows), send(indices, self.rows.device)
        mixed = self.keep_old * self.rows[places] + (1 - self.keep_old) * F.normalize(features)
        self.rows[places] = F.normalize(mixed)
        bad = without_direction(features) | without_direction(mixed)
        self._updated = bad.to("cpu", non_blocking=True), indices

    def check(self) -> None:
        """Raise DivergedError if the last update had features that are zero or not finite: the bank is spoilt by then.

        To be called after every update, once something else has been read from its device (`Epochs.tell` does), and
        before a checkpoint: what was found is there then, without another wait.
        """
        refuse(*self._updated)
