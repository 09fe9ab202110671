"""What a study would cost on this device: a few steps of every kind are measured, the rest is multiplication."""

import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.clustering.pseudo_labels import cluster_by
from gcl_core.config import Study, VariantSettings
from gcl_core.data.source_set import source_layout
from gcl_core.device import cpu_threads, resolve_device
from gcl_core.evaluation.inception import inception_features, load_inception, pass_size
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.network import TrainedGenerator
from gcl_core.models.weights import build_encoder, build_generator, load_encoder, save_weights
from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.capture import Captures
from gcl_core.training.baselines.jvtc.temporal import TemporalModel, joint_distances
from gcl_core.training.baselines.jvtc.visual_temporal import cluster_by_looks
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch, joint_step, warm_up_step
from gcl_core.workflow.counts import (
    clusterings,
    count_pictures,
    drawn_views,
    encoded_pictures,
    extracted_pictures,
    inception_pictures,
    joint_epochs,
    stage_one,
)

PROCESS = Path("/proc/self")  # of Linux
BUDGET = 4.0  # seconds a measurement may take once it has been done once
REPEATS = 20  # at most
CLUSTERED = 4000  # features that are clustered to measure; time grows with the square, memory with the number
PASSES = 64  # pictures a pass of the encoder or the Inception network is measured on
DRAWN = 16  # views that are drawn to measure


@dataclass(frozen=True)
class Cost:
    """`times` runs of something that takes `seconds` each; `memory` in bytes is the peak while it was measured."""

    what: str
    times: int
    seconds: float
    memory: int

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.times * self.seconds


def measure_costs(layout: Layout, counts: dict[str, int]) -> Iterator[Cost]:
    """Yield the costs of one seed of a study, each measured when it is asked for, on random pictures and weights.

    Assumes that every picture has a mesh and every training picture is clustered. Left out: preparing the data, views
    over the surface, ranking galleries, figures. A study that takes given weights trains nothing.
    """
    study, device = layout.study, resolve_device(layout.study.device)
    if study.given_weights is None:
        yield from _trainings(layout, counts, device)
    yield from _measuring(layout, counts, device)
    yield from _fid(layout, counts, device)


def _trainings(layout: Layout, counts: dict[str, int], device: torch.device) -> Iterator[Cost]:
    study = layout.study
    train, encoder = counts["train"], _loaded_encoder(study, device)
    with cpu_threads(study.baseline.threads):
        labelled = None
        if study.source is not None:
            labelled = count_pictures(source_layout(layout))["train"]
            batch = study.source.identities * study.source.instances
            steps = max(1, labelled // batch) * study.source.epochs
            yield _cost("source set: step", steps, _encoder_step(study, _encoder(study).to(device), batch))
        steps, batch = stage_one(study, train, labelled)
        start = _encoder(study).to(device) if study.source is None else _loaded_encoder(study, device)
        yield _cost(f"stage 1, {study.baseline.method}: step", steps, _encoder_step(study, start, batch))
    pixels, passes = _pictures(study, PASSES, device), -(-extracted_pictures(study, counts) // PASSES)
    yield _cost("features: pass of 64 pictures", passes, _sync(device, lambda: _extract(encoder, pixels)))
    yield _clustering(study, train, encoder.feature_dim, device)
    if study.baseline.method == "jvtc":
        yield from _dense_distances(study, counts, encoder.feature_dim, device)
    steps = max(1, train // study.warm_up.batch_size) * study.warm_up.epochs
    with cpu_threads(study.warm_up.threads):
        yield _cost("stage 2: step", steps, _warm_up_step(study, device))
    steps = max(1, train // study.joint.batch_size)
    with cpu_threads(study.joint.threads):
        for drawn, title in ((True, "a variant that draws"), (False, "a control")):
            names = [name for name, variant in study.variants.items() if (variant.view == "drawn") == drawn]
            if names:
                run = _joint_step(study, study.variants[names[0]], train, device)
                trained = sum(len(study.repeats_of(name)) for name in names)
                yield _cost(f"stage 3, {title}: step ({trained} trained)", steps * joint_epochs(study, names), run)


def _measuring(layout: Layout, counts: dict[str, int], device: torch.device) -> Iterator[Cost]:
    """Yield what finished networks do in the notebooks after the trainings."""
    study, encoder = layout.study, _loaded_encoder(layout.study, device)
    pixels, (x, mesh, _) = _pictures(study, PASSES, device), _drawing_inputs(study, DRAWN, device)
    passes = -(-encoded_pictures(layout, counts) // PASSES)
    yield _cost("measuring: pass of 64 pictures", passes, _sync(device, lambda: _extract(encoder, pixels)))
    generator = build_generator(study, encoder.code_dim, 0).to(device).eval()
    drawings = -(-drawn_views(layout, counts) // DRAWN)
    run = _sync(device, lambda: _draw(encoder, generator, x, mesh))
    yield _cost(f"drawing: pass of {DRAWN} views", drawings, run)


def _fid(layout: Layout, counts: dict[str, int], device: torch.device) -> Iterator[Cost]:
    study, batch = layout.study, pass_size(device)
    try:
        network = load_inception(device=device)
    except (FileNotFoundError, ValueError, RunError) as error:
        print(f"FID is left out of the estimate: {error}", file=sys.stderr)
        return
    small = (_pictures(study, batch, device).float() * 20 + 120).clamp(0, 255).to(torch.uint8).cpu()
    passes = -(-inception_pictures(layout, counts) // batch)
    yield _cost(f"FID: pass of {batch} pictures", passes, lambda: inception_features(network, small))


def _cost(what: str, times: int, run: Callable[[], object]) -> Cost:
    """Measure: the first time apart, unless it alone used up the budget."""
    print(f"measuring {what} …", file=sys.stderr, flush=True)
    _forget_peak()
    start = time.perf_counter()
    run()
    first, rest = time.perf_counter() - start, []
    while len(rest) < REPEATS and first + sum(rest) < BUDGET:
        start = time.perf_counter()
        run()
        rest.append(time.perf_counter() - start)
    return Cost(what, times, float(np.mean(rest)) if rest else first, _peak())


def _forget_peak() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    elif PROCESS.is_dir():
        (PROCESS / "clear_refs").write_text("5")


def _peak() -> int:
    """Return peak memory since it was forgotten: the GPU's, else this process's (outside Linux: since its start)."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    if PROCESS.is_dir():
        line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _sync(device: torch.device, run: Callable[[], object]) -> Callable[[], None]:
    def whole() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return whole


def _encoder(study: Study) -> IdentityEncoder:
    """Return E_id as stage 1 builds it, with random weights: measures do not depend on them, nothing is downloaded."""
    random = study.identity_encoder.model_copy(update={"weights": None})
    return build_encoder(study.model_copy(update={"identity_encoder": random}), seed=0)


def _loaded_encoder(study: Study, device: torch.device) -> IdentityEncoder:
    """Return E_id as the stages after the first load it: its layout in memory, and so its speed, can differ."""
    with tempfile.TemporaryDirectory() as folder:
        save_weights(_encoder(study), Path(folder) / "encoder.safetensors")
        return load_encoder(study, Path(folder), device)


def _pictures(study: Study, count: int, device: torch.device, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, study.picture.height, study.picture.width, device=device)


@torch.no_grad()
def _extract(encoder: IdentityEncoder, pictures: Tensor) -> Tensor:
    return encoder.eval().features(pictures)


@torch.no_grad()
def _draw(encoder: IdentityEncoder, generator: TrainedGenerator, pictures: Tensor, meshes: Tensor) -> Tensor:
    return generator(generator.structure(meshes), encoder.eval()(pictures).code)


def _clustering(study: Study, train: int, dim: int, device: torch.device) -> Cost:
    count = min(train, CLUSTERED)
    features = _features(count, dim, device)
    people = np.arange(count) // 16
    compiles = study.clustering.model_copy(update={"method": "dbscan"})  # loops of our own, at their first call
    cluster_by(compiles, features[:64], people[:64])
    fewer = {"kmeans_clusters": min(study.clustering.kmeans_clusters or 0, count) or None}
    settings = study.clustering.model_copy(update=fewer)
    cost = _cost(f"clustering of {train} pictures", 1, lambda: cluster_by(settings, features, people))
    return Cost(cost.what, clusterings(study), cost.seconds * (train / count) ** 2, cost.memory)


def _features(count: int, dim: int, device: torch.device) -> Tensor:
    """Return unit features in groups of 16."""
    centres = torch.randn(-(-count // 16), dim).repeat_interleave(16, dim=0)[:count]
    return normalize(centres + 0.5 * torch.randn(count, dim)).to(device)


def _dense_distances(study: Study, counts: dict[str, int], dim: int, device: torch.device) -> Iterator[Cost]:
    """Yield JVTC's clusterings and JVTC+'s ranking, whose time and main memory grow with the pairs of pictures.

    Assumes that file names tell times, and no time slots.
    """
    settings, train = study.baseline.jvtc, counts["train"]
    labelled = range(settings.global_from, settings.epochs + 1, settings.relabel_every)
    times = sum(2 if epoch >= settings.joint_from else 1 for epoch in labelled) + 1  # one for JVTC+
    features = _features(min(train, CLUSTERED), dim, device)
    run = partial(cluster_by_looks, features, settings, rho=settings.rho, eps_scale=settings.eps_scale)
    yield _of_pairs(f"JVTC: dense distances, {train} x {train}", times, run, train**2, len(features) ** 2)

    query, gallery = (_features(min(counts[split], CLUSTERED), dim, device) for split in ("query", "gallery"))
    model = TemporalModel(np.arange(2), np.zeros((3, 3, settings.bins)), settings.frame_interval)
    asked, shown = (
        Captures(np.zeros(len(part), np.int64), np.arange(len(part)), np.full(len(part), ""))
        for part in (query, gallery)
    )
    pairs, measured = counts["query"] * counts["gallery"], len(query) * len(gallery)
    run = partial(joint_distances, query, gallery, asked, shown, model)
    yield _of_pairs(f"JVTC+: dense distances, {counts['query']} x {counts['gallery']}", 1, run, pairs, measured)


def _of_pairs(what: str, times: int, run: Callable[[], object], pairs: int, measured: int) -> Cost:
    """Measure a part of a float32 matrix that lies in main memory; return the cost of the whole."""
    cost, share = _cost(what, times, run), pairs / max(1, measured)
    if torch.cuda.is_initialized():
        return Cost(f"{what} (main memory)", times, cost.seconds * share, 4 * pairs)
    return Cost(what, times, cost.seconds * share, cost.memory + 4 * (pairs - measured))


def _encoder_step(study: Study, encoder: IdentityEncoder, count: int) -> Callable[[], None]:
    """A forward and backward pass of E_id over `count` pictures, and a step of its optimiser."""
    device = next(encoder.train().parameters()).device
    pictures = _pictures(study, count, device)
    optimizer, _ = make_optimizer(encoder.parameters(), study.baseline.tda.optimizer)

    def step() -> None:
        optimizer.zero_grad()
        encoder(pictures).feature.square().mean().backward()
        optimizer.step()

    return _sync(device, step)


def _drawing_inputs(study: Study, batch: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    mesh, turned = (_pictures(study, batch, device, channels=1).clamp(-1, 1) for _ in range(2))
    return _pictures(study, batch, device), mesh, turned


def _warm_up_step(study: Study, device: torch.device) -> Callable[[], None]:
    encoder = _loaded_encoder(study, device).requires_grad_(False)
    drawing = Drawing.start(study, study.warm_up, encoder.code_dim, 0, device)
    x, mesh, turned = _drawing_inputs(study, study.warm_up.batch_size, device)
    steps = itertools.count()  # only some have the gradient penalty

    def step() -> None:
        warm_up_step(encoder, drawing, x, mesh, turned, study, step=next(steps))

    return _sync(device, step)


def _joint_step(study: Study, variant: VariantSettings, train: int, device: torch.device) -> Callable[[], None]:
    encoder, size = _loaded_encoder(study, device).train(), study.joint.batch_size
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, device) if variant.view == "drawn" else None
    bank = MemoryBank(torch.randn(max(train, size), encoder.feature_dim)).to(device)
    learners = Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)
    labels = torch.arange(len(bank.rows)) // 16
    x, mesh, turned = _drawing_inputs(study, size, device)
    steps = itertools.count()

    def step() -> None:
        partners = draw_own_partners(labels, torch.arange(size), study.contrast, rng(0, "cost"))
        batch = Batch(torch.arange(size), partners, x, mesh, turned, view=x)
        joint_step(learners, batch, study, variant, step=next(steps))

    return _sync(device, step)
