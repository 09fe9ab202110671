"""Steps with `compute.micro_batch` are those without it: losses, gradients, statistics and weights; for less memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gcl_core.config import Study
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch, draw_cycle, generator_losses, joint_step, warm_up_step

CPU = torch.device("cpu")
PICTURES, BATCH, STEPS = 20, 5, 2
SIZES = (1, 3, 5)  # single pictures, uneven parts, the whole
OPTIMIZERS = "joint.encoder_optimizer joint.generator_optimizer joint.discriminator_optimizer"
SGD = "{kind: sgd, lr: 1.0e-3}"  # Adam's first steps are signs: there rounding of a zero gradient is most of a step
WIDE = ["discriminator.dim=8", "discriminator.scales=3"]  # so that the penalty weighs something
EXACT = ["discriminator.penalty_every=1", *WIDE, *(f"{name}={SGD}" for name in OPTIMIZERS.split())]
MakeStudy = Callable[..., Study]


def begin(study: Study, dtype: torch.dtype) -> Learners:
    encoder = build_encoder(study, 1).to(dtype).train()
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 1, CPU)
    drawing.generator.to(dtype)
    for value in drawing.discriminator.to(dtype).parameters():
        value.data *= 4  # as they start, scores hardly depend on the picture: the penalty would be nothing
    draw = torch.Generator().manual_seed(1)
    bank = MemoryBank(torch.randn(PICTURES, encoder.feature_dim, dtype=dtype, generator=draw))
    return Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)


def batch_of(study: Study, step: int, dtype: torch.dtype) -> Batch:
    draw = torch.Generator().manual_seed(step)
    x, copy = torch.randn(2, BATCH, 3, 64, 32, dtype=dtype, generator=draw)
    mesh, turned = torch.rand(2, BATCH, 1, 64, 32, dtype=dtype, generator=draw).mul(2).sub(1)
    indices = torch.randperm(PICTURES, generator=draw)[:BATCH]
    labels, rng = torch.arange(PICTURES) % 4, torch.Generator().manual_seed(step)
    return Batch(indices, draw_own_partners(labels, indices, study.contrast, rng), x, mesh, turned, copy)


def drawing_of(learners: Learners) -> Drawing:
    assert learners.drawing is not None
    return learners.drawing


def state_of(learners: Learners) -> dict[str, Tensor]:
    """Return all weights, buffers and gradients."""
    drawing, found = drawing_of(learners), {}
    networks = {"E_id": learners.encoder, "G": drawing.generator, "D": drawing.discriminator, "bank": learners.bank}
    for name, network in networks.items():
        found |= {f"{name} {key}": value.clone() for key, value in network.state_dict().items()}
        found |= {f"d {name} {key}": p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}
    return found


def joint(study: Study, variant: str = "gcl", dtype: torch.dtype = torch.float64) -> list[dict[str, Tensor]]:
    """Take joint steps; return losses and state after each."""
    learners, found = begin(study, dtype), []
    if variant == "tda":
        learners = Learners(learners.encoder, learners.optimizer, learners.schedule, learners.bank, drawing=None)
    for step in range(STEPS):
        told = joint_step(learners, batch_of(study, step, dtype), study, study.variants[variant], step=step)
        losses = {f"loss {name}": value.detach() for name, value in told.items()}
        state = state_of(learners) if learners.drawing is not None else learners.encoder.state_dict()
        found.append({**losses, **{name: value.clone() for name, value in state.items()}})
    return found


def warm_up(study: Study) -> list[dict[str, Tensor]]:
    """Take steps of the warm-up, as stage 2 does; return losses and state after each."""
    learners, found = begin(study, torch.float64), []
    learners.encoder.eval().requires_grad_(False)
    drawing = drawing_of(learners)
    for step in range(STEPS):
        _, _, x, mesh, turned, _ = batch_of(study, step, torch.float64)
        assert mesh is not None
        assert turned is not None
        losses, _ = warm_up_step(learners.encoder, drawing, x, mesh, turned, study, step=step)
        found.append({f"loss {name}": each.detach() for name, each in losses.items()} | state_of(learners))
    return found


def same(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    assert len(found) == STEPS
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            scale = max(1.0, float(value.abs().max()))  # of a tensor, not of each of its entries
            torch.testing.assert_close(
                one[name], value, rtol=0, atol=1e-10 * scale, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_joint_steps_are_the_same(tiny_study: MakeStudy) -> None:
    plain = joint(tiny_study(*EXACT))
    assert plain[1]["E_id trunk.bn1.num_batches_tracked"] == 3 * STEPS  # x, x_nv, x_cyc
    assert plain[0]["loss penalty"] > 1e-6
    for size in SIZES:
        same(joint(tiny_study(*EXACT, f"compute.micro_batch={size}")), plain)


def test_so_they_are_with_statistics_of_real_pictures_alone_and_a_lazy_penalty(tiny_study: MakeStudy) -> None:
    settings = [*EXACT, "joint.bn_real_only=true", "discriminator.penalty_every=2"]
    plain = joint(tiny_study(*settings))
    assert plain[1]["E_id trunk.bn1.num_batches_tracked"] == STEPS
    assert ["loss penalty" in step for step in plain] == [True, False]
    same(joint(tiny_study(*settings, "compute.micro_batch=3")), plain)


def test_steps_of_the_control_are_the_same(tiny_study: MakeStudy) -> None:
    same(joint(tiny_study(*EXACT, "compute.micro_batch=3"), "tda"), joint(tiny_study(*EXACT), "tda"))


def test_steps_of_the_warm_up_are_the_same_and_leave_the_encoder_alone(tiny_study: MakeStudy) -> None:
    plain = warm_up(tiny_study(*EXACT))
    assert torch.equal(plain[0]["E_id trunk.bn1.running_mean"], plain[1]["E_id trunk.bn1.running_mean"])
    for size in SIZES:
        same(warm_up(tiny_study(*EXACT, f"compute.micro_batch={size}")), plain)


def test_bfloat16_steps_stay_close(tiny_study: MakeStudy) -> None:
    words = ["compute.precision=bf16"], ["compute.precision=bf16", "compute.micro_batch=3"]
    exact, plain, cut = (joint(tiny_study(*EXACT, *each), dtype=torch.float32) for each in ([], *words))
    losses = [name for name in exact[0] if name.startswith("loss ")]
    assert any(not torch.equal(exact[0][name], plain[0][name]) for name in losses)
    for name in losses:  # before anything was learned from gradients rounded in another order
        torch.testing.assert_close(cut[0][name], plain[0][name], rtol=1e-3, atol=1e-6)
    contrasts = [name for name in losses if "l_vi" in name]
    for one, other in zip(cut, plain, strict=True):
        for name in set(losses) - set(contrasts):
            torch.testing.assert_close(one[name], other[name], rtol=0.1, atol=1e-3)

    def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
        return float(torch.stack([one[name] / other[name] - 1 for name in contrasts]).norm())

    # a contrast magnifies rounding, by how much depends on the processor: parts cost less than bfloat16 itself does
    assert contrasts
    assert apart(cut[-1], plain[-1]) < apart(plain[-1], exact[-1])


def held(study: Study) -> int:
    """Return the bytes that the passes of a joint step hold for its last backward pass, networks left out."""
    learners, (_, _, x, mesh, turned, _) = begin(study, torch.float32), batch_of(study, 0, torch.float32)
    assert mesh is not None
    assert turned is not None
    drawing, storages = drawing_of(learners), {}
    drawing.discriminator.requires_grad_(False)

    def keep(value: Tensor) -> Tensor:
        storages[value.untyped_storage().data_ptr()] = value.untyped_storage()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        cycle = draw_cycle(learners.encoder, drawing.generator, x, mesh, turned, encode_rec=study.losses.needs_rec)
        generator_losses(cycle, x, drawing.discriminator, study.losses)
    networks: list[nn.Module] = [learners.encoder, drawing.generator, drawing.discriminator]
    own: set[Any] = {value.data_ptr() for network in networks for value in network.state_dict().values()}
    return sum(storage.nbytes() for place, storage in storages.items() if place not in own)


def test_a_tenth_of_the_bytes_is_held(tiny_study: MakeStudy) -> None:
    plain, frugal = held(tiny_study()), held(tiny_study("compute.micro_batch=3"))
    assert 0 < 10 * frugal < plain, (plain, frugal)
