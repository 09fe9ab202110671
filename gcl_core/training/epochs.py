"""A stage's way through its epochs: where it goes on, what it keeps on the way, how it ends when asked to."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from gcl_core.files import RunError, atomic
from gcl_core.parallel import ranks
from gcl_core.run_folder import RunFolder, read_metrics
from gcl_core.seeding import derive_seed
from gcl_core.training.checkpoint import Stateful, resume, save_checkpoint
from gcl_core.training.journal import Journal, LossMeter, TrainingError

SAVE_AFTER = 300.0  # seconds of training, after which a checkpoint is due within an epoch
SHOWN_EVERY = 0.5 if sys.stderr.isatty() else 10.0  # seconds between two states of the progress line
PROGRESS = "{desc}: {n:.2f}/{total} epochs |{bar:10}| {elapsed}<{remaining}{postfix}"

Begun = TypeVar("Begun")
Batch = TypeVar("Batch")
Made = TypeVar("Made")


class Stopped(SystemExit):
    """The process was asked to end (SIGTERM) and has kept its state; the same call goes on from there."""


class Unheard(Journal):
    """Journal of the ranks above 0: it discards everything."""

    def __init__(self) -> None:
        pass

    def record(self, epoch: int, **values: Any) -> None:
        """Leave it to the first process."""

    def show(self, epoch: int, name: str, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Leave it to the first process."""

    def pace(self, epoch: int, *, steps_per_second: float, waiting: float | None) -> None:
        """Leave it to the first process."""

    def close(self) -> None:
        """Do nothing."""


class Epochs:
    """The epochs of one stage, from where its last checkpoint ends, to be used as

        with Epochs(run, title, count, parts) as epochs:
            for epoch in epochs:
                labels = epochs.begin(lambda: cluster(…))
                for step, pictures in epochs.fed(batches, feed.pictures):
                    …
                    epochs.tell(losses, pictures=x)
                epochs.end(facts, **accuracy)

    `parts` are what steps change. A checkpoint is written at the end of every epoch and, in long ones, within: every
    draw and every batch must follow from (seed, epoch, step), so that a run that goes on ends, on a CPU, with the same
    bits.
    SIGTERM ends the training after the step at work; elsewhere at once, as nothing but time is lost there. Of several
    processes the first keeps and tells; all go on from the same file and end after the same step.
    Raises RunError for checkpoints that cannot be read, or not by all processes alike.
    """

    def __init__(self, run: RunFolder, title: str, epochs: int, parts: Mapping[str, Stateful]) -> None:
        self._run, self._title, self._count = run, title, epochs
        self._parts = dict(parts)
        self._path = run.path / "checkpoint.safetensors"
        state = resume(self._path, parts)
        self._epoch, self._step = state.get("epoch", 0), state.get("step")  # no step: the epoch is over
        place = ranks.broadcast(lambda: (self._epoch, self._step))
        if place != (self._epoch, self._step):
            raise RunError(
                f"{self._path}: process {ranks.rank} found the state after epoch {self._epoch}, step {self._step}, the "
                f"first one that after {place}; the folder of runs must be on a file system that all machines share"
            )
        self._goes_on = self._step is not None
        self._begun, self._meter = state.get("begun"), LossMeter(state.get("losses"))
        self._held: dict[str, Any] = state.get("held", {})  # what an epoch adds to the parts, at first their states
        self._first = self._epoch if self._goes_on else self._epoch + 1
        self._within = False  # a step is at work
        self._asked = False  # to end
        self._open = contextlib.ExitStack()  # what makes batches
        self._saved = time.monotonic()
        self.fresh = not state
        self.journal = Unheard()
        if not ranks.is_first:
            return
        self.journal = Journal(run, title, epochs, start=self._first - 1, step=self._step)
        if (record := state.get("record")) and all(line["epoch"] < self._epoch for line in read_metrics(run.path)):
            self.journal.record(self._epoch, **record)  # the process ended after that checkpoint, before this line

    def __enter__(self) -> "Epochs":
        self._earlier = None
        if threading.current_thread() is threading.main_thread():
            self._earlier = signal.signal(signal.SIGTERM, self._on_term)
        done = self._first - 1
        self._line = tqdm(
            total=self._count,
            initial=done,
            desc=self._title,
            bar_format=PROGRESS,
            mininterval=SHOWN_EVERY,
            leave=False,
            disable=not ranks.is_first,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._line.close()
        self.journal.close()
        if self._earlier is not None:
            signal.signal(signal.SIGTERM, self._earlier)

    def __iter__(self) -> Iterator[int]:
        """Yield the epochs that are left, the one first that a checkpoint lies within."""
        for epoch in range(self._first, self._count + 1):
            self._taken, self._spent, self._waited = 0, 0.0, None  # steps, seconds in them, those waited for batches
            if not (self._goes_on and epoch == self._first):
                self._step, self._begun, self._meter, self._held = None, None, LossMeter(), {}
            self._epoch = epoch
            yield epoch
            self._goes_on = False

    def begin(self, make: Callable[[], Begun]) -> Begun:
        """Return what an epoch starts with: made now, or as it was when this epoch began before a stop."""
        if self._goes_on:
            assert self._begun is not None
            return self._begun
        value = make()
        self._begun = value
        return value

    def hold(self, name: str, part: Stateful) -> None:
        """Keep in this epoch's checkpoints also what the epoch made and its steps change; brings it up to date."""
        if self._goes_on:
            part.load_state_dict(self._held[name])
        self._held[name] = part

    def steps(self, batches: Sequence[Batch]) -> Iterator[tuple[int, Batch]]:
        """Yield the steps that are left with their batches; after one, keeps the state where that is due."""
        self._steps = len(batches)
        for step in range(self._step or 0, len(batches)):
            self._within = True
            begun = time.perf_counter()
            # whatever a network draws by itself, as dropout does, then depends on nothing but this step
            torch.manual_seed(derive_seed(self._run.seed, self._title, self._epoch, step, ranks.rank))
            yield step, batches[step]
            self._spent += time.perf_counter() - begun
            self._taken += 1
            self._step = step + 1
            asked = ranks.any_rank(self._asked)  # of all alike; who is asked from here on ends after the next step
            if asked or time.monotonic() - self._saved > SAVE_AFTER:
                self._save_within()
            if asked:
                ranks.barrier()  # who ends takes the others along, and the first may be at its checkpoint still
                self._stop()
            self._within = ranks.world_size > 1  # one alone may not leave the others between two steps
        self._within = False

    def fed(
        self, batches: Sequence[Batch], make: Callable[[Sequence[Batch]], Generator[Made]]
    ) -> Iterator[tuple[int, Made]]:
        """As `steps`, with what `make` yields of the batches that are left; measures how long that is waited for.

        What `make` returned is closed after the last step, or with these epochs when one raises.
        """
        self._waited = 0.0
        made = self._open.enter_context(contextlib.closing(make(batches[self._step or 0 :])))
        for step, _ in self.steps(batches):
            asked = time.perf_counter()
            value = next(made)
            self._waited += time.perf_counter() - asked
            yield step, value
        self._open.close()

    def tell(self, losses: Mapping[str, Tensor], **inspected: Tensor) -> None:
        """Count one step's losses and show them; `inspected` is written beside the run if one of them went astray.

        Of several processes the mean of theirs counts, and each writes its part of the batch.
        Raises TrainingError that names the loss which is NaN, infinite or beyond measure.
        """
        step = self._step or 0
        if ranks.world_size > 1:
            means = torch.stack([value.detach().float() for value in losses.values()])
            ranks.all_reduce_mean([means])
            losses = dict(zip(losses, means, strict=True))
        try:
            values = self._meter.add(losses)
        except TrainingError as error:
            part = f"_part_{ranks.rank}" if ranks.world_size > 1 else ""
            path = self._run.path / f"stopped_at_epoch_{self._epoch}_step_{step}{part}.safetensors"
            with atomic(path) as temporary:
                save_file({name: tensor.detach().cpu().contiguous() for name, tensor in inspected.items()}, temporary)
            ranks.barrier()  # until all parts are written
            raise TrainingError(
                f"{error} in epoch {self._epoch}, step {step}; the last checkpoint is kept. Lower that network's "
                f"learning rate, or look at the batch, which is in {path}"
            ) from error
        self._line.set_postfix_str(
            f"step {step + 1}/{self._steps} " + " ".join(f"{name} {value:.3g}" for name, value in values.items()),
            refresh=False,
        )
        self._line.update(self._epoch - 1 + (step + 1) / self._steps - self._line.n)

    def due(self, every: int | None) -> bool:
        """Whether what is done every so many epochs, None for every one, and after the last is due after this one."""
        return self._epoch % (every or 1) == 0 or self._epoch == self._count

    def end(self, facts: Mapping[str, Any], **accuracy: Any) -> None:
        """Keep the state after the epoch, then record it: its facts, the losses' means, its accuracy."""
        self._within = True  # a stop waits until both are done
        self._step = None
        record = {**facts, **self._meter.means(), **accuracy}
        self._save(record=record)
        if self._taken:
            waiting = None if self._waited is None else self._waited / self._spent
            self.journal.pace(self._epoch, steps_per_second=self._taken / self._spent, waiting=waiting)
        self.journal.record(self._epoch, **record)
        asked = ranks.any_rank(self._asked)
        self._within = False
        self._line.update(self._epoch - self._line.n)
        if asked:
            self._stop()

    def _save(self, **facts: Any) -> None:
        if ranks.is_first:
            save_checkpoint(self._path, self._parts, epoch=self._epoch, **facts)
        self._saved = time.monotonic()

    def _save_within(self) -> None:
        held = {name: part.state_dict() for name, part in self._held.items()}
        self._save(step=self._step, begun=self._begun, losses=self._meter.state(), held=held)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        if not self._within:
            self._stop()

    def _stop(self) -> None:
        where = f"epoch {self._epoch}" + ("" if self._step is None else f", step {self._step}")
        if ranks.is_first:
            told = f"{self._title}: asked to end after {where}; the same call goes on from the last checkpoint"
            print(told, flush=True)
        raise Stopped(128 + signal.SIGTERM)
