"""One full stage-3 iteration as the paper and as the release read it, in double precision, against an oracle.

The oracle shares no code with it. Only the rows drawn from the memory are handed to both.
"""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gcl_core.config import Study
from gcl_core.losses.view_invariant import draw_partners
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch, joint_step
from tests.training import oracle

CPU = torch.device("cpu")
PICTURES, PEOPLE = 24, 4
PUBLISHED = """
identity_encoder.block=bottleneck identity_encoder.width=4 identity_encoder.embedding=10
discriminator.penalty_every=1 discriminator.scales=3 contrast.negatives=12 contrast.temperature=0.04
joint.encoder_optimizer={kind: sgd, lr: 3.5e-4, milestones: [10]} joint.generator_optimizer={milestones: [10]}
joint.discriminator_optimizer={milestones: [10]}
"""


def settings_of(text: str) -> list[str]:
    """Words of PUBLISHED: a brace holds a word together."""
    words, open_braces = [""], 0
    for letter in text.strip():
        open_braces += {"{": 1, "}": -1}.get(letter, 0)
        if letter.isspace() and not open_braces:
            words.append("")
        else:
            words[-1] += letter
    return [word for word in words if word]


def weights_of(network: nn.Module) -> oracle.Weights:
    """A copy of a network's weights that want gradients, and of its running statistics."""
    trained = dict(network.named_parameters())
    return {
        name: value.detach().clone().requires_grad_(name in trained)
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


def learners_of(study: Study) -> Learners:
    encoder = build_encoder(study, 1).double().train()
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 1, CPU)
    drawing.generator.double()
    drawing.discriminator.double()
    draw = torch.Generator().manual_seed(1)
    for network in (encoder, drawing.generator, drawing.discriminator):  # no bias or gain at its neutral start
        for value in network.parameters():
            value.data += 0.05 * torch.randn(value.shape, dtype=torch.float64, generator=draw)
    bank = MemoryBank(torch.randn(PICTURES, encoder.feature_dim, dtype=torch.float64, generator=draw), keep_old=0.2)
    optimizer, schedule = make_optimizer(encoder.parameters(), study.joint.encoder_optimizer)
    return Learners(encoder, optimizer, schedule, bank, drawing)


@pytest.mark.parametrize("fidelity", ["paper", "released"])
def test_every_term_gradient_and_memory_row_is_the_oracles(tiny_study: Callable[..., Study], fidelity: str):
    """Loss terms, gradient norm a network, updated weights, running statistics and memory: all to 1e-5 or better."""
    study, paper = tiny_study(*settings_of(PUBLISHED), f"fidelity={fidelity}"), fidelity == "paper"
    learners = learners_of(study)
    drawing = learners.drawing
    assert drawing is not None
    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(PICTURES) % PEOPLE
    labels[[2, 9]] = -1
    indices = torch.tensor([0, 5, 7, 12])
    x = torch.randn(4, 3, 64, 32, dtype=torch.float64, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, dtype=torch.float64, generator=draw).mul(2).sub(1)
    networks = (learners.encoder, drawing.generator, drawing.discriminator)
    before, bank = oracle.Networks(*map(weights_of, networks)), learners.bank.rows.clone()
    partners = draw_partners(
        labels,
        indices,
        negatives=12,
        generator=torch.Generator().manual_seed(3),
        exclude_self=paper,
        shared_positive=paper,
    )
    assert torch.equal(partners.positive_new, partners.positive_original) == paper

    contrasted = draw_own_partners(labels, indices, study.contrast, torch.Generator().manual_seed(3))
    told = joint_step(learners, Batch(indices, contrasted, x, mesh, turned), study, study.variants["gcl"], step=0)
    expected = oracle.iteration(
        before,
        oracle.Shape(study.generator.dilations, study.discriminator.residual_blocks),
        bank,
        (x, mesh, turned),
        indices.tolist(),
        partners,
        oracle.PAPER if paper else oracle.RELEASED,
    )

    on_d = float(expected.losses.pop("on d").detach())
    assert (told["discriminator"] + told["penalty"]).item() == pytest.approx(on_d, rel=1e-8)
    assert float(told["penalty"]) > 0
    for name, value in expected.losses.items():
        assert told[name].item() == pytest.approx(float(value.detach()), rel=1e-8), name
    for network, gradients in zip(networks, expected.gradients, strict=True):
        norm = torch.stack([each.grad.norm() for each in network.parameters() if each.grad is not None]).norm()
        assert norm.item() == pytest.approx(oracle.norm_of(gradients), rel=1e-7), type(network).__name__
    for network, weights in zip(networks, expected.stepped, strict=True):
        state = network.state_dict()
        for name, value in weights.items():
            torch.testing.assert_close(
                state[name], value.detach(), rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
            )
    torch.testing.assert_close(learners.bank.rows, expected.bank, rtol=1e-9, atol=1e-12)
