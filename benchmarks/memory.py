"""Peak memory and time of a joint step with and without `compute.micro_batch`; prints JSON.

python benchmarks/memory.py                            # 256x128, ResNet-50, batch 16: counted, not computed
python benchmarks/memory.py --run                      # the step is taken: resident memory of a CPU, or CUDA's counter
python benchmarks/memory.py --run --height 128 --width 64 --batch 8 --repeats 4 --sizes null 4     # CPU seconds too

Counted: the bytes of all tensors alive at once, on storages without contents (FakeTensor). What kernels use inside, and
what an allocator holds on to, is not in it; both are in what `--run` tells.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import weakref
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from measuring import measured
from step import PROFILES, ROWS, begin, now, random_work, take_step
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from gcl_core.config import Study, load_study
from gcl_core.training.learners import Learners

GIGA = 1e9


class Alive(TorchDispatchMode):
    """Bytes of all storages that operations gave out and that live still: `now`, and the most since `peak` was set."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak, self.known = 0, 0, WeakIdKeyDictionary()

    def see(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        if storage not in self.known:
            self.known[storage] = None
            self._change(storage.nbytes())
            weakref.finalize(storage, self._change, -storage.nbytes())

    def _change(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.see(value)
        return result


def networks_of(learners: Learners) -> list[nn.Module]:
    assert learners.drawing is not None
    return [learners.encoder, learners.drawing.generator, learners.drawing.discriminator]


def sizes_of(learners: Learners) -> dict[str, float]:
    """Return the GB of weights and buffers, of gradients, and of what optimisers remember."""
    assert learners.drawing is not None
    drawing = learners.drawing
    optimizers = (learners.optimizer, drawing.generator_optimizer, drawing.discriminator_optimizer)
    weights = [value for network in networks_of(learners) for value in network.parameters()]
    kinds = {
        "weights": [value for network in networks_of(learners) for value in network.state_dict().values()],
        "gradients": [value.grad for value in weights if value.grad is not None],
        "optimisers": [value for each in optimizers for value in tree_leaves(each.state_dict()["state"])],
        "memory bank": [learners.bank.rows],
    }
    return {
        kind: sum(value.nbytes for value in values if isinstance(value, Tensor)) / GIGA
        for kind, values in kinds.items()
    }


def emptied(mode: FakeTensorMode, learners: Learners) -> None:
    """Put tensors without contents into the place of all weights and buffers, for the optimisers too."""
    assert learners.drawing is not None
    drawing, stands_for = learners.drawing, {}
    for network in (*networks_of(learners), learners.bank):
        for layer in network.modules():
            for name, value in layer.named_parameters(recurse=False):
                stands_for[value] = nn.Parameter(mode.from_tensor(value.detach()))
                setattr(layer, name, stands_for[value])
            for name, value in layer.named_buffers(recurse=False):
                setattr(layer, name, mode.from_tensor(value))
    for optimizer in (learners.optimizer, drawing.generator_optimizer, drawing.discriminator_optimizer):
        for group in optimizer.param_groups:
            group["params"] = [stands_for[value] for value in group["params"]]


def counted(study: Study, rows: int) -> dict[str, Any]:
    """Count two steps without computing them, the second of which finds the optimisers' states."""
    work, learners = random_work(study, rows, torch.device("cpu")), begin(study, rows, torch.device("cpu"))
    mode, alive = FakeTensorMode(allow_non_fake_inputs=True), Alive()
    emptied(mode, learners)
    x, mesh, turned = (mode.from_tensor(each) for each in work.batch[2:5] if isinstance(each, Tensor))
    work = work._replace(batch=work.batch._replace(x=x, mesh=mesh, turned=turned))
    states = [value for network in (*networks_of(learners), learners.bank) for value in network.state_dict().values()]
    for value in (*states, x, mesh, turned):
        alive.see(value)
    with alive:
        take_step(learners, work, 0)
        before, alive.peak = alive.now, alive.now
        take_step(learners, work, 1)
    return {
        "GB above what was held": (alive.peak - before) / GIGA,
        "GB in all": alive.peak / GIGA,
        "of that, GB": sizes_of(learners),
    }


def taken(study: Study, rows: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Take `repeats` steps, after one on two small pictures, from which gradients and optimisers' states are there."""
    small = {"picture": {"height": 128, "width": 64}, "joint": {**study.joint.model_dump(), "batch_size": 2}}
    first = random_work(Study(**{**study.model_dump(), **small}), rows, device)

    # of a CPU the seconds it worked for this process: others may be at work on it
    clock = time.process_time if device.type == "cpu" else partial(now, device)

    def steps() -> tuple[Learners, list[float]]:
        learners, work = begin(study, rows, device), random_work(study, rows, device)
        take_step(learners, first, 0)
        times = [clock()]
        for number in range(1, repeats + 1):
            take_step(learners, work, number)
            times.append(clock())
        return learners, [after - before for before, after in pairwise(times)]

    (learners, seconds), _, resident = measured(steps)
    held = sizes_of(learners)
    whole = torch.cuda.max_memory_allocated(device) / GIGA if device.type == "cuda" else resident
    return {
        "GB above what was held": whole - sum(held.values()),
        "GB in all": whole,
        "of that, GB": held,
        "seconds": statistics.median(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=PROFILES, default="paper", help="whose networks")
    parser.add_argument("--sizes", nargs="+", default=["null", "4", "2", "1"], help="of micro_batch")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32")
    parser.add_argument("--run", action="store_true", help="take the step")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if len(options.sizes) > 1:  # a process for each: what one left behind would be reused by the next
        at = sys.argv.index("--sizes") if "--sizes" in sys.argv else len(sys.argv)
        rest = sys.argv[1:at] + sys.argv[at + 1 + len(options.sizes) :]
        for size in options.sizes:
            subprocess.run([sys.executable, __file__, *rest, "--sizes", size], check=True)
        return
    torch.set_num_threads(options.threads)
    profile, settings = PROFILES[options.profile]
    study = load_study(
        profile,
        [
            *settings.split(),
            f"compute.micro_batch={options.sizes[0]}",
            f"compute.precision={options.precision}",
            f"joint.batch_size={options.batch}",
            f"picture.height={options.height}",
            f"picture.width={options.width}",
        ],
    )
    device, rows = torch.device("cuda" if torch.cuda.is_available() else "cpu"), ROWS[options.profile]
    found = taken(study, rows, device, options.repeats) if options.run else counted(study, rows)
    print(json.dumps({"micro_batch": options.sizes[0], "device": device.type, **found}), flush=True)


if __name__ == "__main__":
    main()
