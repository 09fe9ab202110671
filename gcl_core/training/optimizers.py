"""Optimisers and their schedules (§5.2)."""

from collections.abc import Iterable
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from gcl_core.config import OptimizerSettings


def make_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> tuple[Optimizer, MultiStepLR]:
    """Return an optimiser (Adam, or SGD with Nesterov momentum 0.9) and its schedule, to be stepped once per epoch."""
    if settings.kind == "adam":
        optimizer: Optimizer = Adam(
            parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )
    else:
        optimizer = SGD(parameters, lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay)
    return optimizer, MultiStepLR(optimizer, list(settings.milestones), settings.gamma)


def with_schedule(
    settings: OptimizerSettings, schedule: Literal["stated", "released_torch_1_2", "released_torch_1_4"]
) -> OptimizerSettings:
    """Return the settings as the release's stage 3 has them in effect for G and D under a version of PyTorch (D11).

    Its schedules are rebuilt as if 30,000 epochs had passed: the closed form of 1.2 is then past every milestone, the
    chainable form from 1.4 on never meets one again.
    """
    if schedule == "stated":
        return settings
    passed = settings.gamma ** len(settings.milestones) if schedule == "released_torch_1_2" else 1
    return settings.model_copy(update={"lr": settings.lr * passed, "milestones": ()})


def carry_over(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over the moments of an earlier stage's optimiser; rates, betas and decay stay those of this one (D11).

    An optimiser of another kind has no moments that this one could use: it starts with its own.
    """
    moment = "exp_avg" if isinstance(optimizer, Adam) else "momentum_buffer"
    if any(moment not in each for each in state["state"].values()):
        return
    optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})
