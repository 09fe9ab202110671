"""Pseudo labels of an epoch: found, or, for a bound, the true identities."""

import numpy as np
import torch

from gcl_core.config import ClusteringSettings
from gcl_core.training.contrast import relabel


def test_a_bound_with_labels_takes_identities_for_clusters() -> None:
    identities = np.array([7, 7, 3, 9, 3])
    features = torch.eye(5)
    labels, facts = relabel(features, identities, ClusteringSettings(method="identities"))
    assert labels.tolist() == [0, 0, 1, 2, 1]
    assert (facts["clusters"], facts["outliers"], facts["eps"], facts["ari"]) == (3, 0, None, 1.0)
