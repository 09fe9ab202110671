"""The two losses of JVTC on unlabelled pictures: local within a batch, global against the memory (METHOD.md §6.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def instance_vectors(features: Float[Tensor, "b k d"]) -> Float[Tensor, "b d"]:
    """Return w: for each of b instances the mean of the features of its k copies (of any length), at length 1."""
    return F.normalize(features.mean(dim=1), dim=1)


def local_loss(features: Float[Tensor, "b k d"], *, temperature: float | int) -> Float[Tensor, ""]:
    """Return the self-adaptive classification loss L_local (SAC) of b instances with k copies each.

    Every copy, at length 1, is classified among the batch's own `instance_vectors` w (softmax of feature·w over
    `temperature`), its instance being the right class; the mean over all copies. The gradient also flows through w.
    One instance alone gives 0. Source: METHOD.md §6.2.
    """
    instances, copies, _ = features.shape
    logits = F.normalize(features.flatten(0, 1), dim=1) @ instance_vectors(features).T / temperature
    own = torch.arange(instances, device=features.device).repeat_interleave(copies)
    return F.cross_entropy(logits, own)


def global_loss(
    features: Float[Tensor, "b k d"],
    memory: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    indices: Int[Tensor, " b"],
    *,
    temperature: float | int,
) -> Float[Tensor, ""]:
    """Return the memory-based multi-label loss L_global (MTC) of b instances with k copies each.

    `memory`, a constant, has a row of any length for each of the n training pictures, `labels` their pseudo labels,
    `indices` the instances' places among them. Every copy, at length 1, is classified among all rows (softmax of
    feature·row over `temperature`); the target spreads evenly over the rows of its label. The mean over all copies.
    Source: METHOD.md §6.2.
    """
    logits = F.normalize(features, dim=2) @ memory.detach().T / temperature
    same = (labels[indices][:, None] == labels).to(logits)
    # -Σ target·log p with a target of 1/m on m rows: log-sum-exp over all rows less the mean logit of the m
    matched = torch.einsum("bkn,bn->bk", logits, same) / same.sum(dim=1, keepdim=True)
    return (logits.logsumexp(dim=2) - matched).mean()
