"""Stage 1 of the paper's unsupervised rows: JVTC, joint visual and temporal consistency (METHOD.md §6.2).

Within a batch every picture is told from the others by the mean of its copies; later a memory of all pictures, grouped
by clusters of looks and then of looks and time, adds its part.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from gcl_core.clustering.pseudo_labels import Clusters
from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import JvtcSettings, Study
from gcl_core.data.batches import epoch_batches, imagenet_normalize
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import save_weights
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.camera_styles import Copies
from gcl_core.training.baselines.jvtc.capture import Captures
from gcl_core.training.baselines.jvtc.joint_distance import captures_of, joint_accuracy
from gcl_core.training.baselines.jvtc.losses import global_loss, instance_vectors, local_loss
from gcl_core.training.baselines.jvtc.memory import InstanceMemory
from gcl_core.training.baselines.jvtc.source import SourceTask
from gcl_core.training.baselines.jvtc.visual_temporal import cluster_by_looks, cluster_jointly, cluster_slots
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.epochs import Epochs
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.start import start_encoder


def train_jvtc(layout: Layout, people: PersonSet, seed: int, run: RunFolder, device: torch.device) -> dict[str, Any]:
    """Train E_id from its start in an open run folder; goes on where a killed run was. Returns facts for the manifest.

    An epoch is one pass over the training pictures or, with a labelled source set, over the source's. Facts: `copies`
    (what a picture's copies are) and `jvtc_plus` (accuracy by the joint distance; None, with the reason in
    `jvtc_plus_note`, when file names have no time).
    Raises DataError for camera styles or times that are missing, RunError for a broken checkpoint, TrainingError for a
    loss that is not finite.
    """
    study, settings = layout.study, layout.study.baseline.jvtc
    rows = people.rows("train")
    if len(rows) < 2:
        raise DataError(f"{len(rows)} training picture: expected two or more, to be told apart")
    identities = people.index["pid"].to_numpy()[rows]
    captures = _captures(people, rows, settings)
    copies = Copies(people, settings, study.augmentation)
    encoder, origin = start_encoder(layout, seed, run.seed, device)
    drawn = rng(run.seed, "jvtc memory")
    memory = InstanceMemory(len(rows), encoder.feature_dim, unit=settings.unit_memory, generator=drawn).to(device)
    source = (
        SourceTask(layout, encoder.feature_dim, copies.plain, run.seed, device) if study.source is not None else None
    )
    optimizer, schedule = _optimizer(encoder, source, settings)
    parts: dict[str, Stateful] = {"encoder": encoder, "optimizer": optimizer, "schedule": schedule, "memory": memory}
    if source is not None:
        parts["classifier"] = source.classifier

    def label(epoch: int) -> dict[str, Any]:
        if epoch >= settings.global_from and (epoch - settings.global_from) % settings.relabel_every == 0:
            return _relabel(memory, identities, captures, settings, epoch, with_source=source is not None)
        return {}

    with Epochs(run, f"baseline seed {seed}", settings.epochs, parts) as epochs:
        if epochs.fresh:
            epochs.journal.record(0, **accuracy_record(encoder, people, study.evaluation), note=origin)
        for epoch in epochs:
            facts = epochs.begin(lambda epoch=epoch: label(epoch))
            keep_old = min(settings.keep_old_step * epoch, settings.keep_old_most)
            encoder.train()
            known = None if source is None else source.batches(epoch)
            steps = None if known is None else len(known)
            for step, batch in epochs.steps(_batches(len(rows), settings.instances, steps, run.seed, epoch)):
                losses = {}
                if source is not None and known is not None:
                    losses["source"] = source.loss(encoder, known[step], epoch, step)
                indices = torch.from_numpy(batch).to(device)
                pictures = copies.draw(rows[batch], rng(run.seed, "jvtc copies", epoch, step), device)
                features = encoder(imagenet_normalize(pictures.flatten(0, 1))).feature.unflatten(0, pictures.shape[:2])
                losses["local"] = local_loss(features, temperature=settings.local_temperature)
                loss = sum(losses.values(), start=torch.zeros((), device=device))
                if epoch >= settings.global_from:
                    losses["global"] = global_loss(
                        features, memory.rows, memory.labels, indices, temperature=settings.global_temperature
                    )
                    loss = loss + settings.global_weight * losses["global"]
                epochs.tell({"loss": loss, **losses}, copies=pictures, rows=indices)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                memory.update(indices, instance_vectors(features), keep_old=keep_old)
            schedule.step()
            due = epochs.due(study.evaluation.stage_1_every)
            epochs.end(facts, **(accuracy_record(encoder, people, study.evaluation) if due else {}))

    save_weights(encoder, run.path / "encoder.safetensors")
    return {"copies": copies.note, **_joint_facts(encoder, people, copies, study)}


def _captures(people: PersonSet, rows: Int64[np.ndarray, " n"], settings: JvtcSettings) -> Captures | None:
    """Return cameras and times of the training pictures where labels need them."""
    if settings.joint_from > settings.epochs:
        return None
    try:
        captures = captures_of(people, rows)
    except DataError as error:
        raise DataError(
            f"{error}. Labels by looks alone need no times: set baseline.jvtc.joint_from above baseline.jvtc.epochs"
        ) from error
    if settings.time_slots and not captures.slots.astype(bool).all():
        raise DataError(
            f"baseline.jvtc.time_slots is true, but {people.index['file'].iloc[rows[0]]} names no time slot as "
            "MSMT17's pictures do (0000_000_01_0303morning_0008_0.jpg): set it to false"
        )
    return captures


def _optimizer(
    encoder: IdentityEncoder, source: SourceTask | None, settings: JvtcSettings
) -> tuple[Optimizer, MultiStepLR]:
    """Return optimiser and schedule; what is new beside the trunk learns `new_layers` times as fast.

    The rate drops with the epochs that are the milestones, so after the ones before them.
    """
    optimizer, _ = make_optimizer(encoder.trunk.parameters(), settings.optimizer)
    new = [*encoder.embedding.parameters(), *encoder.neck.parameters()]
    if source is not None:
        new += source.classifier.parameters()
    optimizer.add_param_group({"params": new, "lr": settings.new_layers * settings.optimizer.lr})
    return optimizer, MultiStepLR(
        optimizer, [each - 1 for each in settings.optimizer.milestones], settings.optimizer.gamma
    )


def _batches(count: int, instances: int, steps: int | None, seed: int, epoch: int) -> list[Int64[np.ndarray, " b"]]:
    """Return the epoch's batches of places 0..count-1: one pass over all, or `steps` batches of pass after pass.

    With `steps` an epoch goes on in the pass where the one before it ended, so that none is left out for long.
    """

    def one_pass(number: int) -> list[Int64[np.ndarray, " b"]]:
        return epoch_batches(np.arange(count), instances, seed=seed, purpose="jvtc order", epoch=number)

    if steps is None:
        return one_pass(epoch)
    length = len(one_pass(1))
    first, last = (epoch - 1) * steps, epoch * steps
    passes = range(first // length, (last - 1) // length + 1)
    batches = [batch for number in passes for batch in one_pass(number + 1)]
    return batches[first - passes.start * length :][:steps]


def _relabel(
    memory: InstanceMemory,
    identities: Int64[np.ndarray, " n"],
    captures: Captures | None,
    settings: JvtcSettings,
    epoch: int,
    *,
    with_source: bool,
) -> dict[str, Any]:
    """Cluster the memory's rows, put the labels in the memory, and say how good they are; outliers stay alone."""
    timed = captures if epoch >= settings.joint_from else None

    def cluster(part: np.ndarray) -> Clusters:
        features = memory.rows[torch.from_numpy(part).to(memory.rows.device)]
        if timed is not None:
            rho, scale = settings.joint_rule
            scale = 1.0 if with_source else scale
            return cluster_jointly(features, timed.take(part), settings, rho=rho, eps_scale=scale)
        scale = 1.0 if with_source else settings.eps_scale
        return cluster_by_looks(features, settings, rho=settings.rho, eps_scale=scale)

    slots = timed.slots if timed is not None and settings.time_slots else None
    found = cluster_slots(slots, len(memory.rows), cluster)
    quality = clustering_quality(found.labels, identities)
    facts = {
        "labels": "looks" if timed is None else "looks and time",
        "clusters": int(quality["clusters"]),
        "outliers": int(quality["outliers"]),
        "eps": float(np.mean(found.eps)),
        **{name: quality[name] for name in ("ari", "nmi", "purity")},
    }
    if facts["clusters"] + facts["outliers"] == len(found.labels):
        facts["note"] = "no two pictures share a cluster: every picture its own class"
    elif facts["clusters"] + facts["outliers"] == 1:
        facts["note"] = "one cluster: the global loss tells nothing apart"
    alone = found.labels.max(initial=-1) + 1 + np.arange(len(found.labels))
    memory.labels.copy_(torch.from_numpy(np.where(found.labels < 0, alone, found.labels)))
    return facts


def _joint_facts(encoder: IdentityEncoder, people: PersonSet, copies: Copies, study: Study) -> dict[str, Any]:
    try:
        return {"jvtc_plus": joint_accuracy(encoder, people, copies, study.baseline.jvtc, study.evaluation)}
    except DataError as error:
        return {"jvtc_plus": None, "jvtc_plus_note": f"not measured: {error}"}
