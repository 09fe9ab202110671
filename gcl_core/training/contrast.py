"""The contrastive half of a step, shared by the baseline and the joint training."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import ClusteringSettings, ContrastSettings, VariantSettings
from gcl_core.data.batches import send
from gcl_core.losses.view_invariant import Partners, draw_partners, view_invariant_losses
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.parallel import share


def relabel(
    features: Float[Tensor, "n d"], identities: Int64[np.ndarray, " n"], settings: ClusteringSettings
) -> tuple[Int64[Tensor, " n"], dict[str, Any]]:
    """Cluster unit features into pseudo labels (-1: outlier) and say how good they are.

    `identities` serve the record alone, never the labels (§4, §7.2).
    """
    found = cluster(features, **settings.model_dump())
    facts = {"clusters": found.clusters, "outliers": found.outliers, "eps": found.eps, "recall": found.recall}
    quality = clustering_quality(found.labels, identities)
    return torch.as_tensor(found.labels), facts | {name: quality[name] for name in ("ari", "nmi", "purity")}


def contrast_losses(
    original: Float[Tensor, "b d"],
    new: Float[Tensor, "b d"],
    bank: MemoryBank,
    labels: Int64[Tensor, " n"],
    indices: Int[Tensor, " whole"],
    settings: ContrastSettings,
    variant: VariantSettings,
    generator: torch.Generator,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted sum of L_vi, L'_vi, L''_vi and each alone, from un-normalised z of x and x_nv (§3.3).

    `indices` are the whole batch's; features and losses those of this process' part, which is all of it with one
    process. Partners are drawn for the whole batch, so that they do not depend on the number of processes. Nothing
    waits for a GPU if `labels` and `indices` are on the CPU.
    """
    partners = draw_partners(
        labels,
        indices,
        negatives=settings.negatives,
        generator=generator,
        exclude_self=settings.exclude_self,
        shared_positive=settings.shared_positive,
    )
    own, device = share(len(indices)), bank.rows.device
    losses = view_invariant_losses(
        normalize(original),
        normalize(new),
        bank.rows,
        send(indices[own], device),
        Partners(*(send(each[own], device) for each in partners)),
        temperature=settings.temperature,
        l_vi_prime_positive=settings.l_vi_prime_positive,
        l_vi_negatives=settings.l_vi_negatives,
    )
    total = variant.l_vi_prime * losses.l_vi_prime + variant.l_vi_second * losses.l_vi_second
    total = total + variant.l_vi * losses.l_vi
    return total, losses._asdict()
