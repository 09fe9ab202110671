"""Contrast of pictures with clusters: one memory slot a cluster, all others its negatives."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def cluster_contrast(
    features: Float[Tensor, "b d"],
    slots: Float[Tensor, "c d"],
    labels: Int[Tensor, " b"],
    *,
    temperature: float | int = 0.05,
) -> Float[Tensor, ""]:
    """Return the batch mean of -log softmax(f·slots / temperature) at each picture's own cluster.

    Features and slots are L2-normalised; `labels` number the slots. No gradient reaches the slots.
    """
    return F.cross_entropy(features @ slots.detach().T / temperature, labels)
