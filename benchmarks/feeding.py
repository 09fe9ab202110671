"""Times how batches come to a step, and the share of its time that a training waits for them; prints JSON.

python benchmarks/feeding.py                                  # profile mini's networks, on the CPU
python benchmarks/feeding.py --profile paper --device cuda    # ResNet-50 at 256x128, on a GPU: there on the device too

A batch is 16 pictures with two projections each, a control's one 16 pictures and their augmented copies. Its making is
timed at 64x32 and at 256x128 from memory-mapped random bytes, the waiting in joint steps of the profile's size.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from step import PROFILES, ROWS, begin, now

from gcl_core.config import load_study
from gcl_core.data import feed
from gcl_core.data.augment import augment
from gcl_core.data.batches import epoch_batches, imagenet_normalize
from gcl_core.data.feed import Batches, Feed
from gcl_core.data.person_set import PersonSet
from gcl_core.seeding import numpy_rng, rng
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.journal import LossMeter
from gcl_core.training.step import Batch, joint_step

BATCH, CLUSTER = 16, 16
SIZES = {"64x32": (64, 32), "256x128": (256, 128)}


def random_people(folder: Path, rows: int, height: int, width: int) -> PersonSet:
    """Return random bytes, memory-mapped as a prepared set is."""
    draw, arrays = numpy_rng(0, "feeding benchmark"), {}
    for name, shape in (("pictures", (height, width, 3)), ("projections", (8, height, width))):
        array = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(rows, *shape))
        for row in range(rows):
            array[row] = draw.integers(0, 256, shape, dtype=np.uint8)
        array.flush()
        arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return PersonSet(pd.DataFrame(), **arrays, fingerprint="random")


def in_turn(make: Callable[[Any], Any], items: Batches, _: torch.device) -> Generator[Any]:
    """Stand in for `ahead`: make every item when it is asked for."""
    return (make(item) for item in items)


def ways(people: PersonSet, device: torch.device) -> Iterator[tuple[str, Feed, Callable[..., Any]]]:
    """Yield each way in which batches come, with its feed and what stands in the place of `ahead`."""
    rows = np.arange(len(people.pictures))
    with patch.object(feed, "fits", lambda *_: False):
        yield "asked for", Feed(people, rows, device, projections=True), in_turn
        yield "fetched ahead", Feed(people, rows, device, projections=True), feed.ahead
    if device.type == "cuda":
        with patch.object(feed, "fits", lambda *_: True):
            yield "on the GPU", Feed(people, rows, device, projections=True), feed.ahead


def seconds_a_batch(made: Generator[Any], device: torch.device, then: Callable[[Any, int], object]) -> float:
    """Return the median seconds from asking for a batch to having it; the first is not counted."""
    times, start = [], now(device)
    for number, value in enumerate(made):
        then(value, number)
        end = now(device)
        times.append(end - start)
        start = end
    return statistics.median(times[1:])


def making(device: torch.device, rows: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return the seconds that a batch takes by size and way, each with nothing beside it."""
    found: dict[str, dict[str, float]] = {}
    settings = load_study("mini").augmentation

    def ready(value: Any, _: int) -> None:
        imagenet_normalize(value.pictures)

    def augmented(value: torch.Tensor, number: int) -> None:
        imagenet_normalize(augment(value, settings, rng(0, "feeding benchmark", number)))
        imagenet_normalize(value)

    for title, (height, width) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            people = random_people(Path(folder), rows, height, width)
            order = [batch for epoch in range(repeats) for batch in batches(rows, epoch)][: repeats + 1]
            found[title] = {}
            for way, fed, made_by in ways(people, device):
                if way == "fetched ahead":
                    continue  # with nothing to do meanwhile it takes as long
                with patch.object(feed, "ahead", made_by):
                    drawn = partial(fed.drawn, angles=np.full(rows, 90))
                    found[title][f"{way}, with projections"] = seconds_a_batch(drawn(order), device, ready)
                    found[title][f"{way}, augmented"] = seconds_a_batch(fed.pictures(order), device, augmented)
    return found


def batches(rows: int, epoch: int) -> Batches:
    return epoch_batches(np.arange(rows), BATCH, seed=0, purpose="feeding benchmark", epoch=epoch)


def waiting(profile: str, device: torch.device, rows: int, steps: int) -> dict[str, Any]:
    """Return the median seconds of a joint step and the share of the time that it waited for batches, by way."""
    name, words = PROFILES[profile]
    study = load_study(name, [*words.split(), f"joint.batch_size={BATCH}"])
    learners, labels, found = begin(study, ROWS[profile], device), torch.arange(ROWS[profile]) // CLUSTER, {}
    order = [batch for epoch in range(steps) for batch in batches(rows, epoch)][: steps + 1]
    with tempfile.TemporaryDirectory() as folder:
        people = random_people(Path(folder), rows, study.picture.height, study.picture.width)
        for way, fed, made_by in ways(people, device):
            with patch.object(feed, "ahead", made_by):
                made, times, waits = fed.drawn(order, angles=np.full(rows, 90)), [], []
                for step, picked in enumerate(order):
                    start = now(device)
                    value = next(made)
                    waits.append(time.perf_counter() - start)
                    places, draw = torch.from_numpy(picked), rng(0, "feeding benchmark, partners", step)
                    partners = draw_own_partners(labels, places, study.contrast, draw)
                    x = imagenet_normalize(value.pictures)
                    batch = Batch(places, partners, x, value.mesh, value.turned)
                    told = joint_step(learners, batch, study, study.variants["gcl"], step=step)
                    LossMeter().add(told)
                    learners.bank.check()
                    times.append(now(device) - start)
                made.close()
            found[way] = {"seconds per step": statistics.median(times[1:]), "waiting": sum(waits[1:]) / sum(times[1:])}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=PROFILES, default="mini", help="whose networks")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=512, help="pictures to draw batches from")
    parser.add_argument("--repeats", type=int, default=100, help="batches made")
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    report: dict[str, Any] = {**vars(options), "seconds per batch": making(device, options.rows, options.repeats)}
    if device.type == "cuda":
        report["GPU"] = torch.cuda.get_device_name(device)
    report["joint steps"] = waiting(options.profile, device, options.rows, options.steps)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
