"""What the check on a GPU tests and measures besides the study: branches, equality, steps, clustering, FID network."""

import gc
import importlib.util
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from gpu_sheet import Sheet
from spectra import PICTURES, simulate
from step import PROFILES, ROWS, begin, now, peak, random_work, take_step, timed
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import Study, load_study
from gcl_core.data import feed
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.inception import inception_features, inception_source, load_inception
from gcl_core.training.learners import Learners

CPU = torch.device("cpu")


class Operations(TorchDispatchMode):
    """Counts the multiplications and additions of matrix products and convolutions while it is open.

    torch's own FlopCounterMode counts alike but also follows modules, which D's penalty does not let it do.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


# setting → how far a loss of the first step may lie from that of the CPU in float32, as a share of it
BRANCHES = {
    "compute.precision=fp32": 1e-3,
    "compute.precision=tf32": 2e-2,
    "compute.precision=bf16": 1e-1,
    "compute.micro_batch=2": 1e-3,
}
COMPILED = "compute.compile=true"  # the same bound as without
LEFT_OUT = {"compile": "compiling takes minutes on a CPU", "tf32": "TF32 is of NVIDIA's cards alone"}  # of a rehearsal
DOUBLE = 1e-9  # how far losses and gradients in float64 may be apart, as a share


def check_branches(sheet: Sheet, people: PersonSet, device: torch.device, *, rehearse: bool) -> None:
    """Take a joint step by every branch that a setting or a device decides, and compare with the CPU's in float32."""
    reference = losses_of(small_study(), CPU)
    for words, bound in BRANCHES.items():
        if reason := rehearse and left_out(words):
            sheet.leave_out(words, reason)
            continue
        sheet.measure(
            words, lambda words=words, bound=bound: judged(losses_of(small_study(words), device), reference, bound)
        )
    sheet.measure("channels last", lambda: {"within": channels_last(begin(small_study(), 64, device))})
    for name, share in (("data on the device", feed.SHARE), ("data fetched, pinned", 0.0)):
        sheet.measure(name, lambda share=share: fed(people, device, share))
    sheet.measure("optimisers", lambda: optimisers(device))
    features = simulate(2_000, 256, "synthetic_people")
    sheet.measure("clustering", lambda: same_clusters(features, device))


def check_compiled(sheet: Sheet, device: torch.device, *, rehearse: bool) -> None:
    """Time the published step compiled, in bfloat16, and compare the losses of a compiled step with the CPU's."""
    step = "precision=bf16 compile"
    if reason := rehearse and left_out(COMPILED):
        for name in (f"step, {step}", COMPILED):
            sheet.leave_out(name, reason)
        return
    sheet.measure(f"step, {step}", lambda: step_rate(step, None, device, rehearse=rehearse))
    sheet.measure(
        COMPILED, lambda: judged(losses_of(small_study(COMPILED), device), losses_of(small_study(), CPU), 1e-3)
    )


def left_out(words: str) -> str:
    """Return why a rehearsal leaves out what these settings are, an empty text if it does not."""
    return next((reason for name, reason in LEFT_OUT.items() if name in words), "")


def small_study(*words: str) -> Study:
    """Return the settings of a step of `mini`'s networks on four pictures.

    D's penalty weighs so much that its value, tiny at the start, is one that can be compared.
    """
    profile, settings = PROFILES["mini"]
    return load_study(profile, [*settings.split(), "joint.batch_size=4", "discriminator.penalty_weight=1e4", *words])


def losses_of(study: Study, device: torch.device) -> dict[str, float]:
    """Return the losses of two steps from the seeded start: the second sees what the first made of the weights."""
    work, learners = random_work(study, 64, device), begin(study, 64, device)
    return {f"{k} {step}": float(v) for step in (0, 1) for k, v in take_step(learners, work, step).items()}


def judged(found: dict[str, float], reference: dict[str, float], bound: float) -> dict[str, Any]:
    """Return how far the first step's losses are apart, and whether that is within a bound; of the second how far."""
    apart = {name: abs(found[name] - value) / max(abs(value), 1e-6) for name, value in reference.items()}
    first, second = (worst([value for name, value in apart.items() if name.endswith(step)]) for step in (" 0", " 1"))
    return {"apart": first, "apart after a step": second, "bound": bound, "within": first <= bound}


def worst(values: list[float]) -> float:
    """Return the largest value, NaN if any is, which Python's max may pass over."""
    return float(np.max(values))


def channels_last(learners: Learners) -> bool:
    """Return whether all kernels of convolutions of E_id lie channels last."""
    kernels = [each.weight for each in learners.encoder.modules() if isinstance(each, nn.Conv2d)]
    return all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def fed(people: PersonSet, device: torch.device, share: float) -> dict[str, Any]:
    """Return how far the batches that arrive on a device are from the CPU's, at most.

    They need not be equal: to divide by a number CUDA multiplies by its reciprocal, which rounds once more. The next
    grey level is 4e-3 away.
    """
    rows = people.with_mesh(people.rows("train"))
    batches, angles = np.array_split(np.arange(len(rows)), 4), np.full(len(rows), 90)
    with patch.object(feed, "SHARE", share):
        ours = feed.Feed(people, rows, device, projections=True).drawn(batches, angles=angles)
    theirs = feed.Feed(people, rows, CPU, projections=True).drawn(batches, angles=angles)
    apart = worst(
        [
            float((one.cpu() - other).abs().max())
            for pair in zip(ours, theirs, strict=True)
            for one, other in zip(*pair, strict=True)
        ]
    )
    return {"apart": apart, "within": apart < 1e-6}


def optimisers(device: torch.device) -> dict[str, Any]:
    """Return the seconds of Adam's step by each of torch's ways, and how far its weights are from the plain way's."""
    found, weights = {}, {}
    for way in ("plain", "foreach", "fused"):
        network = begin(small_study(), 64, device).encoder
        for value in network.parameters():
            value.grad = torch.ones_like(value)
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=way == "foreach", fused=way == "fused")
        adam.step()
        found[way] = seconds_of(adam.step, device)
        weights[way] = torch.cat([value.detach().flatten() for value in network.parameters()])
    apart = worst([float((weights[way] - weights["plain"]).abs().max()) for way in ("foreach", "fused")])
    return {"seconds": found, "apart": apart, "within": apart < 1e-4}


def same_clusters(features: Tensor, device: torch.device) -> dict[str, Any]:
    """Return how far the clusters of features on a device agree with the CPU's (ARI; every outlier stands alone)."""
    one, other = (cluster(features.to(each), rho=0.004).labels for each in (device, CPU))
    ari = clustering_quality(one, np.where(other < 0, -1 - np.arange(len(other)), other))["ari"]
    return {"ari": ari, "within": ari > 0.99}


def check_equality(sheet: Sheet, device: torch.device) -> None:
    """Compare one joint step in float64 with the CPU's: losses, and gradients of every network."""
    sheet.measure("float64", lambda: compared(device))


def compared(device: torch.device) -> dict[str, Any]:
    """Return how far losses and gradients are apart. Weights are not compared: Adam blows up gradients of rounding."""
    sides = []
    for each in (CPU, device):
        study = small_study()
        work, learners = random_work(study, 64, each, torch.float64), begin(study, 64, each, torch.float64)
        losses = {name: float(value) for name, value in take_step(learners, work, 0).items()}
        assert learners.drawing is not None
        drawing = learners.drawing
        networks = {
            "E_id": learners.encoder,
            "G": drawing.generator,
            "D": drawing.discriminator,
            "memory": learners.bank,
        }
        sides.append((losses, {name: gradient(network) for name, network in networks.items()}))
    (losses, one), (others, other) = sides
    apart = {"losses": worst([abs(others[name] - value) / max(abs(value), 1e-12) for name, value in losses.items()])}
    apart |= {name: float((other[name] - value).norm() / value.norm()) for name, value in one.items()}
    return {"apart": apart, "bound": DOUBLE, "within": worst(list(apart.values())) <= DOUBLE}


def gradient(network: nn.Module) -> Tensor:
    """Return all gradients of a network as one vector; of the memory, which has none, its rows."""
    values = [each.grad for each in network.parameters() if each.grad is not None]
    return torch.cat([each.cpu().flatten() for each in values or network.buffers() if each.is_floating_point()])


def measure_steps(sheet: Sheet, device: torch.device, *, rehearse: bool) -> None:
    """Time the joint step of the published networks at 256x128, batch 16, against the rate of matrix products."""
    size = 256 if rehearse else 8192
    for dtype, tf32 in ((torch.float32, False), (torch.float32, True), (torch.bfloat16, False)):
        name = "tf32" if tf32 else {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
        sheet.measure(f"matrix product, {name}", lambda dtype=dtype, tf32=tf32: product_rate(size, dtype, tf32, device))
    for words in ("precision=fp32", "precision=tf32", "precision=bf16"):
        if reason := rehearse and left_out(words):
            sheet.leave_out(f"step, {words}", reason)
            continue
        precision = words.partition("=")[2]
        rate = sheet.found.get(f"matrix product, {precision}", {}).get("TFLOP/s")
        sheet.measure(
            f"step, {words}",
            lambda words=words, rate=rate: step_rate(words, rate, device, rehearse=rehearse),
        )


def product_rate(size: int, dtype: torch.dtype, tf32: bool, device: torch.device) -> dict[str, float]:
    """Return the best rate of the product of two random square matrices, and the median's."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = [seconds_of(lambda: one @ other, device) for _ in range(12)][2:]
    return {"size": size, "TFLOP/s": 2e-12 * size**3 / min(times), "median": 2e-12 * size**3 / float(np.median(times))}


def step_rate(words: str, rate: float | None, device: torch.device, *, rehearse: bool) -> dict[str, Any]:
    """Return seconds, memory and arithmetic of a joint step; `rate` is that of matrix products, in TFLOP/s."""
    gc.collect()  # a compiled network holds itself until then, and its memory would count
    profile, batch, unmeasured, repeats = ("mini", 4, 1, 1) if rehearse else ("paper", 16, 3, 10)
    name, settings = PROFILES[profile]
    compute = [f"compute.{word}" if "=" in word else f"compute.{word}=true" for word in words.split()]
    study = load_study(name, [*settings.split(), f"joint.batch_size={batch}", *compute])
    work, learners = random_work(study, ROWS[profile], device), begin(study, ROWS[profile], device)
    times = [timed(learners, work, number) for number in range(unmeasured + repeats)]
    seconds = float(np.median(times[unmeasured:]))
    found = {"seconds": seconds, "first": times[0], "pictures per second": batch / seconds}
    if device.type == "cuda":
        found["GB above what is held"] = peak(learners, work)
        found["GB held"] = torch.cuda.memory_allocated() / 1e9
    if "compile" not in words:
        with Operations() as counter:
            take_step(learners, work, 0)
        found["TFLOP"] = counter.total / 1e12
        if rate:
            found["share of the matrix product's rate"] = found["TFLOP"] / seconds / rate
    return found


def measure_clustering(sheet: Sheet, device: torch.device, *, rehearse: bool) -> None:
    """Time clustering at the size of MSMT17 and at a million pictures, the features on the device."""
    cluster(simulate(300, 64, "isotropic"), rho=0.02)  # compiles
    for count, size in ((2_000, 256), (4_000, 256)) if rehearse else ((32_621, 2048), (1_000_000, 256)):
        exact = 3_000 if rehearse else 100_000
        sheet.measure(
            f"{count} pictures", lambda count=count, size=size, exact=exact: clustered(count, size, exact, device)
        )


def clustered(count: int, size: int, exact: int, device: torch.device) -> dict[str, Any]:
    """Return the seconds of a clustering and how well it agrees with the people whom the features are of."""
    features = simulate(count, size, "synthetic_people").to(device)
    start = now(device)
    found = cluster(features, pairs_per_picture=13, exact_up_to=exact)
    seconds = now(device) - start
    quality = clustering_quality(found.labels, np.arange(count) // PICTURES)
    return {"size": size, "seconds": seconds, "recall": found.recall, "ari": quality["ari"], "clusters": found.clusters}


def measure_fid(sheet: Sheet, people: PersonSet, device: torch.device, *, rehearse: bool) -> None:
    """Time the FID network and compare its features with the CPU's; left out where it or its weights are not there."""
    if importlib.util.find_spec("pytorch_fid") is None:
        sheet.leave_out("features", "not installed: pytorch_fid")
        return
    try:
        inception_source()
    except FileNotFoundError as error:
        sheet.leave_out("features", str(error))
        return
    sheet.measure("features", lambda: inception_rate(people, device, count=2 if rehearse else 400))


def inception_rate(people: PersonSet, device: torch.device, *, count: int) -> dict[str, Any]:
    """Return pictures per second, and how far features are from the CPU's, as a share of their norm."""
    pictures = torch.from_numpy(people.pictures[:count].copy()).permute(0, 3, 1, 2)
    network = load_inception(device=device)
    features = inception_features(network, pictures)
    start = now(device)
    inception_features(network, pictures)
    seconds = now(device) - start
    plain = inception_features(load_inception(), pictures[:2])
    apart = float(np.linalg.norm(features[:2] - plain) / np.linalg.norm(plain))
    return {"pictures per second": count / seconds, "apart": apart, "within": apart < 1e-2}


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a piece of work, to its end on the device."""
    now(device)
    start = time.perf_counter()
    work()
    return now(device) - start
