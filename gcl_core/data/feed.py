"""Pictures and projections on their way to a stage's steps: all on the GPU from the start, or fetched a step ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gcl_core.data.batches import send, unit_pictures, unit_projections
from gcl_core.data.person_set import PersonSet
from gcl_core.parallel import ranks

SHARE = 0.4  # of a GPU's free memory that pictures and projections may take: networks come to need the rest
AHEAD = 2  # batches made before they are asked for
CHUNK = 256  # rows that move to a GPU together when all move

Item = TypeVar("Item")
Made = TypeVar("Made")
Batches = Sequence[Int64[np.ndarray, " _"]]  # sizes differ


class Drawn(NamedTuple):
    """What a step draws from: pictures in [0, 1], their meshes as photographed and at the angle to be drawn."""

    pictures: Float[Tensor, "b 3 h w"]
    mesh: Float[Tensor, "b 1 h w"]
    turned: Float[Tensor, "b 1 h w"]


class Feed:
    """The pictures of `rows` of a prepared set, and with `projections` their meshes, for the steps of one stage.

    On a GPU they lie as bytes if they fit, and a batch is a selection there; otherwise they stay where they are and a
    thread makes each batch while the steps before it are at work. Which of both is decided here, and told once.
    Batches are places in `rows`; what they yield lies on `device`, the same values either way.
    """

    def __init__(
        self, people: PersonSet, rows: Int64[np.ndarray, " n"], device: torch.device, *, projections: bool
    ) -> None:
        self._rows, self._device = rows, device
        arrays = [people.pictures, people.projections] if projections else [people.pictures]
        needed = sum(len(rows) * array[:1].nbytes for array in arrays)
        self._resident = fits(needed, device)
        self._arrays = [_moved(array, rows, device) for array in arrays] if self._resident else arrays
        if device.type == "cuda" and ranks.is_first:
            limit = f"{100 * SHARE:.0f} % of the memory free on the GPU"
            where = f"within {limit}, lie there" if self._resident else f"above {limit}, are fetched ahead of each step"
            print(f"{len(rows)} training pictures, {needed / 1e9:.2f} GB, {where}", flush=True)

    def pictures(self, batches: Batches) -> Generator[Float[Tensor, "b 3 h w"]]:
        """Yield each batch's pictures in [0, 1]."""
        return self._made(self._pictures, batches)

    def drawn(self, batches: Batches, *, angles: Int64[np.ndarray, " n"]) -> Generator[Drawn]:
        """Yield each batch's pictures and two meshes; `angles` to be drawn, in degrees, are those of all rows."""

        def make(picked: Int64[np.ndarray, " b"]) -> Drawn:
            views = angles[picked] // 45
            pixels = (self._take(1, picked, each) for each in (np.zeros_like(views), views))
            return Drawn(self._pictures(picked), *(unit_projections(each, self._device) for each in pixels))

        return self._made(make, batches)

    def _made(self, make: Callable[[Int64[np.ndarray, " b"]], Made], batches: Batches) -> Generator[Made]:
        return (make(batch) for batch in batches) if self._resident else ahead(make, batches, self._device)

    def _pictures(self, picked: Int64[np.ndarray, " b"]) -> Float[Tensor, "b 3 h w"]:
        return unit_pictures(self._take(0, picked), self._device)

    def _take(self, number: int, picked: Int64[np.ndarray, " b"], *view: Int64[np.ndarray, " b"]) -> Tensor:
        array = self._arrays[number]
        if isinstance(array, Tensor):
            return array[tuple(send(torch.from_numpy(each), self._device) for each in (picked, *view))]
        return send(torch.from_numpy(array[(self._rows[picked], *view)]), self._device)


def fits(needed: int, device: torch.device) -> bool:
    """Whether `needed` bytes take at most SHARE of a GPU's free memory; to a CPU nothing need be moved: false."""
    return device.type == "cuda" and needed <= SHARE * torch.cuda.mem_get_info(device)[0]


def ahead(make: Callable[[Item], Made], items: Iterable[Item], device: torch.device) -> Generator[Made]:
    """Yield `make` of every item, in order, made in a thread that is up to AHEAD items further; raises what it raises.

    The thread ends with this generator, closed early or not.
    """
    # a new thread would be at work on the first GPU, whichever this process has
    stand = partial(torch.cuda.set_device, torch.cuda.current_device()) if device.type == "cuda" else None
    pool, waiting = ThreadPoolExecutor(1, "ahead", initializer=stand), deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _moved(
    array: UInt8[np.ndarray, "all ..."], rows: Int64[np.ndarray, " n"], device: torch.device
) -> UInt8[Tensor, "n ..."]:
    """Copy rows to a device, a few at a time: the host need not hold them twice."""
    moved = torch.empty(len(rows), *array.shape[1:], dtype=torch.uint8, device=device)
    for start in range(0, len(rows), CHUNK):
        moved[start : start + CHUNK] = torch.from_numpy(array[rows[start : start + CHUNK]])
    return moved
