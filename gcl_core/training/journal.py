"""What a stage tells while it trains: one line an epoch on screen, in metrics.jsonl and for TensorBoard."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter

from gcl_core.run import RunFolder

SHOWN = ("loss", "image", "adversarial", "discriminator", "vi", "clusters", "outliers", "ari", "map", "rank1", "note")


class TrainingError(RuntimeError):
    """Training cannot go on; the last good checkpoint is kept."""


class Journal:
    """Writes the epochs of one stage; `title` heads its lines."""

    def __init__(self, run: RunFolder, title: str, epochs: int, *, start: int):
        self._run, self._title, self._epochs = run, title, epochs
        self._writer = SummaryWriter(str(run.path / "tensorboard"), purge_step=start + 1)
        if start:
            print(f"{title}: going on after epoch {start} of {epochs}", flush=True)

    def record(self, epoch: int, **values: Any) -> None:
        """Record one epoch; a value may be a number, a text or None for what does not apply."""
        self._run.record({"epoch": epoch, **values})
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
        told = [f"{name} {_short(values[name])}" for name in SHOWN if values.get(name) is not None]
        print(f"{self._title}: epoch {epoch}/{self._epochs}  {'  '.join(told)}", flush=True)

    def close(self) -> None:
        """Close the TensorBoard file."""
        self._writer.close()


class LossMeter:
    """Sums named losses over an epoch's steps; stops the training at the first that is not finite."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Add one step's losses. Raises TrainingError that names a loss which is NaN or infinite."""
        values = torch.stack([value.detach().float() for value in losses.values()]).tolist()
        for name, value in zip(losses, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"loss {name!r} became {value} in epoch {epoch}, step {step}; the checkpoint of epoch {epoch - 1} "
                    "is kept. Lower that network's learning rate, or look at the pictures of the batch"
                )
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._steps[name] = self._steps.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the steps in which it was computed."""
        return {name: total / self._steps[name] for name, total in self._sums.items()}


def _short(value: float | int | str) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
