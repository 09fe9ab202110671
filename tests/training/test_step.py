"""One generative step: who is updated, what the losses are, and that batching passes changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gcl_core.config import Study
from gcl_core.layout import Layout
from gcl_core.losses.generative import generator_adversarial
from gcl_core.models.weights import build_encoder
from gcl_core.training import journal
from gcl_core.training.baseline import train_baseline
from gcl_core.training.checkpoint import load_state
from gcl_core.training.joint import train_jointly
from gcl_core.training.learners import Drawing
from gcl_core.training.step import draw_cycle, generator_losses, update_discriminator
from gcl_core.training.warm_up import warm_up_generator

CPU = torch.device("cpu")


@pytest.fixture
def begun(tiny_study: Callable[..., Study]):
    """Study, encoder, drawing and one batch: x, its mesh, the turned mesh."""
    study = tiny_study()
    encoder = build_encoder(study, 0)
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, CPU)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 32, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, generator=draw).mul(2).sub(1)
    return study, encoder, drawing, x, mesh, turned


def _state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _same(network: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_cycle_equals_its_definition_pass_by_pass(begun):
    _, encoder, drawing, x, mesh, turned = begun
    encoder.eval()
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
    generator = drawing.generator
    code = encoder(x).code
    x_rec, x_nv = generator(generator.structure(mesh), code), generator(generator.structure(turned), code)
    x_cyc = generator(generator.structure(mesh), encoder(x_nv).code)
    for found, expected in ((cycle.x_rec, x_rec), (cycle.x_nv, x_nv), (cycle.x_cyc, x_cyc)):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(cycle.cyc.code, encoder(x_cyc).code, rtol=1e-4, atol=1e-4)


def test_each_half_of_the_step_updates_its_own_networks(begun):
    study, encoder, drawing, x, mesh, turned = begun
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
    critic, painter, observer = map(_state, (drawing.discriminator, drawing.generator, encoder))
    update_discriminator(drawing, cycle, x, study.discriminator, step=0)
    assert not _same(drawing.discriminator, critic)
    assert _same(drawing.generator, painter)
    assert _same(encoder, observer)
    critic = _state(drawing.discriminator)
    drawing.discriminator_optimizer.zero_grad()
    loss, _ = generator_losses(cycle, x, drawing.discriminator, study.losses)
    loss.backward()
    drawing.generator_optimizer.step()
    assert not _same(drawing.generator, painter)
    assert _same(drawing.discriminator, critic)
    assert all(parameter.grad is None for parameter in drawing.discriminator.parameters())
    assert all(parameter.grad is not None for name, parameter in encoder.named_parameters() if "neck" not in name)


def test_generator_loss_is_the_weighted_sum_of_its_terms(begun):
    study, encoder, drawing, x, mesh, turned = begun
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
    drawing.discriminator.requires_grad_(False)
    loss, told = generator_losses(cycle, x, drawing.discriminator, study.losses)
    pixels = (cycle.x_rec - x).abs().mean() + (cycle.x_cyc - x).abs().mean()
    codes = (cycle.nv.code - cycle.real.code).abs().mean() + (cycle.cyc.code - cycle.real.code).abs().mean()
    fooled = sum(generator_adversarial(drawing.discriminator(each)) for each in (cycle.x_rec, cycle.x_nv, cycle.x_cyc))
    torch.testing.assert_close(loss, 5 * pixels + 5 * codes + fooled, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(told["adversarial"], fooled, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("feature_at", "compared"), [("novel_view", "x_nv"), ("reconstruction", "x_rec")])
def test_the_feature_loss_is_where_it_is_asked_for(begun, feature_at: str, compared: str):
    """D31: L_feat compares the code of one drawn picture with that of x, and trains G through that one alone."""
    study, encoder, drawing, x, mesh, turned = begun
    weights = study.losses.model_copy(update={"feature_at": feature_at})
    encoder.eval()
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned, encode_rec=weights.needs_rec)
    assert (cycle.rec is None) == (feature_at == "novel_view")
    _, told = generator_losses(cycle, x, drawing.discriminator, weights)
    expected = (encoder(getattr(cycle, compared)).code - encoder(x).code).abs().mean()
    torch.testing.assert_close(told["feature"], expected, rtol=1e-4, atol=1e-5)
    pictures = (cycle.x_rec, cycle.x_nv, cycle.x_cyc)
    found = torch.autograd.grad(told["feature"], pictures, allow_unused=True, retain_graph=True)
    reached = [name for name, each in zip(("x_rec", "x_nv", "x_cyc"), found, strict=True) if each is not None]
    assert reached == [compared]


def test_lazy_penalty_comes_every_nth_step_and_weighs_as_much(begun):
    study, encoder, drawing, x, mesh, turned = begun
    settings = study.discriminator.model_copy(update={"penalty_every": 3})
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
    drawing.discriminator_optimizer.param_groups[0]["lr"] = 0.0  # D stays, so that the steps can be compared
    told = [update_discriminator(drawing, cycle, x, settings, step=step) for step in range(6)]
    assert ["penalty" in each for each in told] == [True, False, False, True, False, False]
    every_step = settings.model_copy(update={"penalty_every": 1})
    plain = update_discriminator(drawing, cycle, x, every_step, step=1)
    torch.testing.assert_close(told[0]["penalty"], 3 * plain["penalty"])
    torch.testing.assert_close(told[1]["discriminator"], plain["discriminator"])


def test_the_generators_average_is_that_of_its_weights_after_each_step(tiny_study: Callable[..., Study]):
    study = tiny_study("joint.generator_ema=0.75")
    assert Drawing.start(study, study.warm_up, 512, 0, CPU).average is None
    drawing, expected = Drawing.start(study, study.joint, 512, 0, CPU), dict[str, torch.Tensor]()
    for step in range(3):
        torch.manual_seed(step)
        for value in drawing.generator.parameters():
            value.grad = torch.randn_like(value)
        drawing.generator_optimizer.step()
        for name, value in drawing.generator.named_parameters():
            now = value.detach().double()
            expected[name] = now if step == 0 else 0.75 * expected[name] + 0.25 * now
    for name, value in drawing.artist.named_parameters():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)
        assert not torch.equal(value, drawing.generator.get_parameter(name))


def test_an_averaged_generator_is_what_a_run_keeps_and_goes_on_bit_identical(
    boxes: Callable[..., Layout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = ("baseline.tda.epochs=1", "warm_up.epochs=1", "warm_up.batch_size=18", "joint.batch_size=18")
    record = journal.Journal.record

    def stop_at_epoch_one(self: journal.Journal, epoch: int, **values: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        record(self, epoch, **values)

    layout, stopped = (boxes(*words, "joint.generator_ema=0.5", root=tmp_path / name) for name in ("whole", "broken"))
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    shutil.copytree(layout.runs, stopped.runs, dirs_exist_ok=True)
    monkeypatch.setattr(journal.Journal, "record", stop_at_epoch_one)
    with pytest.raises(KeyboardInterrupt):
        train_jointly(stopped, "gcl", 0)
    monkeypatch.setattr(journal.Journal, "record", record)
    runs = [train_jointly(each, "gcl", 0) for each in (layout, stopped)]
    whole, broken = (load_file(run / "generator.safetensors") for run in runs)
    state = load_state(runs[0] / "checkpoint.safetensors")
    for name, value in whole.items():
        assert torch.equal(value, broken[name]), name
        assert torch.equal(value, state["average"][f"module.{name}"]), name
    assert any(not torch.equal(value, state["generator"][name]) for name, value in whole.items())
