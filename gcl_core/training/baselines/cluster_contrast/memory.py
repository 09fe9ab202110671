"""A memory with one unit feature a cluster, for the cluster-level baseline."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.models.memory_bank import unit_rows


class ClusterMemory:
    """Slots 0..C-1, each at first the normalised mean of its cluster's unit features; outliers (-1) have none.

    `keep_old` in [0, 1] is the weight of the OLD slot in an update. Lives for one epoch: clusters change with the next.
    Raises ValueError for features that are zero or not finite, a cluster without a picture, or `keep_old` out of range.
    """

    def __init__(self, features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], *, keep_old: float | int) -> None:
        if not 0 <= keep_old <= 1:
            raise ValueError(f"keep_old is {keep_old}, but it is the old slot's weight: expected 0 to 1")
        kept = labels >= 0
        counts = torch.bincount(labels[kept])
        if (counts == 0).any():
            raise ValueError(f"cluster {int((counts == 0).nonzero()[0])} has no picture: number clusters 0, 1, 2 …")
        rows = unit_rows(features, torch.arange(len(features)))[kept]
        sums = rows.new_zeros(len(counts), rows.shape[1]).index_add_(0, labels[kept], rows)
        self.keep_old = keep_old
        self.slots = unit_rows(sums, torch.arange(len(sums)))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the slots, for a checkpoint within the epoch."""
        return {"slots": self.slots}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Take over the slots of a checkpoint."""
        self.slots = state_dict["slots"].to(self.slots)

    @torch.no_grad()
    def update(self, labels: Int[Tensor, " b"], features: Float[Tensor, "b d"]) -> None:
        """Move slots `labels` towards unit features, one picture after the other in the batch's order."""
        for label, feature in zip(labels.tolist(), normalize(features.detach()), strict=True):
            mixed = self.keep_old * self.slots[label] + (1 - self.keep_old) * feature
            self.slots[label] = normalize(mixed, dim=0)
