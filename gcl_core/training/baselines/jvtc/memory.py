"""JVTC's memory: one vector and one pseudo label a training picture (METHOD.md §6.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn


class InstanceMemory(nn.Module):
    """Vectors and pseudo labels of n training pictures in index order, in the buffers `rows` and `labels`.

    Rows start uniform in [0, 1) from a CPU `generator`, each picture with a label of its own. `unit`: rows are
    brought back to length 1 when updated, as in the MSMT17 code; otherwise they keep the length they come to.
    """

    rows: Float[Tensor, "n d"]
    labels: Int64[Tensor, " n"]

    def __init__(self, count: int, dimensions: int, *, unit: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.unit = unit
        self.register_buffer("rows", torch.rand(count, dimensions, generator=generator))
        self.register_buffer("labels", torch.arange(count))

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " b"], vectors: Float[Tensor, "b d"], *, keep_old: float | int) -> None:
        """Set rows `indices` (each once) to keep_old · row + (1 - keep_old) · vector; other rows stay as they are.

        In place: call it after the backward pass of the losses that read `rows`.
        """
        mixed = keep_old * self.rows[indices] + (1 - keep_old) * vectors.detach().to(self.rows)
        self.rows[indices] = F.normalize(mixed, dim=1) if self.unit else mixed
