"""The readings of the contrastive losses that a switch offers (D4-D6), against plain loops."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from gcl_core.losses.view_invariant import draw_partners, view_invariant_losses

LABELS = torch.tensor([0, 0, 0, 1, 1, -1, 2, 3, 3])
INDICES = torch.tensor([0, 4, 6, 8])
TAU = 0.1


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def features():
    """Pictures f, drawn views g and the bank, unit rows in double precision; f and g want gradients."""
    f, g, bank = (normalize(torch.randn(n, 6, dtype=torch.float64, generator=seeded(n))) for n in (4, 5, 9))
    return f.requires_grad_(), g[:4].detach().requires_grad_(), bank


@pytest.fixture
def partners():
    return draw_partners(LABELS, INDICES, negatives=100, generator=seeded())


def row_loss(positive: float, negatives: list[float]) -> float:
    return math.log(1 + sum(math.exp((negative - positive) / TAU) for negative in negatives))


def test_live_positive_is_the_picture_itself(features, partners):
    """D4: L'_vi pulls the drawn view to f, through which no gradient flows; the other losses stay."""
    f, g, bank = features
    live = view_invariant_losses(f, g, bank, INDICES, partners, temperature=TAU)
    others = [[j for j in range(9) if LABELS[j] != LABELS[i]] for i in INDICES]
    expected = [row_loss(float(g[r] @ f[r]), [float(g[r] @ bank[j]) for j in others[r]]) for r in range(4)]
    assert live.l_vi_prime.item() == pytest.approx(sum(expected) / 4, rel=1e-12)
    assert torch.autograd.grad(live.l_vi_prime, f, allow_unused=True, retain_graph=True) == (None,)
    memory = view_invariant_losses(f, g, bank, INDICES, partners, temperature=TAU, l_vi_prime_positive="memory")
    assert memory.l_vi_prime != live.l_vi_prime
    assert (memory.l_vi, memory.l_vi_second) == (live.l_vi, live.l_vi_second)


def test_positives_leave_out_the_anchor_and_may_be_shared():
    """D5: with `exclude_self` never the anchor unless it is alone; uniform over the rest; shared means one draw."""
    indices = torch.tensor([0, 4, 6, 8]).repeat(3000)
    drawn = draw_partners(LABELS, indices, negatives=3, generator=seeded(), shared_positive=False)
    for found in (drawn.positive_new, drawn.positive_original):
        assert ((found != indices) | (indices == 6)).all()
        assert (LABELS[found] == LABELS[indices]).all()
        counts = torch.bincount(found[indices == 0], minlength=9)
        assert counts[0] == 0
        assert abs(counts[1] - 1500) < 5 * math.sqrt(3000 / 4)
    assert not torch.equal(drawn.positive_new, drawn.positive_original)
    shared = draw_partners(LABELS, indices, negatives=3, generator=seeded())
    assert torch.equal(shared.positive_new, drawn.positive_new)
    assert torch.equal(shared.positive_original, shared.positive_new)
    assert torch.equal(shared.negatives, drawn.negatives)


def test_whose_negatives_decides_who_is_trained(features, partners):
    """D6 and METHOD.md §11.7: with f's own negatives L_vi repels f and leaves the drawn view, so G, alone."""
    f, g, bank = features
    original = view_invariant_losses(f, g, bank, INDICES, partners, temperature=TAU, l_vi_negatives="original")
    others = [[j for j in range(9) if LABELS[j] != LABELS[i]] for i in INDICES]
    positive = [float(f[r] @ bank[partners.positive_original[r]]) for r in range(4)]
    expected = [row_loss(positive[r], [float(f[r] @ bank[j]) for j in others[r]]) for r in range(4)]
    assert original.l_vi.item() == pytest.approx(sum(expected) / 4, rel=1e-12)
    assert torch.autograd.grad(original.l_vi, g, allow_unused=True, retain_graph=True) == (None,)
    (gradient,) = torch.autograd.grad(original.l_vi, f)
    weights = [[math.exp(float(f[0] @ bank[j]) / TAU) for j in others[0]], math.exp(positive[0] / TAU)]
    total = sum(weights[0]) + weights[1]
    pull = (weights[1] / total - 1) * bank[partners.positive_original[0]]
    push = sum(weight / total * bank[j] for weight, j in zip(weights[0], others[0], strict=True))
    torch.testing.assert_close(gradient[0], (pull + push) / TAU / 4)
    released = view_invariant_losses(f, g, bank, INDICES, partners, temperature=TAU).l_vi
    to_g = torch.autograd.grad(released, g)[0]
    assert (to_g.norm(dim=1) > 0).all()
