"""What a contrast is given, in the baseline and in joint training: pseudo labels for an epoch, partners for a batch."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from gcl_core.clustering.pseudo_labels import cluster_by
from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import ClusteringSettings, ContrastSettings
from gcl_core.losses.view_invariant import Partners, draw_partners
from gcl_core.parallel import ranks


def relabel(
    features: Float[Tensor, "n d"], identities: Int64[np.ndarray, " n"], settings: ClusteringSettings
) -> tuple[Int64[Tensor, " n"], dict[str, Any]]:
    """Cluster unit features into pseudo labels (-1: outlier) and say how good they are.

    `identities` serve the record alone, never the labels, but where `cluster_by` takes them for clusters. Where DBSCAN
    chains more than half of the pictures into one cluster, which teaches little, a note says what to change.
    """
    found = cluster_by(settings, features, identities)
    facts = {"clusters": found.clusters, "outliers": found.outliers, "eps": found.eps, "recall": found.recall}
    quality = clustering_quality(found.labels, identities)
    facts |= {name: quality[name] for name in ("ari", "nmi", "purity")}
    if settings.method == "dbscan" and 2 * quality["largest"] > len(features):
        share = f"{quality['largest']:.0f} of {len(features)} pictures"
        facts["note"] = f"one cluster holds {share}: a smaller clustering.rho (or pairs_per_picture) keeps people apart"
    return torch.as_tensor(found.labels), facts


def draw_own_partners(
    labels: Int64[Tensor, " n"], indices: Int[Tensor, " whole"], settings: ContrastSettings, rng: torch.Generator
) -> Partners:
    """Draw positives and negatives for a whole batch and return those of this rank's part, on the CPU (§3.3).

    So they do not depend on the number of processes. `labels` are the pseudo labels of all training pictures. Raises
    ValueError for an outlier in the batch.
    """
    partners = draw_partners(
        labels,
        indices,
        negatives=settings.negatives,
        generator=rng,
        exclude_self=settings.exclude_self,
        shared_positive=settings.shared_positive,
    )
    own = ranks.part(len(indices))
    return Partners(*(each[own] for each in partners))
