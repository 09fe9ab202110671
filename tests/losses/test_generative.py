"""Losses of drawing: by hand, identities, closed form of the penalty, and everything computed anew."""

import pytest
import torch

from gcl_core.losses.generative import discriminator_loss, generator_adversarial, reconstruction
from gcl_core.models.discriminator import Discriminator

SIZES = [(8, 4), (4, 2), (2, 1)]


def constant(value):
    """A discriminator that gives `value` everywhere at three scales (with a graph, so that it can be penalised)."""
    return lambda x: [value + 0 * x.mean() * torch.ones(len(x), 1, *size) for size in SIZES]


def pictures(count, seed=0, size=(32, 20)):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def discriminator():
    """Small, in double precision, with weights large enough for a penalty that matters."""
    torch.manual_seed(0)
    network = Discriminator(dim=2, residual_blocks=1).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.4)
    return network


@pytest.mark.parametrize(("score", "expected"), [(1.0, 0.0), (0.0, 6.0), (3.0, 24.0)])
def test_generator_side(score, expected):
    assert generator_adversarial(constant(score)(pictures(2))).item() == pytest.approx(expected)


def test_generator_side_averages_within_a_scale_and_sums_over_scales():
    maps = [torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.0]]]])]
    assert generator_adversarial(maps).item() == 2 * ((0 + 4) / 2 + 1)


@pytest.mark.parametrize(("score", "per_fake"), [(0.5, 1.5), (1.0, 3.0), (0.0, 3.0)])
@pytest.mark.parametrize("fakes", [1, 3])
def test_discriminator_side(score, per_fake, fakes):
    loss = discriminator_loss(constant(score), pictures(2), [pictures(2, seed) for seed in range(fakes)])
    assert loss.total.item() == pytest.approx(fakes * per_fake)
    assert loss.real.item() == pytest.approx(fakes * 3 * (score - 1) ** 2)
    assert loss.fake.item() == pytest.approx(fakes * 3 * score**2)
    assert loss.penalty.item() == 0


def test_penalty_of_a_linear_discriminator_does_not_depend_on_the_picture():
    weights = [pictures(1, seed) for seed in (1, 2, 3)]

    def linear(x):
        return [(x * w).sum(dim=(1, 2, 3))[:, None, None, None] for w in weights]

    expected = 0.05 * sum(w.square().sum().item() for w in weights)
    for seed in (4, 5):
        loss = discriminator_loss(linear, pictures(4, seed), [pictures(4)], penalty_weight=0.05)
        assert loss.penalty.item() == pytest.approx(expected, rel=1e-5)


def test_penalty_takes_the_summed_score_map_of_each_scale_and_each_picture(discriminator):
    """By central differences: the slope of every scale's summed scores along every pixel of every picture."""
    real = pictures(2, size=(18, 17)).double()
    step, penalty = 1e-5, 0.0
    with torch.no_grad():
        for picture in real:
            nudges = torch.eye(picture.numel(), dtype=torch.float64).view(-1, *picture.shape) * step
            above, below = discriminator(picture + nudges), discriminator(picture - nudges)
            for up, down in zip(above, below, strict=True):
                slopes = (up.sum(dim=(1, 2, 3)) - down.sum(dim=(1, 2, 3))) / (2 * step)
                penalty += slopes.square().sum().item() / len(real)
    loss = discriminator_loss(discriminator, real, [real], penalty_weight=0.3)
    assert loss.penalty.item() == pytest.approx(0.3 * penalty, rel=1e-5)
    assert penalty > 1e-3


def test_scoring_the_real_batch_once_equals_scoring_it_for_each_fake(discriminator):
    real, fakes = pictures(3).double(), [pictures(3, seed).double() for seed in (1, 2, 3)]
    together = discriminator_loss(discriminator, real, fakes)
    parameters = list(discriminator.parameters())
    gradient = torch.autograd.grad(together.total, parameters)

    anew = torch.zeros((), dtype=torch.float64)
    for fake in fakes:
        real_again = real.clone().requires_grad_()
        for real_scores, fake_scores in zip(discriminator(real_again), discriminator(fake), strict=True):
            (slope,) = torch.autograd.grad(real_scores.sum(), real_again, create_graph=True)
            penalty = 0.01 * slope.pow(2).reshape(3, -1).sum(1).mean()
            anew = anew + (fake_scores**2).mean() + ((real_scores - 1) ** 2).mean() + penalty
    torch.testing.assert_close(together.total, anew)
    torch.testing.assert_close(together.real + together.fake + together.penalty, together.total)
    for ours, naive in zip(gradient, torch.autograd.grad(anew, parameters), strict=True):
        torch.testing.assert_close(ours, naive)


def test_without_penalty_only_the_penalty_is_missing(discriminator):
    real, fake = pictures(2).double(), pictures(2, 1).double()
    full = discriminator_loss(discriminator, real, [fake])
    bare = discriminator_loss(discriminator, real, [fake], penalty=False)
    assert bare.penalty.item() == 0
    torch.testing.assert_close(bare.total, full.total - full.penalty)
    assert full.penalty > 0


def test_no_gradient_and_no_flag_is_left_on_the_pictures(discriminator):
    real, fake = pictures(2).double(), pictures(2, 1).double().requires_grad_()
    discriminator_loss(discriminator, real, [fake]).total.backward()
    assert fake.grad is None
    assert not real.requires_grad


def test_mean_absolute_difference_by_hand():
    loss = reconstruction(torch.tensor([[1.0, -2.0], [0.0, 4.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert loss.item() == (1 + 3 + 0 + 4) / 4


def test_gradient_reaches_the_drawn_side_only():
    drawn, target = torch.tensor([3.0, -1.0], requires_grad=True), torch.tensor([1.0, 1.0], requires_grad=True)
    reconstruction(drawn, target).backward()
    torch.testing.assert_close(drawn.grad, torch.tensor([0.5, -0.5]))
    assert target.grad is None
