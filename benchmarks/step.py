"""Times one joint step against METHOD.md §1.2 and §3 written down plainly, after both were found to agree; prints JSON.

python benchmarks/step.py                                             # the networks of profile mini, on the CPU
python benchmarks/step.py --profile paper --device cuda --repeats 20  # ResNet-50 at 256x128, on a GPU

Both train the same networks from the same weights on the same random pictures with the same partners.
"""

import argparse
import copy
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from plain_step import Work, partners, plain_step
from torch import Tensor

from gcl_core.config import Study, load_study
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder
from gcl_core.seeding import rng
from gcl_core.training import joint_step as ours
from gcl_core.training.generation import Drawing
from gcl_core.training.joint_step import Batch, Learners
from gcl_core.training.optimizers import make_optimizer

# settings of each; penalised at every step, as published
PROFILES = {
    "mini": ("mini", "discriminator.penalty_every=1"),
    "paper": ("market1501", "dataset=synthetic identity_encoder.weights=null"),
}
ROWS = {"mini": 768, "paper": 12_936}  # of the memory bank: the training pictures of the synthetic set, of Market-1501
CLUSTER = 16  # pictures in each
NOISE = 0.05  # std of what is added to every weight, so that no bias and no gain is at its neutral start
SETTLING = 3  # steps before anything is compared or timed: the optimisers have moments then
TOLERANCE = 1e-5  # relative: of every loss, and of the gradient of every network
# a GPU may round 32 pictures otherwise than twice 16, and one ReLU that flips changes a gradient by more than TOLERANCE
CHECKED_IN = {"cpu": torch.float32, "cuda": torch.float64}

Step = Callable[[Learners, Work, int], dict[str, Tensor]]


def our_step(learners: Learners, work: Work, number: int) -> dict[str, Tensor]:
    study = work.study
    return ours.joint_step(
        learners, work.batch, work.labels, study, study.variants["gcl"], partners(number), step=number
    )


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


def settle(learners: Learners, work: Work) -> Learners:
    """Take a few steps; return other learners in the same state."""
    for number in range(SETTLING):
        our_step(learners, work, number)
    rows = learners.bank.rows
    twin = begin(work.study, len(rows), rows.device, rows.dtype)
    for name, part in twin.parts().items():
        part.load_state_dict(copy.deepcopy(learners.parts()[name].state_dict()))
    return twin


def random_work(study: Study, rows: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Work:
    """Return a batch of random pictures and projections, and clusters of equal size."""
    draw, picture, size = rng(0, "step benchmark, pictures"), study.picture, study.joint.batch_size
    x = torch.randn(size, 3, picture.height, picture.width, generator=draw)
    mesh, turned = torch.rand(2, size, 1, picture.height, picture.width, generator=draw).mul(2).sub(1)
    indices = torch.randperm(rows, generator=draw)[:size].to(device)
    batch = Batch(indices, *(each.to(device, dtype) for each in (x, mesh, turned)))
    return Work(study, batch, (torch.arange(rows) // CLUSTER).to(device))


def watched(step: Step, learners: Learners, work: Work, number: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Take a step; return its losses and the gradient of each network as its optimiser used it."""
    assert learners.drawing is not None
    optimizers = {
        "E_id": learners.optimizer,
        "G": learners.drawing.generator_optimizer,
        "D": learners.drawing.discriminator_optimizer,
    }
    gradients: dict[str, Tensor] = {}

    def keep(name: str, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        every = (value.grad for group in optimizer.param_groups for value in group["params"])
        gradients[name] = torch.cat([each.flatten() for each in every if each is not None])

    hooks = [each.register_step_pre_hook(partial(keep, name)) for name, each in optimizers.items()]
    losses = step(learners, work, number)
    for hook in hooks:
        hook.remove()
    return losses, gradients


def disagreement(study: Study, rows: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Take one plain step and one of ours from the same state; return relative differences of losses and gradients.

    Raises ValueError when one is above TOLERANCE.
    """
    dtype = CHECKED_IN[device.type]
    work, learners = random_work(study, rows, device, dtype), begin(study, rows, device, dtype)
    plain = watched(plain_step, settle(learners, work), work, SETTLING)
    our = watched(our_step, learners, work, SETTLING)
    found = {
        title: {name: float((o[name] - value).detach().norm() / value.detach().norm()) for name, value in p.items()}
        for title, p, o in zip(("losses", "gradients"), plain, our, strict=True)
    }
    worst = max(value for each in found.values() for value in each.values())
    if not worst <= TOLERANCE:
        raise ValueError(f"the steps differ by {worst:.1e} in {dtype}, expected {TOLERANCE} at most: {found}")
    return found


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(step: Step, learners: Learners, work: Work, number: int) -> float:
    """Return the seconds of a step."""
    start = now(work.labels.device)
    step(learners, work, number)
    return now(work.labels.device) - start


def peak(step: Step, learners: Learners, work: Work) -> float:
    """Return the most memory that a step on a GPU has above what was held before, in GB."""
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    timed(step, learners, work, 0)
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
        (ours, "contrast_losses", "memory loss and draw of partners"),
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
    parser.add_argument("--device", choices=CHECKED_IN, default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, rows, (profile, settings) = torch.device(options.device), ROWS[options.profile], PROFILES[options.profile]
    sides = [f"picture.{side}={vars(options)[side]}" for side in ("height", "width") if vars(options)[side]]
    study = load_study(profile, [*settings.split(), f"joint.batch_size={options.batch}", *sides])

    report: dict[str, Any] = {**vars(options), "height": study.picture.height, "width": study.picture.width}
    report["relative differences"] = disagreement(study, rows, device)
    work, learners = random_work(study, rows, device), begin(study, rows, device)
    forms = {"plain": (plain_step, settle(learners, work)), "ours": (our_step, learners)}
    found = defaultdict(list)
    for repeat in range(options.repeats + 1):  # the first is not counted
        for name, (step, who) in forms.items():
            found[name].append(timed(step, who, work, SETTLING + repeat))
    spent = {name: statistics.median(times[1:]) for name, times in found.items()}
    report["seconds a step"], report["plain / ours"] = spent, spent["plain"] / spent["ours"]
    report["pictures a second"] = {name: options.batch / each for name, each in spent.items()}
    if device.type == "cuda":
        report["GPU"] = torch.cuda.get_device_name(device)
        report["GB above what is held"] = {name: peak(step, who, work) for name, (step, who) in forms.items()}
    with clocked(learners) as parts:
        whole = sum(timed(our_step, learners, work, repeat) for repeat in range(options.repeats))
    parts["all else"] = whole - sum(parts.values())
    report["parts of ours"] = {
        name: {"seconds": each / options.repeats, "share": each / whole} for name, each in parts.items()
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
