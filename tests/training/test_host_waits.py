"""What a step reads from its device: nothing but its losses, once; shown on a device that has no values to give.

Tensors on PyTorch's `meta` device have shapes and no values: whatever needs one fails there, unless the mode below
gives it zeros and counts. To a GPU that is a wait for all its work, as is a copy from memory that is not pinned.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gcl_core.config import Study
from gcl_core.data import feed
from gcl_core.data.batches import imagenet_normalize
from gcl_core.data.feed import Feed
from gcl_core.data.person_set import PersonSet
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.journal import LossMeter
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch, joint_step

META = torch.device("meta")
READS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::_unique2", "aten::unique_dim")


class Waits(TorchDispatchMode):
    """Names the calls that would wait for a GPU, and answers in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, named = func._schema.name, kwargs or {}
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if name in READS and given is not None and given.is_meta:
            self.found.append(name)
            return 0.0
        if name == "aten::_to_copy" and given is not None:
            to = torch.device(named.get("device") or given.device)
            if (to.type == "meta") != given.is_meta and not named.get("non_blocking"):
                self.found.append(f"{name} {given.device} to {to}")
            if given.is_meta and to.type == "cpu":
                return torch.zeros(given.shape, dtype=named.get("dtype") or given.dtype)
        return func(*args, **named)


def learners_of(study: Study, variant: str) -> Learners:
    encoder = build_encoder(study, 0).to(META).train()
    drawn = study.variants[variant].view == "drawn"
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, META) if drawn else None
    bank = MemoryBank(torch.randn(12, encoder.feature_dim)).to(META)
    return Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)


@pytest.fixture
def people() -> PersonSet:
    """Return twelve black pictures."""
    pixels = np.zeros((12, 64, 32, 3), np.uint8), np.zeros((12, 8, 64, 32), np.uint8)
    return PersonSet(pd.DataFrame(), *pixels, "black")


@pytest.mark.parametrize("variant", ["gcl", "tda"])
def test_a_joint_step_reads_its_losses_once_and_nothing_else(
    tiny_study: Callable[..., Study], people: PersonSet, variant: str, monkeypatch: pytest.MonkeyPatch
):
    study = tiny_study()
    monkeypatch.setattr(feed, "fits", lambda *_: True)  # batches are made in this thread then, where the mode is
    learners, labels = learners_of(study, variant), torch.arange(12) // 3
    fed, picked, meter = Feed(people, np.arange(12), META, projections=True), np.array([0, 4, 7, 10]), LossMeter()
    imagenet_normalize(torch.empty(1, 3, 1, 1, device=META))  # its constants are made once a process
    for step in range(2):
        with Waits() as waits:
            (made,) = fed.drawn([picked], angles=np.full(12, 45))
            x = imagenet_normalize(made.pictures)
            rng = torch.Generator().manual_seed(0)
            partners = draw_own_partners(labels, torch.from_numpy(picked), study.contrast, rng)
            batch = Batch(torch.from_numpy(picked), partners, x, made.mesh, made.turned, view=x)
            told = joint_step(learners, batch, study, study.variants[variant], step=step)
            assert waits.found == []
            losses = meter.add(told)
            learners.bank.check()
        assert len(losses) == len(told)
        assert waits.found == ["aten::_to_copy meta to cpu"]


def test_the_mode_sees_what_waits():
    labels, sent = torch.arange(4), torch.zeros(2, device=META)
    waiting: dict[str, Callable[[], object]] = {
        "aten::_to_copy cpu to meta": lambda: labels.to(META),
        "aten::_to_copy meta to cpu": sent.tolist,
        "aten::_local_scalar_dense": lambda: bool((sent < 0).any()),
    }
    for name, call in waiting.items():
        with Waits() as waits:
            call()
        assert waits.found == [name]
