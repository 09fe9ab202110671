"""Stage 2: warm up structure encoder, generator and discriminator while the identity encoder stays as it is (§5.1)."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gcl_core.data.batches import draw_angles, epoch_batches, imagenet_normalize
from gcl_core.data.feed import Feed
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.device import cpu_threads, resolve_device
from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import load_encoder
from gcl_core.parallel import on_devices, ranks
from gcl_core.provenance import code_of_stage, handed
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import training_draws
from gcl_core.training.data_parallel import average_over_ranks
from gcl_core.training.epochs import Epochs
from gcl_core.training.learners import Drawing, sample_views
from gcl_core.training.step import warm_up_step

DECIDES = {
    "picture",
    "identity_encoder",
    "compute",
    "generator",
    "discriminator",
    "angles",
    "losses",
    "warm_up",
    "devices",
}


@on_devices
def warm_up_generator(layout: Layout, seed: int) -> Path:
    """Train E_str, G and D on all training pictures with a mesh and return the run folder; resumes.

    Needs the baseline of the same seed. Raises as `train_baseline`.
    """
    layout = layout.of_seed(seed)
    people, code = load_person_set(layout), code_of_stage(layout.study, "warm_up")
    draws = training_draws(layout.study.training_seed, seed)
    study, used = handed(layout.study, DECIDES)
    layout, device = replace(layout, study=study), resolve_device(study.device)
    baseline = layout.stage("baseline", seed)
    encoder = load_encoder(study, baseline, device).requires_grad_(False)
    with (
        cpu_threads(study.warm_up.threads),
        ranks.opened(
            RunFolder(
                layout.stage("warm_up", seed),
                settings=used,
                inputs={"data": people.fingerprint, "baseline": hash_file(baseline / "encoder.safetensors")},
                code=code,
                seed=draws,
                device=device,
            )
        ) as run,
    ):
        if not ranks.broadcast(lambda: run.finished):
            _train(layout, people, encoder, seed, run, device)
    return run.path


def _train(
    layout: Layout, people: PersonSet, encoder: IdentityEncoder, seed: int, run: RunFolder, device: torch.device
) -> None:
    study, settings = layout.study, layout.study.warm_up
    ranks.check_batch_size(settings.batch_size)
    rows = people.with_mesh(people.rows("train"))
    if len(rows) < 2:
        raise DataError(
            f"{len(rows)} of {len(people.rows('train'))} training pictures have projections: a generator needs two or "
            "more to learn from (docs/MESHES.md)"
        )
    drawing = Drawing.start(study, settings, encoder.code_dim, run.seed, device)
    average_over_ranks(drawing.generator_optimizer, drawing.discriminator_optimizer)
    feed, every = Feed(people, rows, device, projections=True), np.arange(len(rows))
    with Epochs(run, f"warm-up seed {seed}", settings.epochs, drawing.parts()) as epochs:
        for epoch in epochs:
            angles = draw_angles(study.angles, len(rows), seed=run.seed, purpose="warm-up angle", epoch=epoch)
            batches = ranks.even(
                epoch_batches(every, settings.batch_size, seed=run.seed, purpose="warm-up order", epoch=epoch)
            )
            own = [batch[ranks.part(len(batch))] for batch in batches]
            for step, (pictures, mesh, turned) in epochs.fed(own, partial(feed.drawn, angles=angles)):
                x = imagenet_normalize(pictures)
                losses, cycle = warm_up_step(encoder, drawing, x, mesh, turned, study, step=step)
                epochs.tell(losses, x=x, mesh=mesh, turned=turned, x_nv=cycle.x_nv)
            drawing.generator_schedule.step()
            drawing.discriminator_schedule.step()
            epochs.journal.show(epoch, "views", sample_views(encoder, drawing.generator, people))
            epochs.end({"trained_on": sum(map(len, batches))})

    if ranks.is_first:
        drawing.save(run.path)
        run.finish()
