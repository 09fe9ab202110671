"""One full stage-3 iteration with `fidelity: released`, in double precision, against an oracle that shares no code."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gcl_core.config import Study
from gcl_core.losses.view_invariant import draw_partners
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.training.generation import Drawing
from gcl_core.training.joint_step import Batch, Learners, joint_step
from gcl_core.training.optimizers import make_optimizer
from tests.training import oracle

CPU = torch.device("cpu")
PICTURES, PEOPLE = 24, 4
RELEASED = """
fidelity=released identity_encoder.block=bottleneck identity_encoder.width=4 identity_encoder.embedding=10
discriminator.penalty_every=1 contrast.negatives=12 contrast.temperature=0.04
joint.encoder_optimizer={kind: sgd, lr: 3.5e-4, milestones: [10]} joint.generator_optimizer={milestones: [10]}
joint.discriminator_optimizer={milestones: [10]}
"""


def settings_of(text: str) -> list[str]:
    """Words of RELEASED: a brace holds a word together."""
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


@pytest.fixture
def study(tiny_study: Callable[..., Study]) -> Study:
    return tiny_study(*settings_of(RELEASED))


@pytest.fixture
def learners(study: Study) -> Learners:
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


def test_every_term_gradient_and_memory_row_is_the_oracles(study: Study, learners: Learners):
    """Loss terms, gradient norm a network, updated weights, running statistics and memory: all to 1e-5 or better."""
    drawing = learners.drawing
    assert drawing is not None
    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(PICTURES) % PEOPLE
    labels[[2, 9]] = -1
    indices = torch.tensor([0, 5, 7, 12])
    x = torch.randn(4, 3, 64, 32, dtype=torch.float64, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, dtype=torch.float64, generator=draw).mul(2).sub(1)
    e, g, d = map(weights_of, (learners.encoder, drawing.generator, drawing.discriminator))
    bank = learners.bank.rows.clone()

    batch = Batch(indices, x, mesh, turned)
    partners = torch.Generator().manual_seed(3)
    told = joint_step(learners, batch, labels, study, study.variants["gcl"], partners, step=0)

    # the oracle: same weights, pictures, meshes and drawn rows
    blocks, dilations = study.discriminator.residual_blocks, study.generator.dilations
    a, z = oracle.identity_encoder(e, x)
    s, s_turned = (oracle.structure_encoder(g, each, dilations) for each in (mesh, turned))
    x_rec, x_nv = oracle.decode(g, s, a), oracle.decode(g, s_turned, a)
    a_rec, _ = oracle.identity_encoder(e, x_rec)
    a_nv, z_nv = oracle.identity_encoder(e, x_nv)
    x_cyc = oracle.decode(g, s, a_nv)
    a_cyc, _ = oracle.identity_encoder(e, x_cyc)
    fakes = [x_rec, x_nv, x_cyc]
    on_d = oracle.discriminator_loss(d, x, fakes, blocks, 0.01)
    d_gradients = oracle.gradients_of(on_d, d)
    d = oracle.adam_step(d, d_gradients, lr=1e-5, decay=5e-4)  # D11: a tenth from the first step
    drawn = draw_partners(labels, indices, negatives=12, generator=torch.Generator().manual_seed(3))
    f, f_nv = (each / each.norm(dim=1, keepdim=True) for each in (z, z_nv))
    vi, vi_prime, vi_second = oracle.contrast(f, f_nv, bank, indices.tolist(), drawn, 0.04)
    terms = {
        "image": (x_rec - x).abs().mean(),
        "cycle": (x_cyc - x).abs().mean(),
        "feature": (a_rec - a.detach()).abs().mean(),
        "feature_cycle": (a_cyc - a.detach()).abs().mean(),
        "adversarial": sum(
            2 * ((scores - 1) ** 2).mean() for fake in fakes for scores in oracle.discriminate(d, fake, blocks)
        ),
        "vi": vi,
        "vi_prime": vi_prime,
        "vi_second": vi_second,
    }
    total = 5 * sum(terms[name] for name in ("image", "cycle", "feature", "feature_cycle"))
    total = total + terms["adversarial"] + vi + vi_prime + vi_second
    e_gradients, g_gradients = oracle.gradients_of(total, e), oracle.gradients_of(total, g)

    for name, expected in terms.items():
        assert told[name].item() == pytest.approx(float(expected.detach()), rel=1e-8), name
    assert (told["discriminator"] + told["penalty"]).item() == pytest.approx(float(on_d.detach()), rel=1e-8)
    assert float(told["penalty"]) > 0
    networks = (learners.encoder, drawing.generator, drawing.discriminator)
    for network, gradients in zip(networks, (e_gradients, g_gradients, d_gradients), strict=True):
        norm = torch.stack([each.grad.norm() for each in network.parameters() if each.grad is not None]).norm()
        assert norm.item() == pytest.approx(oracle.norm_of(gradients), rel=1e-7), type(network).__name__
    e = oracle.nesterov_step(e, e_gradients, lr=3.5e-4, decay=5e-4)
    g = oracle.adam_step(g, g_gradients, lr=1e-5, decay=5e-4)
    for network, expected in zip(networks, (e, g, d), strict=True):
        state = network.state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(
                state[name], value.detach(), rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
            )
    for row in range(PICTURES):
        expected = bank[row]
        if row in indices:
            mixed = 0.2 * bank[row] + 0.8 * f[indices.tolist().index(row)].detach()
            expected = mixed / mixed.norm()
        torch.testing.assert_close(learners.bank.rows[row], expected, rtol=1e-9, atol=1e-12)
