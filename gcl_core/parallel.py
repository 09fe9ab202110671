"""One training on several processes, one a device: torch.distributed, and nothing of it where there is one process.

All processes run the same stage with the same draws. A batch is cut into equal consecutive parts, gradients are
averaged before an optimiser steps, so that all hold the same weights; files are written by the first process alone.
What each function says of several processes it says of calls that all of them make (docs/PARALLEL.md).
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
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes
from torch.optim import Optimizer

from gcl_core.device import resolve_device
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.run_folder import RunFolder

PATIENCE = timedelta(hours=12)  # the first process may cluster that long; one that dies is noticed at once
GRACE = 10.0  # seconds the others have to end by themselves when one has failed

Given = ParamSpec("Given")
Result = TypeVar("Result")

_alone = False  # the first process works by itself while the others wait


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def rank() -> int:
    """Return this process' number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that clusters, records and writes files."""
    return rank() == 0


def share(length: int) -> slice:
    """Return the consecutive places of 0 … length - 1 that are this process' part; all with one process."""
    own = 0 if count() == 1 else rank()
    return slice(length * own // count(), length * (own + 1) // count())


def check_batch_size(size: int) -> None:
    """Raise RunError for a batch that cannot be cut into equal parts of two pictures (batch norm needs two) or more."""
    if size % count() or size < 2 * count():
        raise RunError(
            f"batches of {size} pictures cannot be cut into equal parts of two or more for {count()} processes: set "
            f"batch_size of this stage to a multiple of {count()}, {2 * count()} or more, or use fewer devices"
        )


def even(batches: list[Int64[np.ndarray, " b"]]) -> list[Int64[np.ndarray, " b"]]:
    """Return batches that can be cut into equal parts of two or more: a short batch loses the rows too many."""
    cut = [batch[: len(batch) - len(batch) % count()] for batch in batches]
    return [batch for batch in cut if len(batch) >= 2 * count()]


def gather(own: Float[Tensor, "m d"], places: slice, length: int) -> Float[Tensor, "n d"]:
    """Return the rows of all processes, each at its `places`, to all: the same bits, without gradient."""
    if count() == 1:
        return own
    whole = own.new_zeros(length, own.shape[1])
    whole[places] = own.detach()
    dist.all_reduce(whole)  # each row is one process' own plus zeros
    return whole


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Put the mean over the processes in the place of every tensor; bit-identical on all of them."""
    if count() == 1 or not tensors:
        return
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.div_(count()).split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def average_gradients(optimizer: Optimizer) -> None:
    """Average what the optimiser is about to apply; losses are means over equal parts, so this is the batch's gradient.

    By hand, so that networks stay what they are: DistributedDataParallel gives the same bits (docs/PARALLEL.md).
    """
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    average([parameter.grad for parameter in parameters if parameter.grad is not None])


def average_statistics(network: nn.Module) -> None:
    """Average batch norm's running statistics, which each process updated by its own part of the batch."""
    average([buffer for buffer in network.buffers() if buffer.is_floating_point()])


def any_of(flag: bool) -> bool:
    """Whether the flag is set on any process."""
    if count() == 1:
        return flag
    votes = torch.tensor(int(flag))
    dist.all_reduce(votes)
    return bool(votes)


def once(work: Callable[[], Result]) -> Result:
    """Let the first process do it alone and return the result to all, which travels by pickle on the CPU."""
    global _alone
    if count() == 1:
        return work()
    result: list[Any] = [None]
    if is_first():
        _alone = True
        try:
            result = [work()]
        finally:
            _alone = False
    dist.broadcast_object_list(result, device=torch.device("cpu"))
    return result[0]


def wait_for_all() -> None:
    """Return when every process has come here."""
    any_of(False)


@contextlib.contextmanager
def opened(run: RunFolder) -> Iterator[RunFolder]:
    """Open a run folder on the first process, for all: there when the block begins, written when it has ended."""
    with run if is_first() else contextlib.nullcontext():
        wait_for_all()
        yield run
        wait_for_all()


def on_devices(stage: Callable[Concatenate[Layout, Given], Path]) -> Callable[Concatenate[Layout, Given], Path]:
    """Make a stage train on `devices` processes of this machine, or on those that torchrun started.

    Raises what the first process to fail raised, if that is an error of this package, else RuntimeError with its
    traceback; RunError for more devices than GPUs.
    """

    @functools.wraps(stage)
    def started(layout: Layout, *given: Given.args, **named: Given.kwargs) -> Path:
        study = layout.study
        if not dist.is_initialized():
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                _join("env://", int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), study.device)
            elif study.devices > 1:
                work = functools.partial(started, layout, *given, **named)
                return run_processes(study.devices, work, device=study.device)
        if count() > 1:
            layout = replace(layout, study=study.model_copy(update={"devices": count()}))
        return stage(layout, *given, **named)

    return started


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
