"""Times one joint step and its parts; prints JSON. That the step is METHOD.md's is tests/training/test_iteration.py's.

python benchmarks/step.py                                             # the networks of profile mini, on the CPU
python benchmarks/step.py --profile paper --device cuda --repeats 20  # ResNet-50 at 256x128, on a GPU

It trains from random weights on random pictures.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from gcl_core.config import Study, load_study
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.seeding import rng
from gcl_core.training import step as ours
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch

# settings of each; penalised at every step, as published
PROFILES = {
    "mini": ("mini", "discriminator.penalty_every=1"),
    "paper": ("market1501", "dataset=synthetic identity_encoder.weights=null"),
}
ROWS = {"mini": 768, "paper": 12_936}  # of the memory bank: the training pictures of the synthetic set, of Market-1501
CLUSTER = 16  # pictures in each
NOISE = 0.05  # std of what is added to every weight, so that no bias and no gain is at its neutral start


class Work(NamedTuple):
    """What a step is given."""

    study: Study
    batch: Batch


def take_step(learners: Learners, work: Work, number: int) -> dict[str, Tensor]:
    return ours.joint_step(learners, work.batch, work.study, work.study.variants["gcl"], step=number)


def begin(study: Study, rows: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Learners:
    """Return networks, optimisers and a memory bank at random weights."""
    draw = rng(0, "step benchmark, weights")
    encoder = build_encoder(study, 0).to(device, dtype).train()
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, device)
    for network in (encoder, drawing.generator.to(dtype), drawing.discriminator.to(dtype)):
        for value in network.parameters():
            value.data += NOISE * torch.randn(value.shape, generator=draw).to(value)
    bank = MemoryBank(torch.randn(rows, encoder.feature_dim, generator=draw)).to(device, dtype)
    return Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)


def random_work(study: Study, rows: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Work:
    """Return a batch of random pictures and projections, and clusters of equal size."""
    draw, picture, size = rng(0, "step benchmark, pictures"), study.picture, study.joint.batch_size
    x = torch.randn(size, 3, picture.height, picture.width, generator=draw)
    mesh, turned = torch.rand(2, size, 1, picture.height, picture.width, generator=draw).mul(2).sub(1)
    indices = torch.randperm(rows, generator=draw)[:size]
    labels = torch.arange(rows) // CLUSTER
    partners = draw_own_partners(labels, indices, study.contrast, rng(0, "step benchmark, partners"))
    return Work(study, Batch(indices, partners, *(each.to(device, dtype) for each in (x, mesh, turned))))


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(learners: Learners, work: Work, number: int) -> float:
    """Return the seconds of a step."""
    start = now(work.batch.x.device)
    take_step(learners, work, number)
    return now(work.batch.x.device) - start


def peak(learners: Learners, work: Work) -> float:
    """Return the most memory that a step on a GPU has above what was held before, in GB."""
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    timed(learners, work, 0)
    return (torch.cuda.max_memory_allocated() - held) / 1e9


@contextmanager
def clocked(learners: Learners) -> Iterator[dict[str, float]]:
    """Give the seconds that parts of our steps take while this is open; a part within a part belongs to the outer."""
    drawing, device = learners.drawing, learners.bank.rows.device
    assert drawing is not None
    spent, open_parts = defaultdict(float), []

    def clock(part: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def run_timed(*args: Any, **kwargs: Any) -> Any:
            if open_parts:
                return run(*args, **kwargs)
            open_parts.append(part)
            start = now(device)
            result = run(*args, **kwargs)
            spent[part] += now(device) - start
            open_parts.clear()
            return result

        return run_timed

    parts = [
        (learners.encoder, "forward", "E_id, four passes"),
        (drawing.generator, "structure", "E_str"),
        (drawing.generator, "forward", "decoder and MLPs"),
        (ours, "update_discriminator", "D's step with penalty"),
        (ours, "generator_losses", "G's pass through D"),
        (ours, "contrast_losses", "memory loss"),
        (Tensor, "backward", "backward"),
        (learners.optimizer, "step", "optimisers of G and E_id"),
        (drawing.generator_optimizer, "step", "optimisers of G and E_id"),
        (learners.bank, "update", "memory's update"),
    ]
    with ExitStack() as stack:
        for owner, name, part in parts:
            stack.enter_context(patch.object(owner, name, clock(part, getattr(owner, name))))
        yield spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=PROFILES, default="mini", help="whose networks")
    parser.add_argument("--height", type=int, help="of the pictures; the profile's when not given")
    parser.add_argument("--width", type=int)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, rows, (profile, settings) = torch.device(options.device), ROWS[options.profile], PROFILES[options.profile]
    sides = [f"picture.{side}={vars(options)[side]}" for side in ("height", "width") if vars(options)[side]]
    study = load_study(profile, [*settings.split(), f"joint.batch_size={options.batch}", *sides])

    report: dict[str, Any] = {**vars(options), "height": study.picture.height, "width": study.picture.width}
    work, learners = random_work(study, rows, device), begin(study, rows, device)
    times = [timed(learners, work, repeat) for repeat in range(options.repeats + 1)][1:]  # the first is not counted
    report["seconds per step"] = statistics.median(times)
    report["pictures per second"] = options.batch / report["seconds per step"]
    if device.type == "cuda":
        report["GPU"] = torch.cuda.get_device_name(device)
        report["GB above what is held"] = peak(learners, work)
    with clocked(learners) as parts:
        whole = sum(timed(learners, work, repeat) for repeat in range(options.repeats))
    parts["all else"] = whole - sum(parts.values())
    report["parts"] = {name: {"seconds": each / options.repeats, "share": each / whole} for name, each in parts.items()}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
