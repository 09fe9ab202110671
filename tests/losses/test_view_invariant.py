"""Draws of positives and negatives, and the three losses against plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from gcl_core.losses.view_invariant import Partners, draw_partners, view_invariant_losses


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, dtype=torch.float64, generator=seeded(seed)), dim=-1)


LABELS = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2, 2, 2, -1, 1])
INDICES = torch.tensor([0, 4, 9, 6])


@pytest.mark.parametrize("negatives", [1, 5, 8, 9, 100])
def test_every_draw_obeys_the_labels(negatives):
    for seed in range(20):
        drawn = draw_partners(LABELS, INDICES, negatives=negatives, generator=seeded(seed))
        for row, index in enumerate(INDICES.tolist()):
            own = LABELS[index]
            assert LABELS[drawn.positive_new[row]] == own
            assert LABELS[drawn.positive_original[row]] == own
            chosen = drawn.negatives[row][drawn.valid[row]].tolist()
            available = {j for j in range(12) if LABELS[j] != own}
            assert len(chosen) == len(set(chosen)) == min(negatives, len(available))
            assert set(chosen) <= available


def test_with_room_for_all_every_negative_is_used_outliers_included():
    drawn = draw_partners(LABELS, INDICES, negatives=9, generator=seeded())
    chosen = [set(n[v].tolist()) for n, v in zip(drawn.negatives, drawn.valid, strict=True)]
    assert chosen[0] == set(range(3, 12))  # 9 are available: none may be missing
    assert chosen[2] == {0, 1, 2, 3, 4, 5, 10, 11}
    assert drawn.valid.sum(dim=1).tolist() == [9, 9, 8, 8]


def test_positives_and_negatives_are_uniform_and_independent():
    """12,000 draws for one anchor: each frequency within five standard deviations."""
    draws = 12_000
    anchors = torch.full((draws,), 7)
    drawn = draw_partners(LABELS, anchors, negatives=3, generator=seeded(1), exclude_self=False, shared_positive=False)

    def check(counts, share):
        spread = 5 * math.sqrt(draws * share * (1 - share))
        assert ((counts - draws * share).abs() < spread).all(), counts

    check(torch.bincount(drawn.positive_new, minlength=12)[6:10], 1 / 4)
    check(torch.bincount(drawn.positive_original, minlength=12)[6:10], 1 / 4)
    pairs = torch.bincount((drawn.positive_new - 6) * 4 + drawn.positive_original - 6, minlength=16)
    check(pairs, 1 / 16)  # as released: drawn independently, the anchor itself included
    assert drawn.valid.all()
    check(torch.bincount(drawn.negatives.flatten(), minlength=12)[[0, 1, 2, 3, 4, 5, 10, 11]], 3 / 8)


def test_anchors_draw_their_own_negatives_and_the_generator_decides():
    labels, indices = torch.arange(200), torch.tensor([1, 1, 2])
    first, again, other = (draw_partners(labels, indices, negatives=20, generator=seeded(s)) for s in (0, 0, 1))
    chosen = [set(row.tolist()) for row in first.negatives]
    assert len({frozenset(row) for row in chosen}) == 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.negatives, other.negatives)


def test_positives_do_not_depend_on_the_number_of_negatives():
    few, many = (draw_partners(LABELS, INDICES, negatives=k, generator=seeded(4)) for k in (1, 8))
    assert torch.equal(few.positive_new, many.positive_new)
    assert torch.equal(few.positive_original, many.positive_original)


def test_an_outlier_as_anchor_is_refused_by_name():
    with pytest.raises(ValueError, match=r"pictures \[5\] are outliers"):
        draw_partners(LABELS, torch.tensor([0, 5]), negatives=3, generator=seeded())
    with pytest.raises(ValueError, match="negatives is 0"):
        draw_partners(LABELS, INDICES, negatives=0, generator=seeded())


def naive(f, g, bank, indices, partners, tau, *, live):
    """The equations of METHOD.md §3.3 for L_vi, L'_vi and L''_vi, one exponential at a time."""
    sums = [0.0, 0.0, 0.0]
    for i, index in enumerate(indices.tolist()):
        negatives = [
            math.exp(float(g[i] @ bank[j]) / tau)
            for j, valid in zip(partners.negatives[i].tolist(), partners.valid[i].tolist(), strict=True)
            if valid
        ]
        positives = [
            float(f[i] @ bank[partners.positive_original[i]]),
            float(g[i] @ f[i]) if live else float(g[i] @ bank[index]),
            float(g[i] @ bank[partners.positive_new[i]]),
        ]
        for term, positive in enumerate(positives):
            own = math.exp(positive / tau)
            sums[term] -= math.log(own / (own + sum(negatives)))
    return [total / len(indices) for total in sums]


@pytest.mark.parametrize("positive", ["live", "memory"])
@pytest.mark.parametrize(("negatives", "tau"), [(3, 0.04), (9, 0.04), (100, 0.5)])
def test_losses_against_loops_with_outliers_and_masked_negatives(negatives, tau, positive):
    f, g, bank = unit(4, 6, seed=1), unit(4, 6, seed=2), unit(12, 6, seed=3)
    partners = draw_partners(LABELS, INDICES, negatives=negatives, generator=seeded(5), shared_positive=False)
    losses = view_invariant_losses(f, g, bank, INDICES, partners, temperature=tau, l_vi_prime_positive=positive)
    expected = naive(f, g, bank, INDICES, partners, tau, live=positive == "live")
    assert [loss.item() for loss in losses] == pytest.approx(expected, rel=1e-9)
    assert negatives == 3 or not partners.valid.all()  # the mask is exercised


def test_one_negative_as_near_as_the_positive_gives_log_two():
    bank = unit(1, 5).repeat(3, 1)
    partners = Partners(torch.tensor([1]), torch.tensor([1]), torch.tensor([[2, 0]]), torch.tensor([[True, False]]))
    losses = view_invariant_losses(bank[:1], bank[:1], bank, torch.tensor([0]), partners)
    assert [loss.item() for loss in losses] == pytest.approx([math.log(2)] * 3)


def test_without_any_negative_losses_and_gradients_are_zero():
    labels, indices = torch.zeros(5, dtype=torch.long), torch.tensor([0, 3])
    f, g = unit(2, 4, seed=1).requires_grad_(), unit(2, 4, seed=2).requires_grad_()
    partners = draw_partners(labels, indices, negatives=10, generator=seeded())
    assert partners.negatives.shape == (2, 0)
    losses = view_invariant_losses(f, g, unit(5, 4), indices, partners)
    assert [loss.item() for loss in losses] == [0, 0, 0]
    for gradient in torch.autograd.grad(torch.stack(losses).sum(), (f, g)):
        assert not gradient.any()


def test_an_anchor_whose_negatives_are_all_masked_contributes_zero_and_leaves_the_others_alone():
    f, g, bank = unit(2, 4, seed=1), unit(2, 4, seed=2).requires_grad_(), unit(6, 4)
    zeros, negatives = torch.tensor([0, 1]), torch.tensor([[2, 3], [4, 5]])
    both = Partners(zeros, zeros, negatives, torch.tensor([[False, False], [True, True]]))
    alone = Partners(zeros[1:], zeros[1:], negatives[1:], torch.ones(1, 2, dtype=torch.bool))
    losses = view_invariant_losses(f, g, bank, zeros, both)
    expected = view_invariant_losses(f[1:], g[1:], bank, zeros[1:], alone)
    assert [2 * loss.item() for loss in losses] == pytest.approx([loss.item() for loss in expected])
    (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), g)
    assert not gradient[0].any()
    assert gradient[1].any()


def test_cold_temperatures_stay_finite():
    f, g, bank = (x.float() for x in (unit(4, 6, seed=1), -unit(4, 6, seed=1), unit(12, 6, seed=3)))
    g.requires_grad_()
    partners = draw_partners(LABELS, INDICES, negatives=8, generator=seeded())
    loss = torch.stack(view_invariant_losses(f, g, bank, INDICES, partners, temperature=1e-3)).sum()
    (gradient,) = torch.autograd.grad(loss, g)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("positive", ["live", "memory"])
def test_who_receives_gradient_from_which_loss(positive):
    """METHOD.md §3.4: f from L_vi alone, the drawn view from all, the memory from none; paper and release alike."""
    f, g = unit(4, 6, seed=1).requires_grad_(), unit(4, 6, seed=2).requires_grad_()
    bank = unit(12, 6, seed=3).requires_grad_()
    partners = draw_partners(LABELS, INDICES, negatives=8, generator=seeded())
    losses = view_invariant_losses(f, g, bank, INDICES, partners, l_vi_prime_positive=positive)
    for loss, reaches_f in zip(losses, (True, False, False), strict=True):
        to_f, to_g = torch.autograd.grad(loss, (f, g), allow_unused=True, retain_graph=True)
        assert (to_f is not None) == reaches_f
        assert to_g is not None
        assert (to_g != 0).any()  # in L_vi through the shared negatives, as released
    assert torch.autograd.grad(torch.stack(losses).sum(), bank, allow_unused=True) == (None,)


def test_the_picture_is_only_ever_attracted():
    """Closed form: the gradient of L_vi for f is -(1 - P) M_b / τ, over the batch size."""
    f, g, bank, tau = unit(4, 6, seed=1).requires_grad_(), unit(4, 6, seed=2), unit(12, 6, seed=3), 0.2
    partners = draw_partners(LABELS, INDICES, negatives=8, generator=seeded())
    loss = view_invariant_losses(f, g, bank, INDICES, partners, temperature=tau).l_vi
    (gradient,) = torch.autograd.grad(loss, f)
    for i in range(4):
        positive = bank[partners.positive_original[i]]
        negatives = bank[partners.negatives[i][partners.valid[i]]]
        own = math.exp(float(f[i].detach() @ positive) / tau)
        share = own / (own + float(torch.exp(negatives @ g[i] / tau).sum()))
        torch.testing.assert_close(gradient[i], -(1 - share) * positive / tau / 4)
