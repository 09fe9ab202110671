"""JVTC's pseudo labels: looks, looks with time, and time slots apart."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from gcl_core.clustering.pseudo_labels import Clusters
from gcl_core.config import JvtcSettings
from gcl_core.models.network import prepared
from gcl_core.seeding import rng
from gcl_core.settings.common import ComputeSettings
from gcl_core.training.baselines.jvtc.capture import read_captures
from gcl_core.training.baselines.jvtc.visual_temporal import (
    cluster_by_looks,
    cluster_jointly,
    cluster_slots,
    squared_distances,
)

SMALL = JvtcSettings(k1=6, k2=2, smoothing=2.0)


def people(count: int, pictures: int, spread: float) -> torch.Tensor:
    random = rng(0, "test visual temporal")
    centres = normalize(torch.randn(count, 16, generator=random))
    return centres.repeat_interleave(pictures, 0) + spread * torch.randn(count * pictures, 16, generator=random)


def test_squared_distances_equal_loops():
    features = people(4, 5, 0.3)
    found, exact = squared_distances(features), features.double()
    for i in range(20):
        for j in range(20):
            assert abs(found[i, j] - float(((exact[i] - exact[j]) ** 2).sum())) < 1e-5
    assert not np.diag(found).any()
    assert not squared_distances(people(1, 1, 0.1).repeat(9, 1)).any()


def test_products_of_features_are_without_tf32():
    switches = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
                switches.append(torch.backends.cuda.matmul.allow_tf32)
            return func(*args, **(kwargs or {}))

    captures = read_captures([f"0001_c{1 + place % 2}s1_{place:06d}_00.jpg" for place in range(36)])
    prepared(nn.Identity(), ComputeSettings(precision="tf32"))
    try:
        with Products():
            cluster_jointly(people(6, 6, 0.02), captures, SMALL, rho=0.2, eps_scale=1.0)
    finally:
        prepared(nn.Identity(), ComputeSettings())
    assert switches == [False, False]  # of looks, and of looks and time


def test_clear_people_are_found_with_features_of_about_one_length():
    features = people(6, 6, 0.02) * torch.linspace(0.98, 1.02, 36)[:, None]
    expected = [person for person in range(6) for _ in range(6)]
    assert cluster_by_looks(features, SMALL, rho=0.2, eps_scale=1.0).labels.tolist() == expected


def test_eps_scale_scales_the_radius():
    features = people(6, 6, 0.2)
    whole, less = (cluster_by_looks(features, SMALL, rho=0.2, eps_scale=scale) for scale in (1.0, 0.8))
    assert whole.eps is not None
    assert less.eps == pytest.approx(0.8 * whole.eps)
    assert less.clusters >= whole.clusters


def test_time_parts_look_alikes_and_keeps_who_walks_on():
    """Two who look the same: each passes camera 2 just after camera 1, an age apart."""
    files, owner = [], []
    for person in range(8):
        for step in range(3):
            at = 40_000 * person + 10 * step
            files += [f"{person:04d}_c1s1_{at:06d}_00.jpg", f"{person:04d}_c2s1_{at + 1000:06d}_00.jpg"]
            owner += [person // 2] * 2  # looks: of pairs of people
    random = rng(1, "test visual temporal")
    centres = normalize(torch.randn(4, 16, generator=random))
    features = centres[torch.tensor(owner)] + 0.05 * torch.randn(len(owner), 16, generator=random)
    captures, person = read_captures(files), np.repeat(np.arange(8), 6)
    settings = JvtcSettings(k1=5, k2=2, smoothing=2.0)
    looks = cluster_by_looks(features, settings, rho=0.1, eps_scale=1.0).labels
    joint = cluster_jointly(features, captures, settings, rho=0.1, eps_scale=1.0).labels

    def purity(labels: np.ndarray) -> float:
        return sum(np.bincount(person[labels == label]).max() for label in np.unique(labels)) / len(labels)

    assert purity(looks) < 0.9
    assert purity(joint) == 1


def test_slots_are_clustered_apart_with_labels_that_follow_each_other():
    slots = np.array(["noon", "morning", "noon", "morning", "noon", "evening"])
    asked = []

    def cluster(rows: np.ndarray) -> Clusters:
        asked.append(rows.tolist())
        return Clusters(np.array([0, 1, -1][: len(rows)]), eps=float(len(rows)))

    found = cluster_slots(slots, 6, cluster)
    assert asked == [[5], [1, 3], [0, 2, 4]]
    assert found.labels.tolist() == [3, 1, 4, 2, -1, 0]
    assert found.eps == (1, 2, 3)
    assert cluster_slots(None, 3, cluster).labels.tolist() == [0, 1, -1]
