"""The batch-hard triplet loss against a loop over all triplets."""

import pytest
import torch

from gcl_core.training.baselines.triplet import batch_hard_triplet


def test_equals_a_loop_over_all_triplets():
    features = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0])
    total = 0.0
    for anchor in range(8):
        others = [other for other in range(8) if other != anchor]
        distance = {other: float((features[anchor] - features[other]).norm()) for other in others}
        worst = max(
            0.7 + distance[p] - distance[n]
            for p in others
            for n in others
            if labels[p] == labels[anchor] and labels[n] != labels[anchor]
        )
        total += max(0.0, worst)
    assert batch_hard_triplet(features, labels, margin=0.7).item() == pytest.approx(total / 8)


def test_equal_features_give_the_margin_and_finite_gradients():
    features = torch.ones(4, 3, requires_grad=True)
    loss = batch_hard_triplet(features, torch.tensor([0, 0, 1, 1]), margin=0.3)
    assert loss.item() == pytest.approx(0.3)
    (gradient,) = torch.autograd.grad(loss, features)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 1, 2]])
def test_a_batch_without_triplets_is_refused(labels: list[int]):
    with pytest.raises(ValueError, match="hold no triplet for each"):
        batch_hard_triplet(torch.randn(4, 3), torch.tensor(labels))
