"""One training on several processes, one per device: torch.distributed, and nothing of it where there is one process.

All ranks run the same stage with the same draws. A batch is cut into equal consecutive parts, gradients are averaged
before an optimiser steps, so that all ranks hold the same weights; rank 0 alone writes files (docs/PARALLEL.md).
"""

import contextlib
import functools
import os
import pickle
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Int64, Shaped
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from gcl_core.device import resolve_device
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.run_folder import RunFolder

PATIENCE = timedelta(days=7)  # the first process may do stage 1 alone; one that dies is noticed at once
GRACE = 10.0  # seconds the others have to end by themselves when one has failed

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Ranks:
    """The processes that train as one, in the words of torch.distributed; a process alone is rank 0 of 1.

    Collective calls, which every rank must make: `all_gather`, `all_reduce_mean`, `any_rank`, `broadcast`, `barrier`
    and `opened`.
    """

    _alone = False  # rank 0 works by itself while the others wait

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return dist.get_world_size() if dist.is_initialized() and not self._alone else 1

    @property
    def rank(self) -> int:
        """This process' number, from 0."""
        return dist.get_rank() if dist.is_initialized() else 0

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which clusters, records and writes files."""
        return self.rank == 0

    def part(self, length: int) -> slice:
        """Return the consecutive places of 0 … length - 1 that are this rank's part; all of them for one process."""
        size = self.world_size
        own = 0 if size == 1 else self.rank
        return slice(length * own // size, length * (own + 1) // size)

    def check_batch_size(self, size: int) -> None:
        """Raise RunError for a batch that cannot be cut into equal parts of two pictures (batch norm needs two)."""
        ranks = self.world_size
        if size % ranks or size < 2 * ranks:
            raise RunError(
                f"batches of {size} pictures cannot be cut into equal parts of two or more for {ranks} processes: set "
                f"batch_size of this stage to a multiple of {ranks}, {2 * ranks} or more, or use fewer devices"
            )

    def even(self, batches: list[Int64[np.ndarray, " b"]]) -> list[Int64[np.ndarray, " b"]]:
        """Return batches that can be cut into equal parts of two or more; surplus rows of a short batch are dropped."""
        cut = [batch[: len(batch) - len(batch) % self.world_size] for batch in batches]
        return [batch for batch in cut if len(batch) >= 2 * self.world_size]

    def all_gather(self, own: Shaped[Tensor, "m d"], places: slice, length: int) -> Shaped[Tensor, "n d"]:
        """Return the rows of all ranks, each at its `places`, to all: the same bits, without gradient."""
        if self.world_size == 1:
            return own
        whole = own.new_zeros(length, own.shape[1])
        whole[places] = own.detach()
        dist.all_reduce(whole)  # each row is one rank's own plus zeros
        return whole

    @torch.no_grad()
    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over the ranks in the place of every tensor; bit-identical on all of them."""
        if self.world_size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.div_(self.world_size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        if self.world_size == 1:
            return flag
        votes = torch.tensor(int(flag))
        dist.all_reduce(votes)
        return bool(votes)

    def broadcast(self, work: Callable[[], Result]) -> Result:
        """Let rank 0 do the work alone and return its result on all ranks, to which it travels by pickle."""
        if self.world_size == 1:
            return work()
        result: list[Any] = [None]
        if self.is_first:
            self._alone = True
            try:
                result = [work()]
            finally:
                self._alone = False
        dist.broadcast_object_list(result, device=torch.device("cpu"))
        return result[0]

    def barrier(self) -> None:
        """Return when every rank has come here."""
        self.any_rank(False)

    @contextlib.contextmanager
    def opened(self, run: RunFolder) -> Iterator[RunFolder]:
        """Open a run folder on rank 0, for all: there when the block begins, written when it has ended."""
        with run if self.is_first else contextlib.nullcontext():
            self.barrier()
            yield run
            self.barrier()


ranks = Ranks()


def on_devices(stage: Callable[Concatenate[Layout, Given], Path]) -> Callable[Concatenate[Layout, Given], Path]:
    """Make a stage train on `devices` processes of this machine, or on those that torchrun started.

    Raises what the first process to fail raised, if that is an error of this package, else RuntimeError with its
    traceback; RunError for more devices than GPUs.
    """

    @functools.wraps(stage)
    def started(layout: Layout, *given: Given.args, **named: Given.kwargs) -> Path:
        study = layout.study
        if not dist.is_initialized():
            if torchrun_processes() > 1:
                _join("env://", int(os.environ["RANK"]), torchrun_processes(), study.device)
            elif study.devices > 1:
                work = functools.partial(started, layout, *given, **named)
                return run_processes(study.devices, work, device=study.device)
        if ranks.world_size > 1:
            layout = replace(layout, study=study.model_copy(update={"devices": ranks.world_size}))
        return stage(layout, *given, **named)

    return started


def torchrun_processes() -> int:
    """Return how many processes torchrun started, which train in the place of `devices`; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def run_processes(number: int, work: Callable[[], Result], *, device: str) -> Result:
    """Start `number` processes that all do `work`, wait for them and return the first one's result.

    `work` and result must be picklable. SIGTERM is handed on to them. Raises as `on_devices`; none is left running.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        group = start_processes(_process, (number, folder, work, device), nprocs=number, join=False)
        assert group is not None  # it is where it does not join
        processes: list[Any] = group.processes
        asked = threading.Event()
        try:
            with _handing_on(processes, asked):
                while not group.join(grace_period=GRACE):
                    pass
        except (ProcessRaisedException, ProcessExitedException) as failure:
            raise _explain(folder / "failure", failure, asked.is_set()) from None
        finally:
            for process in processes:
                process.kill()  # nothing to one that has ended
        return pickle.loads((folder / "result").read_bytes())


def _process(own: int, number: int, folder: Path, work: Callable[[], Any], device: str) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // number))  # they share the cores
    try:
        _join(f"file://{folder / 'store'}", own, number, device)
        result = work()
    except (Exception, SystemExit) as error:
        ours = isinstance(error, SystemExit) or type(error).__module__.startswith("gcl_core.")
        with contextlib.suppress(FileExistsError), (folder / "failure").open("xb") as stream:
            # the first to fail is the cause: others fail for want of it
            pickle.dump((own, error if ours else None, traceback.format_exc()), stream)
        raise
    if own == 0:
        (folder / "result").write_bytes(pickle.dumps(result))
    dist.destroy_process_group()


def _join(where: str, own: int, number: int, device: str) -> None:
    backend = "gloo"
    if resolve_device(device).type == "cuda":
        local, there = int(os.environ.get("LOCAL_RANK", own)), torch.cuda.device_count()
        if local >= there:
            raise RunError(
                f"devices: {local + 1} or more GPUs were asked for, torch sees {there} here; use devices={there}"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=where, rank=own, world_size=number, timeout=PATIENCE)


@contextlib.contextmanager
def _handing_on(processes: Iterable[Any], asked: threading.Event) -> Iterator[None]:
    """Hand SIGTERM on to the processes meanwhile; only the main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_on(*_: object) -> None:
        asked.set()
        for process in processes:
            process.terminate()

    earlier = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _explain(path: Path, failure: Exception, asked: bool) -> BaseException:
    if not path.is_file():
        return SystemExit(128 + signal.SIGTERM) if asked else RuntimeError(f"a training's {failure}")
    own, error, text = pickle.loads(path.read_bytes())
    return error if error is not None else RuntimeError(f"process {own} of a training failed:\n{text}")
