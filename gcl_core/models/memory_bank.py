"""The memory bank M: one unit feature a training picture (METHOD.md §3.5)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def unit_rows(features: Float[Tensor, "n d"], names: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Return L2-normalised rows; raises ValueError that names (by `names`) the rows that are zero or not finite."""
    norms = features.norm(dim=1)
    bad = ~(torch.isfinite(norms) & (norms > 1e-12))  # below this F.normalize gives no unit vector
    if bad.any():
        rows = names[bad.to(names.device)].tolist()
        raise ValueError(
            f"{len(rows)} of {len(names)} features for the memory bank are zero or not finite, first for rows "
            f"{rows[:5]}: the identity encoder broke down (too high a learning rate?) or these pictures are damaged"
        )
    return F.normalize(features)


class MemoryBank(nn.Module):
    """Unit features of all training pictures in index order, kept in the buffer `rows` (so checkpoints hold it).

    `features` (n, d) of any length, not zero; `keep_old` in [0, 1] is the weight of the OLD row in an update (D8).
    Raises ValueError for features that are zero or not finite, or `keep_old` out of range.
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

        In place: call it after the backward pass of the losses that read `rows`. Raises ValueError, with the bank
        unchanged, when an index occurs twice or a feature is zero or not finite.
        """
        found, counts = indices.unique(return_counts=True)
        if (counts > 1).any():
            raise ValueError(
                f"rows {found[counts > 1].tolist()[:5]} occur more than once in one update of the memory bank, so its "
                "result would depend on the order: sample pictures without replacement"
            )
        new = unit_rows(features.detach().to(self.rows), indices)
        mixed = self.keep_old * self.rows[indices] + (1 - self.keep_old) * new
        self.rows[indices] = unit_rows(mixed, indices)
