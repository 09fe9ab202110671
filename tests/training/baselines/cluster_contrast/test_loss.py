"""Contrast with cluster slots, and the slots themselves, against plain loops."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from gcl_core.training.baselines.cluster_contrast.loss import cluster_contrast
from gcl_core.training.baselines.cluster_contrast.memory import ClusterMemory


@pytest.fixture
def features() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return normalize(torch.randn(9, 4, dtype=torch.float64, generator=draw))


LABELS = torch.tensor([0, 1, -1, 1, 2, 0, 0, -1, 2])


def test_slots_are_normalised_means_of_their_clusters(features: torch.Tensor):
    slots = ClusterMemory(3 * features, LABELS, keep_old=0.1).slots
    for label in range(3):
        mean = features[label == LABELS].mean(dim=0)
        torch.testing.assert_close(slots[label], mean / mean.norm())


def test_loss_equals_a_loop(features: torch.Tensor):
    slots = ClusterMemory(features, LABELS, keep_old=0.1).slots.requires_grad_()
    labels = torch.tensor([2, 0, 1])
    loss = cluster_contrast(features[:3], slots, labels, temperature=0.05)
    expected = 0.0
    for feature, label in zip(features[:3], labels, strict=True):
        weights = [math.exp(float(feature @ slot.detach()) / 0.05) for slot in slots]
        expected -= math.log(weights[label] / sum(weights)) / 3
    assert loss.item() == pytest.approx(expected)
    assert not loss.requires_grad  # the slots are constants


def test_an_update_takes_the_pictures_one_after_the_other(features: torch.Tensor):
    memory = ClusterMemory(features, LABELS, keep_old=0.1)
    expected = memory.slots.clone()
    labels = torch.tensor([1, 0, 1])
    memory.update(labels, 5 * features[:3])
    for label, feature in zip(labels.tolist(), features[:3], strict=True):
        mixed = 0.1 * expected[label] + 0.9 * feature
        expected[label] = mixed / mixed.norm()
    torch.testing.assert_close(memory.slots, expected)
    assert torch.equal(memory.slots[2], ClusterMemory(features, LABELS, keep_old=0.1).slots[2])


def test_no_cluster_has_no_slot_and_bad_input_is_named(features: torch.Tensor):
    assert len(ClusterMemory(features, torch.full((9,), -1), keep_old=0.1).slots) == 0
    with pytest.raises(ValueError, match="cluster 1 has no picture"):
        ClusterMemory(features[:2], torch.tensor([0, 2]), keep_old=0.1)
    with pytest.raises(ValueError, match="keep_old is 2"):
        ClusterMemory(features, LABELS, keep_old=2)
    with pytest.raises(ValueError, match="zero or not finite"):
        ClusterMemory(features * torch.nan, LABELS, keep_old=0.1)
