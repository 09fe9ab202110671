"""Time views over the body's surface, piece by piece and whole, at three sizes; processor time of one core.

python benchmarks/surface.py                      # synthetic people, 16 pictures of each size
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from gcl_core.config import PeopleSettings
from gcl_core.data.people.estimates import known_body
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.mesh.body import AVERAGE, load_bodies
from gcl_core.mesh.fitted import pose_body
from gcl_core.mesh.projection import YAWS, Frame
from gcl_core.mesh.stick_figure import FREE, make_family
from gcl_core.surface.merging import MergedViews, Plan
from gcl_core.surface.placement import KNOWN, Placement
from gcl_core.surface.stored import StoredViews
from gcl_core.surface.textures import pack_texture, texture_type
from gcl_core.surface.topology import Topology, make_topology
from gcl_core.surface.views import carry_views

HEIGHTS = (64, 128, 256)
TARGETS = {64: 6, 128: 15, 256: 50}  # milliseconds for seven views of a picture


def milliseconds(run: Callable[[int], object], count: int, rounds: int) -> dict[str, float]:
    """Processor time of `run(i)`: the median over `count` inputs, each at its best of some rounds."""
    best = np.full(count, np.inf)
    for _ in range(rounds):
        times = [time.process_time()]
        for place in range(count):
            run(place)
            times.append(time.process_time())
        best = np.minimum(best, [after - before for before, after in pairwise(times)])
    return {"median ms": round(1000 * float(np.median(best)), 2), "slowest ms": round(1000 * float(best.max()), 2)}


def merging(pictures: np.ndarray, placed: list[Placement], topology: Topology) -> MergedViews:
    """Return what merges pictures, whose own views are black here."""
    packed = np.stack([pack_texture(picture, each, topology) for picture, each in zip(pictures, placed, strict=True)])
    views = np.zeros((len(placed), len(YAWS) - 1, *pictures.shape[1:]), dtype=np.uint8)
    every = np.ones(len(placed), dtype=bool)
    return MergedViews(StoredViews(views, every), packed.view(texture_type(topology))[:, 0], every, topology)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    skeleton, rest_body = load_bodies()
    family, topology = make_family(skeleton, rest_body), make_topology(skeleton, rest_body(AVERAGE))
    people = list(zip(plan_people(PeopleSettings(train_identities=options.pictures)), range(10**6), strict=False))
    shots = [shots[number % len(shots)] for shots, number in people]
    looks = [draw_looks(0, shot.person.kind, shot.person.number) for shot in shots]
    known = [known_body(shot, skeleton, rest_body(worn.body)) for shot, worn in zip(shots, looks, strict=True)]
    average = {name: float(angle.mean) for name, angle in FREE.items()}
    report: dict[str, object] = {"load of the machine": os.getloadavg()[0]}
    report["posing a fitted body"] = milliseconds(lambda _: pose_body(family, average, 30.0), 4, options.rounds)
    for height in HEIGHTS:
        frames = [each.frame(height, height // 2) for each in known]
        frames = [Frame(frame.scale / height, frame.column / height, frame.row / height) for frame in frames]
        placed = [Placement(each.body, frame, 0.5, KNOWN) for each, frame in zip(known, frames, strict=True)]
        pictures = np.random.default_rng(0).integers(0, 256, (len(placed), height, height // 2, 3), dtype=np.uint8)
        carry_views(pictures[0], placed[0], topology)  # compiles

        def carry(place: int, pictures: np.ndarray = pictures, placed: list[Placement] = placed) -> object:
            return carry_views(pictures[place], placed[place], topology)

        found = milliseconds(carry, len(placed), options.rounds)
        report[f"seven views at {height}x{height // 2}"] = found | {"target ms": TARGETS[height]}
        merged, count = merging(np.full_like(pictures, 128), placed, topology), len(placed)
        plan = merged.plan(torch.zeros(count, dtype=torch.int64), torch.ones(count, 1))

        def merge(place: int, merged: MergedViews = merged, plan: Plan = plan) -> object:
            return merged.at(np.array([place]), np.array([YAWS[1 + place % 7]]), plan)

        merge(0)  # compiles
        name = f"one view at {height}x{height // 2} merged from {int((plan.donors[0] >= 0).sum())} others"
        report[name] = milliseconds(merge, count, options.rounds)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
