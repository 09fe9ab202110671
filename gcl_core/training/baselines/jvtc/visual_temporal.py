"""JVTC's pseudo labels: by looks, or by looks and time, the latter also of each time slot apart (METHOD.md §6.2)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from gcl_core.clustering.blocks import row_slices
from gcl_core.clustering.pseudo_labels import Clusters
from gcl_core.clustering.rerank import labels_within, radius_of, rerank
from gcl_core.config import JvtcSettings
from gcl_core.device import full_float32
from gcl_core.training.baselines.jvtc.capture import Captures
from gcl_core.training.baselines.jvtc.temporal import TemporalModel, joint_distances, learn_gaps


@dataclass(frozen=True)
class SlotClusters:
    """Labels of n pictures clustered slot by slot: each slot's follow the ones before it; -1 for outliers."""

    labels: Int64[np.ndarray, " n"]
    eps: tuple[float, ...]  # a slot's DBSCAN radius, in the slots' order


def cluster_by_looks(
    features: Float32[Tensor, "n d"], settings: JvtcSettings, *, rho: float, eps_scale: float | int
) -> Clusters:
    """Return clusters by re-ranked squared Euclidean distance of features of any length.

    DBSCAN's radius is `eps_scale` times that of the rule of `rho`. Raises ValueError for features that are not finite.
    Source: METHOD.md §6.2.
    """
    distances, share = squared_distances(features), settings.original_share
    return _reranked_clusters(distances, settings, original_share=share, rho=rho, eps_scale=eps_scale)


def cluster_jointly(
    features: Float32[Tensor, "n d"], captures: Captures, settings: JvtcSettings, *, rho: float, eps_scale: float | int
) -> Clusters:
    """Return clusters by re-ranked joint distance, its temporal model learned from clusters by looks.

    `rho` and `eps_scale` are of both. Raises ValueError for features that are not finite. Source: METHOD.md §6.2.
    """
    looks = cluster_by_looks(features, settings, rho=rho, eps_scale=eps_scale)
    model, share = learn_model(looks.labels, captures, settings), settings.joint_share
    distances = joint_distances(features, features, captures, captures, model)
    return _reranked_clusters(distances, settings, original_share=share, rho=rho, eps_scale=eps_scale)


def cluster_plainly(features: Float32[Tensor, "n d"], settings: JvtcSettings) -> Clusters:
    """Return clusters by squared Euclidean distance as it is, radius by the ρ rule: those of JVTC+ (§6.2)."""
    distances = squared_distances(features)
    eps = radius_of(distances, rho=settings.joint_rule[0])
    return Clusters(labels_within(distances, eps=eps, min_samples=settings.min_samples), eps)


def learn_model(labels: Int64[np.ndarray, " n"], captures: Captures, settings: JvtcSettings) -> TemporalModel:
    """Return the temporal model of clusters with the bins and smoothing of the settings."""
    return learn_gaps(
        labels, captures, interval=settings.frame_interval, bins=settings.bins, smoothing=settings.smoothing
    )


def cluster_slots(
    slots: np.ndarray | None, count: int, cluster: Callable[[Int64[np.ndarray, " m"]], Clusters]
) -> SlotClusters:
    """Apply `cluster` to the rows of each time slot apart, in sorted order, or to all `count` rows (`slots` None)."""
    names = np.zeros(count, np.int64) if slots is None else slots
    labels, eps, offset = np.full(count, -1, dtype=np.int64), [], 0
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        found = cluster(rows)
        labels[rows] = np.where(found.labels < 0, -1, found.labels + offset)
        offset += found.clusters
        eps.append(found.eps)
    return SlotClusters(labels, tuple(eps))


@full_float32()
def squared_distances(features: Float32[Tensor, "n d"]) -> Float32[np.ndarray, "n n"]:
    """Return the squared Euclidean distances of all pairs; the diagonal is exactly 0.

    Products run on the device of the features. What is below 1e-6 of the longest feature's square is rounding, and 0.
    """
    features = features.detach()
    squares = features.square().sum(dim=1)
    distances = np.empty((len(features), len(features)), np.float32)
    for rows in row_slices(len(features), width=len(features)):
        block = torch.addmm(squares[rows, None] + squares, features[rows], features.T, alpha=-2)
        block[block < 1e-6 * squares.max()] = 0
        distances[rows] = block.cpu().numpy()
    np.fill_diagonal(distances, 0)
    return distances


def _reranked_clusters(
    distances: np.ndarray, settings: JvtcSettings, *, original_share: float, rho: float, eps_scale: float | int
) -> Clusters:
    rerank(distances, k1=settings.k1, k2=settings.k2, original_share=original_share)
    eps = eps_scale * radius_of(distances, rho=rho)
    return Clusters(labels_within(distances, eps=eps, min_samples=settings.min_samples), eps)
