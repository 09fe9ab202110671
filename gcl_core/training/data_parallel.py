"""The one seam at which several processes train as one; without them nothing here does anything (docs/PARALLEL.md).

Every rank takes the same step on its own part of a batch. Gradients are averaged before an optimiser steps, running
statistics after it has, and every rank's memory takes the features of the whole batch: all ranks stay bit-identical.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from gcl_core.models.memory_bank import MemoryBank
from gcl_core.parallel import ranks


def average_gradients(optimizer: Optimizer) -> None:
    """Average what the optimiser is about to apply; losses are means over equal parts, so this is the batch's gradient.

    By hand, so that networks stay what they are: DistributedDataParallel gives the same bits (docs/PARALLEL.md).
    """
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    ranks.all_reduce_mean([parameter.grad for parameter in parameters if parameter.grad is not None])


def average_statistics(network: nn.Module) -> None:
    """Average batch norm's running statistics, which each rank updated by its own part of the batch."""
    ranks.all_reduce_mean([buffer for buffer in network.buffers() if buffer.is_floating_point()])


def average_over_ranks(optimizer: Optimizer, *others: Optimizer, statistics_of: nn.Module | None = None) -> None:
    """Let the optimisers step on gradients averaged over the ranks, from now on.

    After each step of the first one, the running statistics of `statistics_of` are averaged too.
    """
    if ranks.world_size == 1:
        return
    for each in (optimizer, *others):
        each.register_step_pre_hook(lambda stepping, *_: average_gradients(stepping))
    if statistics_of is not None:
        network = statistics_of
        optimizer.register_step_post_hook(lambda *_: average_statistics(network))


class SharedMemoryBank(MemoryBank):
    """A memory bank that each rank updates with its part of a batch, and that is the same on all of them."""

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " b"], features: Float[Tensor, "b d"]) -> None:
        """Update the rows of the whole batch: of all ranks' equal parts, in their order."""
        whole = len(indices) * ranks.world_size
        places = ranks.part(whole)
        rows = ranks.all_gather(indices.cpu()[:, None], places, whole).flatten()
        super().update(rows, ranks.all_gather(features, places, whole))
