"""Schedules and the hand-over of moments between stages."""

import pytest
import torch

from gcl_core.config import OptimizerSettings
from gcl_core.training.optimizers import carry_over, make_optimizer


def _parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(3))


def test_published_encoder_schedule_drops_tenfold_after_epoch_ten():
    optimizer, schedule = make_optimizer([_parameter()], OptimizerSettings(kind="sgd", lr=3.5e-4, milestones=(10,)))
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([3.5e-4] * 10 + [3.5e-5] * 10)
    assert optimizer.param_groups[0]["nesterov"]


def test_carry_over_takes_moments_and_keeps_this_stages_settings():
    parameter = _parameter()
    earlier, _ = make_optimizer([parameter], OptimizerSettings(lr=1e-2))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    earlier.step()
    own = OptimizerSettings(lr=1e-4, betas=(0.5, 0.9), weight_decay=3e-4, milestones=(1,))
    later, schedule = make_optimizer([parameter], own)
    carry_over(later, earlier.state_dict())
    group = later.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (own.lr, own.betas, own.weight_decay)
    assert torch.equal(later.state[parameter]["exp_avg_sq"], earlier.state[parameter]["exp_avg_sq"])
    later.step()
    schedule.step()
    assert later.param_groups[0]["lr"] == pytest.approx(1e-5)


@pytest.mark.parametrize(("before", "after"), [("sgd", "adam"), ("adam", "sgd")])
def test_an_optimiser_of_another_kind_starts_with_moments_of_its_own(before: str, after: str):
    parameter = _parameter()
    parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    earlier, later = (
        make_optimizer([parameter], OptimizerSettings.model_validate({"kind": kind, "lr": 1e-2}))[0]
        for kind in (before, after)
    )
    earlier.step()
    carry_over(later, earlier.state_dict())
    assert not later.state
    later.step()
