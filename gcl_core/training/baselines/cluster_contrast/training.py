"""Stage 1 by a cluster-level memory, as newer methods have it: one slot a cluster, PK batches.

The clustering is the study's own (§4), so that only the memory differs from the other stages.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize as unit

from gcl_core.data.augment import augment
from gcl_core.data.batches import imagenet_normalize, send
from gcl_core.data.feed import Feed
from gcl_core.data.person_set import PersonSet
from gcl_core.data.sampling import pk_batches
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.evaluation.features import extract_features
from gcl_core.layout import Layout
from gcl_core.models.weights import save_weights
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import rng
from gcl_core.training.baselines.cluster_contrast.loss import cluster_contrast
from gcl_core.training.baselines.cluster_contrast.memory import ClusterMemory
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.contrast import relabel
from gcl_core.training.epochs import Epochs
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.start import start_encoder


def train_cluster_contrast(
    layout: Layout, people: PersonSet, seed: int, run: RunFolder, device: torch.device
) -> dict[str, Any]:
    """Train E_id from its start in an open run folder; goes on where a killed run was. Nothing to add to the manifest.

    An epoch that finds fewer than two clusters trains nothing and says so. Raises RunError for a broken checkpoint,
    TrainingError for a loss that is not finite.
    """
    study, settings = layout.study, layout.study.baseline.cluster_contrast
    rows = people.rows("train")
    identities = people.index["pid"].to_numpy()[rows]
    encoder, origin = start_encoder(layout, seed, run.seed, device)
    optimizer, schedule = make_optimizer(encoder.parameters(), settings.optimizer)
    feed = Feed(people, rows, device, projections=False)
    parts: dict[str, Stateful] = {"encoder": encoder, "optimizer": optimizer, "schedule": schedule}

    def label(epoch: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        features = extract_features(encoder, people.pictures, rows)
        if epoch <= settings.instance_epochs:
            return features, torch.arange(len(rows)), {"note": "every picture its own class in this epoch"}
        return features, *relabel(features, identities, study.clustering)

    with Epochs(run, f"baseline seed {seed}", settings.epochs, parts) as epochs:
        if epochs.fresh:
            epochs.journal.record(0, **accuracy_record(encoder, people, study.evaluation), note=origin)
        for epoch in epochs:
            features, labels, facts = epochs.begin(lambda epoch=epoch: label(epoch))
            alone = epoch <= settings.instance_epochs  # as many classes in a batch as pictures
            batches = pk_batches(
                labels.numpy(),
                classes=settings.identities * settings.instances if alone else settings.identities,
                instances=1 if alone else settings.instances,
                iterations=settings.iterations,
                seed=run.seed,
                purpose="cluster contrast order",
                epoch=epoch,
            )
            labels = labels.to(device)
            memory = ClusterMemory(features.to(device), labels, keep_old=settings.keep_old)
            epochs.hold("memory", memory)
            if not batches:
                facts["note"] = f"{facts.get('clusters', 0)} clusters found: nothing to train on in this epoch"
            encoder.train()
            for step, picture in epochs.fed(batches, feed.pictures):
                copy = augment(picture, study.augmentation, rng(run.seed, "cluster contrast augment", epoch, step))
                feature = unit(encoder(imagenet_normalize(copy)).feature)
                own = labels[send(torch.from_numpy(batches[step]), device)]
                loss = cluster_contrast(feature, memory.slots, own, temperature=settings.temperature)
                epochs.tell({"loss": loss}, pictures=picture, copies=copy)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                memory.update(own, feature)
            schedule.step()
            due = epochs.due(study.evaluation.stage_1_every)
            epochs.end(facts, **(accuracy_record(encoder, people, study.evaluation) if due else {}))

    save_weights(encoder, run.path / "encoder.safetensors")
    return {}
