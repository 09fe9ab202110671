"""Optimisers and their schedules (§5.2)."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from gcl_core.config import OptimizerSettings


def make_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> tuple[Optimizer, MultiStepLR]:
    """Return an optimiser (Adam, or SGD with Nesterov momentum 0.9) and its schedule, to be stepped once an epoch."""
    if settings.kind == "adam":
        optimizer: Optimizer = Adam(
            parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )
    else:
        optimizer = SGD(parameters, lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay)
    return optimizer, MultiStepLR(optimizer, list(settings.milestones), settings.gamma)


def carry_over(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take the moments of an earlier stage's optimiser but keep the learning rate of this one (D11)."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        group["initial_lr"] = rate
