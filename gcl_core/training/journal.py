"""What a stage tells while it trains: one line per epoch on screen, in metrics.jsonl and for TensorBoard."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from gcl_core.losses.names import ON_EPOCH_LINE
from gcl_core.run_folder import RunFolder

SHOWN = (*ON_EPOCH_LINE, "clusters", "outliers", "ari", "map", "rank1", "note")
ASTRAY = 1e8  # no loss of a training that learns comes near


class TrainingError(RuntimeError):
    """Training cannot go on; the last good checkpoint is kept."""


class Journal:
    """Writes the epochs of one stage; `title` heads its lines. A stage goes on after epoch `start` and `step`s more."""

    def __init__(self, run: RunFolder, title: str, epochs: int, *, start: int, step: int | None = None):
        self._run, self._title, self._epochs = run, title, epochs
        self._pace = ""
        self._writer = SummaryWriter(str(run.path / "tensorboard"), purge_step=start + 1)
        if start or step:
            within = f" and {step} steps" if step else ""
            _say(f"{title}: going on after epoch {start}{within} of {epochs}")

    def record(self, epoch: int, **values: Any) -> None:
        """Record one epoch; a value may be a number, a text or None for what does not apply."""
        self._run.record({"epoch": epoch, **values})
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
        told = [f"{name} {_short(values[name])}" for name in SHOWN if values.get(name) is not None]
        _say(f"{self._title}: epoch {epoch}/{self._epochs}  {'  '.join(told)}{self._pace}")
        self._pace = ""

    def pace(self, epoch: int, *, steps_per_second: float, waiting: float | None) -> None:
        """Tell how fast an epoch's steps went, and which share of their time they waited for pictures (None: unknown).

        On the epoch's line and for TensorBoard alone: metrics.jsonl holds no clock time.
        """
        self._pace = f"  {steps_per_second:.3g} steps/s"
        self._writer.add_scalar("steps_per_second", steps_per_second, epoch)
        if waiting is not None:
            self._pace += f"  waiting {100 * waiting:.1f} %"
            self._writer.add_scalar("waiting", waiting, epoch)

    def show(self, epoch: int, name: str, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Give TensorBoard a picture of an epoch."""
        self._writer.add_image(name, picture, epoch, dataformats="HWC")

    def close(self) -> None:
        """Close the TensorBoard file."""
        self._writer.close()


class LossMeter:
    """Sums named losses over an epoch's steps; stops the training at the first that went astray."""

    def __init__(self, state: Mapping[str, list[float | int]] | None = None) -> None:
        self._totals = {name: list(total) for name, total in (state or {}).items()}  # sum, steps

    def add(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Add one step's losses and return them. Raises TrainingError that names one NaN, infinite or above 1e8."""
        values = torch.stack([value.detach().float() for value in losses.values()]).tolist()
        for name, value in zip(losses, values, strict=True):
            if not abs(value) <= ASTRAY:  # so written, NaN is astray too
                raise TrainingError(f"loss {name!r} became {value:.4g}")
            total = self._totals.setdefault(name, [0.0, 0])
            total[0] += value
            total[1] += 1
        return dict(zip(losses, values, strict=True))

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the steps in which it was computed."""
        return {name: total / steps for name, (total, steps) in self._totals.items()}

    def state(self) -> dict[str, list[float | int]]:
        """Return what another meter needs to count on."""
        return {name: list(total) for name, total in self._totals.items()}


def _say(text: str) -> None:
    """Print above the progress line."""
    tqdm.write(text)
    sys.stdout.flush()


def _short(value: float | int | str) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
