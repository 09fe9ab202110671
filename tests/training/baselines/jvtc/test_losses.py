"""JVTC's two losses against plain loops over pictures."""

import math

import pytest
import torch

from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.losses import global_loss, instance_vectors, local_loss

BATCH, COPIES, SIZE, PICTURES = 5, 3, 6, 11
INDICES = torch.tensor([4, 0, 10, 7, 2])
LABELS = torch.tensor([0, 1, 0, 2, 0, 3, 3, 3, 1, 4, 5])


def drawn(*shape: int, purpose: str = "features") -> torch.Tensor:
    return 3 * torch.randn(*shape, dtype=torch.float64, generator=rng(0, f"test jvtc {purpose}"))


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def plain_vectors(features: torch.Tensor) -> list[list[float]]:
    return [unit([sum(column) / len(copies) for column in zip(*copies, strict=True)]) for copies in features.tolist()]


def test_local_loss_equals_loops():
    features, losses = drawn(BATCH, COPIES, SIZE), []
    vectors = plain_vectors(features)
    for instance, copies in enumerate(features.tolist()):
        for copy in copies:
            shares = [math.exp(dot(unit(copy), vector) / 0.1) for vector in vectors]
            losses.append(-math.log(shares[instance] / sum(shares)))
    assert local_loss(features, temperature=0.1).item() == pytest.approx(sum(losses) / len(losses))
    assert torch.allclose(instance_vectors(features), torch.tensor(vectors, dtype=torch.float64))


def test_global_loss_equals_loops():
    features, memory, losses = drawn(BATCH, COPIES, SIZE), drawn(PICTURES, SIZE, purpose="memory").abs(), []
    for index, copies in zip(INDICES.tolist(), features.tolist(), strict=True):
        target = [float(label == LABELS[index]) for label in LABELS]
        target = [value / sum(target) for value in target]
        for copy in copies:
            shares = [math.exp(dot(unit(copy), row) / 0.5) for row in memory.tolist()]
            losses.append(-sum(t * math.log(share / sum(shares)) for t, share in zip(target, shares, strict=True)))
    found = global_loss(features, memory, LABELS, INDICES, temperature=0.5)
    assert found.item() == pytest.approx(sum(losses) / len(losses))


def test_only_features_receive_a_gradient_and_their_length_does_not_matter():
    features, memory = drawn(BATCH, COPIES, SIZE).requires_grad_(), drawn(PICTURES, SIZE).requires_grad_()
    loss = global_loss(features, memory, LABELS, INDICES, temperature=0.05) + local_loss(features, temperature=0.1)
    loss.backward()
    assert memory.grad is None
    assert features.grad is not None
    along = (features.grad * features).sum(dim=2)  # of the global loss alone it is 0; w mixes copies of other lengths
    assert along.sum(dim=1).abs().max() < 1e-9


def test_logits_of_large_features_stay_finite():
    features, memory = 1e4 * drawn(BATCH, COPIES, SIZE).float(), torch.rand(PICTURES, SIZE)
    assert global_loss(features, memory, LABELS, INDICES, temperature=0.001).isfinite()


def test_one_instance_and_one_class_are_defined():
    assert local_loss(drawn(1, COPIES, SIZE), temperature=0.1).item() == 0
    everyone = torch.zeros(PICTURES, dtype=torch.long)
    memory = torch.ones(PICTURES, SIZE, dtype=torch.float64)
    found = global_loss(drawn(BATCH, COPIES, SIZE), memory, everyone, INDICES, temperature=0.05)
    assert found.item() == pytest.approx(math.log(PICTURES))
