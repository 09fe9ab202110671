"""A joint step as METHOD.md §1.2 and §3 state it: what step.py compares ours with, and a reader the text.

It scores and penalises the real batch once a fake, lets D's gradients accumulate in the generator's step, encodes the
two projections apart, decodes three times with the MLPs anew, and goes through the memory loss anchor by anchor.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gcl_core.config import Study
from gcl_core.losses.view_invariant import draw_partners
from gcl_core.seeding import rng
from gcl_core.training.joint_step import Batch, Learners


class Work(NamedTuple):
    """What both steps are given."""

    study: Study
    batch: Batch
    labels: Tensor


def plain_step(learners: Learners, work: Work, number: int) -> dict[str, Tensor]:
    """§1.2, steps 2 to 8, in the order and with the names of the text."""
    drawing, study, x, m_0, m_theta = learners.drawing, work.study, work.batch.x, work.batch.mesh, work.batch.turned
    assert drawing is not None
    assert m_0 is not None
    assert m_theta is not None
    e_id, e_str, g, d = learners.encoder, drawing.generator.structure, drawing.generator, drawing.discriminator

    s_0, s_theta = e_str(m_0), e_str(m_theta)
    a, z = e_id(x)
    x_rec, x_nv = g(s_0, a), g(s_theta, a)
    (a_rec, _), (a_nv, z_nv) = e_id(x_rec), e_id(x_nv)
    x_cyc = g(s_0, a_nv)
    a_cyc, _ = e_id(x_cyc)
    fakes = (x_rec, x_nv, x_cyc)

    scored = penalty = x.new_zeros(())
    for fake in fakes:
        real = x.clone().requires_grad_()
        for on_fake, on_real in zip(d(fake.detach()), d(real), strict=True):
            (gradient,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            scored = scored + (on_fake**2).mean() + ((on_real - 1) ** 2).mean()
            penalty = penalty + study.discriminator.penalty_weight * (gradient**2).sum(dim=(1, 2, 3)).mean()
    drawing.discriminator_optimizer.zero_grad()
    (scored + penalty).backward()
    drawing.discriminator_optimizer.step()

    losses = {
        "image": (x_rec - x).abs().mean(),
        "cycle": (x_cyc - x).abs().mean(),
        "feature": (a_rec - a.detach()).abs().mean(),
        "feature_cycle": (a_cyc - a.detach()).abs().mean(),
        "adversarial": sum((2 * ((scores - 1) ** 2).mean() for fake in fakes for scores in d(fake)), x.new_zeros(())),
        **plain_memory_losses(z, z_nv, learners.bank.rows.clone(), work, number),
    }
    weights = study.losses
    total = weights.image * (losses["image"] + losses["cycle"])
    total = total + weights.feature * (losses["feature"] + losses["feature_cycle"])
    total = total + weights.adversarial * losses["adversarial"]
    total = total + losses["l_vi_prime"] + losses["l_vi_second"] + losses["l_vi"]
    drawing.generator_optimizer.zero_grad()
    learners.optimizer.zero_grad()
    total.backward()
    drawing.generator_optimizer.step()
    learners.optimizer.step()

    with torch.no_grad():
        for i, f in zip(work.batch.indices.tolist(), z / z.norm(dim=1, keepdim=True), strict=True):
            row = learners.bank.keep_old * learners.bank.rows[i] + (1 - learners.bank.keep_old) * f
            learners.bank.rows[i] = row / row.norm()
    return {**losses, "discriminator": scored, "penalty": penalty}


def plain_memory_losses(z: Tensor, z_nv: Tensor, memory: Tensor, work: Work, number: int) -> dict[str, Tensor]:
    """§3.3, anchor by anchor."""
    contrast, indices = work.study.contrast, work.batch.indices
    drawn = draw_partners(work.labels, indices, negatives=contrast.negatives, generator=partners(number))
    losses: dict[str, list[Tensor]] = {"l_vi_prime": [], "l_vi_second": [], "l_vi": []}
    for row, i in enumerate(indices.tolist()):
        f, g = z[row] / z[row].norm(), z_nv[row] / z_nv[row].norm()
        n = memory[drawn.negatives[row][drawn.valid[row]]] @ g
        positives = (g @ memory[i], g @ memory[drawn.positive_new[row]], f @ memory[drawn.positive_original[row]])
        for terms, p in zip(losses.values(), positives, strict=True):
            terms.append((1 + ((n - p) / contrast.temperature).exp().sum()).log())
    return {name: torch.stack(terms).mean() for name, terms in losses.items()}


def partners(number: int) -> torch.Generator:
    return rng(0, "step benchmark, partners", number)
