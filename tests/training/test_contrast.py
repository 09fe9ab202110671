"""Pseudo labels of an epoch: found, or, for a bound, the true identities."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from gcl_core.config import ClusteringSettings
from gcl_core.measure.clusterings import analyse
from gcl_core.training.contrast import relabel


def test_a_bound_with_labels_takes_identities_for_clusters() -> None:
    identities = np.array([7, 7, 3, 9, 3])
    features = torch.eye(5)
    labels, facts = relabel(features, identities, ClusteringSettings(method="identities"))
    assert labels.tolist() == [0, 0, 1, 2, 1]
    assert (facts["clusters"], facts["outliers"], facts["eps"], facts["ari"]) == (3, 0, None, 1.0)


@pytest.mark.parametrize("method", get_args(ClusteringSettings.model_fields["method"].annotation))
def test_who_looks_into_the_clusters_sees_those_of_training(method: Any) -> None:
    identities = np.repeat(np.arange(12), 6)
    features = normalize(
        torch.eye(12)[identities] + 0.1 * torch.randn(72, 12, generator=torch.Generator().manual_seed(0))
    )
    settings = ClusteringSettings(method=method, k1=6, k2=2, rho=0.05, min_samples=2, kmeans_clusters=12)
    labels, facts = relabel(features, identities, settings)
    assert facts["clusters"] > 1
    assert analyse(features, identities, settings).labels.tolist() == labels.tolist()


def test_a_cluster_of_most_pictures_is_noted_with_what_to_change() -> None:
    identities = np.repeat(np.arange(12), 6)
    features = normalize(
        torch.eye(12)[identities] + 0.1 * torch.randn(72, 12, generator=torch.Generator().manual_seed(0))
    )
    _, fine = relabel(features, identities, ClusteringSettings(k1=6, k2=2, rho=0.05, min_samples=2))
    assert "note" not in fine
    _, chained = relabel(features, identities, ClusteringSettings(k1=30, k2=6, rho=0.9, min_samples=2))
    assert chained["note"].startswith("one cluster holds 72 of 72 pictures: a smaller clustering.rho")
