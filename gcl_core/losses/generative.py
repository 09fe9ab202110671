"""Losses of drawing: reconstruction, least-squares adversarial losses, gradient penalty (METHOD.md §3.1-3.2)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class DiscriminatorLoss(NamedTuple):
    """Scalars; `total` = `real` + `fake` + `penalty`, each already weighted and summed over the fakes."""

    total: Float[Tensor, ""]
    real: Float[Tensor, ""]
    fake: Float[Tensor, ""]
    penalty: Float[Tensor, ""]


def reconstruction(drawn: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference over all elements; no gradient reaches `target`.

    For pictures (b, 3, h, w), both in ImageNet-normalised space, and appearance codes (b, c): L_img, L_cyc, L_feat and
    L_feat' of METHOD.md §3.1, unweighted.
    """
    return F.l1_loss(drawn, target.detach())


def squared_distance(score_maps: Sequence[Float[Tensor, "b 1 _ _"]], label: int) -> Float[Tensor, ""]:
    """Return the mean squared distance of the scores to `label`, summed over the scales."""
    return torch.stack([(scores - label).square().mean() for scores in score_maps]).sum()


def generator_adversarial(score_maps: Sequence[Float[Tensor, "b 1 _ _"]]) -> Float[Tensor, ""]:
    """Return L_adv of one drawn batch: 2 · mean((D - 1)²) of its score maps, summed over scales (METHOD.md §3.1)."""
    return 2 * squared_distance(score_maps, 1)


def gradient_penalty(
    score_maps: Sequence[Float[Tensor, "b 1 _ _"]], real: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Return the batch mean of ‖gradient of each scale's summed scores for `real`‖², summed over the scales (§3.2)."""
    norms = []
    for scores in score_maps:
        (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        norms.append(gradient.square().sum(dim=(1, 2, 3)).mean())
    return torch.stack(norms).sum()


def discriminator_loss(
    discriminator: Callable[[Tensor], list[Tensor]],
    real: Float[Tensor, "b 3 h w"],
    fakes: Sequence[Float[Tensor, "b 3 h w"]],
    *,
    penalty_weight: float = 0.01,
    penalty: bool = True,
) -> DiscriminatorLoss:
    """Return L_D of METHOD.md §3.2, summed over the drawn batches; no gradient reaches `real` or `fakes`.

    `discriminator` gives one score map a scale and treats pictures one by one (no batch statistics). The real batch is
    scored and penalised once and counted once a fake, which is the same as for each fake anew (D24). With `penalty`
    false the penalty is 0 and not computed; whoever penalises every n-th step passes n · `penalty_weight` then.
    """
    count = len(fakes)
    real = real.detach().requires_grad_(penalty)
    real_maps = discriminator(real)
    real_term = count * squared_distance(real_maps, 1)
    fake_term = count * squared_distance(discriminator(torch.cat([fake.detach() for fake in fakes])), 0)
    if penalty:
        penalty_term = count * penalty_weight * gradient_penalty(real_maps, real)
    else:
        penalty_term = torch.zeros_like(real_term)
    return DiscriminatorLoss(real_term + fake_term + penalty_term, real_term, fake_term, penalty_term)
