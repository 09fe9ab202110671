"""Triplet loss with the hardest positive and negative of the batch."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def batch_hard_triplet(
    features: Float[Tensor, "b d"], labels: Int[Tensor, " b"], *, margin: float | int = 0.3
) -> Float[Tensor, ""]:
    """Return the batch mean of max(0, margin + farthest of the same label - nearest of another), by Euclidean distance.

    Features as they are, not normalised. Raises ValueError when a picture has no other of its label, or all have one
    label: such a batch holds no triplet.
    """
    same = labels[:, None] == labels
    if not (same.sum(dim=1) > 1).all() or same.all():
        raise ValueError(
            f"labels {labels.unique().tolist()[:8]} of {len(labels)} pictures hold no triplet for each: sample two or "
            "more labels with two or more pictures each"
        )
    squares = features.square().sum(dim=1)
    squared = squares[:, None] + squares - 2 * features @ features.T
    distance = squared.clamp(min=1e-12).sqrt()  # the root's slope at 0 is infinite
    farthest = distance.masked_fill(~same, -torch.inf).amax(dim=1)
    nearest = distance.masked_fill(same, torch.inf).amin(dim=1)
    return F.relu(margin + farthest - nearest).mean()
