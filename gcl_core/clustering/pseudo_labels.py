"""Pseudo labels of pictures from their features: DBSCAN on Jaccard distances, or another clusterer in its stead."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import Duplicates, jaccard_distance
from gcl_core.clustering.numbering import number_by_first_member
from gcl_core.clustering.other_clusterers import hierarchy_labels, kmeans_labels
from gcl_core.config import ClusteringSettings


@dataclass(frozen=True)
class Clusters:
    """Pseudo labels of n pictures: 0..C-1, numbered by first member, and -1 for outliers.

    `eps` is DBSCAN's radius, None of a method without one; `recall` the share of true neighbours found, 1 if exact.
    """

    labels: Int64[np.ndarray, "n"]
    eps: float | None = None
    recall: float = 1.0

    @property
    def clusters(self) -> int:
        """Number of clusters, 0 if everything is an outlier."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def outliers(self) -> int:
        """Number of pictures in no cluster."""
        return int((self.labels < 0).sum())


def cluster_by(
    settings: ClusteringSettings, features: Float[Tensor, "n d"], identities: Int64[np.ndarray, " n"]
) -> Clusters:
    """Return the pseudo labels of unit features by a study's settings, as training and what looks into it take them.

    `identities` are what the method `identities`, a bound that has labels, takes for clusters; the others never see
    them (§4, §7.2). Raises ValueError as `cluster` does.
    """
    if settings.method == "identities":
        return Clusters(number_by_first_member(identities))
    return cluster(features, **settings.model_dump())


def cluster(
    features: Float[Tensor, "n d"],
    *,
    method: Literal["dbscan", "hdbscan", "kmeans"] = "dbscan",
    k1: int = 30,
    k2: int = 6,
    k1_counts_self: bool = True,
    rho: float | int = 0.002,
    pairs_per_picture: float | int | None = None,
    duplicates: Duplicates = "within_rounding",
    exact_up_to: int = 100_000,
    min_samples: int = 4,
    kmeans_clusters: int | None = None,
) -> Clusters:
    """Return the pseudo labels of unit features: Jaccard distances, radius by the ρ rule, DBSCAN.

    `hdbscan` takes the same distances but no radius; `kmeans` takes the features and the number of clusters.
    Finding no cluster or a single one is a plain result. Raises ValueError as `jaccard_distance`, `choose_eps` and
    `kmeans_labels` do. Source: METHOD.md §4.
    """
    if method == "kmeans":
        if kmeans_clusters is None:
            raise ValueError(
                "k-means needs kmeans_clusters, the number of clusters: give it, or take dbscan or hdbscan"
            )
        return Clusters(kmeans_labels(features, clusters=kmeans_clusters))
    distances = jaccard_distance(
        features, k1=k1, k2=k2, k1_counts_self=k1_counts_self, duplicates=duplicates, exact_up_to=exact_up_to
    )
    if method == "hdbscan":
        return Clusters(hierarchy_labels(distances, min_samples=min_samples), recall=distances.recall)
    eps = choose_eps(distances, rho=rho, pairs_per_picture=pairs_per_picture)
    return Clusters(density_labels(distances, eps=eps, min_samples=min_samples), eps, distances.recall)
