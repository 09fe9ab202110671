"""The start of the domain-adaptation setting: E_id learns people with labels on a source set, then stage 1 begins.

Cross-entropy on the feature after the batch-norm neck and a batch-hard triplet loss before it; the target set's labels
are never used.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gcl_core.data.augment import augment
from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet
from gcl_core.data.sampling import pk_batches
from gcl_core.data.source_set import load_source_set, source_layout, source_settings
from gcl_core.device import cpu_threads, resolve_device
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder, save_weights
from gcl_core.provenance import code_of_stage, handed, measuring_of
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import rng, training_draws
from gcl_core.training.baselines.triplet import batch_hard_triplet
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.epochs import Epochs
from gcl_core.training.optimizers import make_optimizer

DECIDES = {
    **dict.fromkeys(("picture", "identity_encoder", "compute", "augmentation", "source"), True),
    "baseline": {"threads"},
}


def pretrain_on_source(layout: Layout, seed: int) -> Path:
    """Train E_id on the labels of the prepared source set and return the run folder; resumes.

    Only reads the set, so that several seeds can train at once. Raises as `train_baseline`, DataError also for a source
    of fewer than two people.
    """
    people, code = load_source_set(layout), code_of_stage(layout.study, "source")
    draws = training_draws(layout.study.training_seed, seed)
    study, used = handed(layout.study, DECIDES)
    layout, device = replace(layout, study=study), resolve_device(study.device)
    with (
        cpu_threads(study.baseline.threads),
        RunFolder(
            layout.stage("source", seed),
            settings=used,
            inputs={"data": people.fingerprint},
            code=code,
            seed=draws,
            device=device,
            measured_by=measuring_of(study),
        ) as run,
    ):
        if not run.finished:
            _train(layout, people, seed, run, device)
    return run.path


def _train(layout: Layout, people: PersonSet, seed: int, run: RunFolder, device: torch.device) -> None:
    study, settings = layout.study, source_settings(layout)
    rows = people.rows("train")
    names, labels = np.unique(people.index["pid"].to_numpy()[rows], return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"the source set in {source_layout(layout).data_root} has {len(names)} training identity: expected two or "
            "more, to be told apart; check source.dataset and source.data_root"
        )
    encoder = build_encoder(study, run.seed).to(device)
    classifier = nn.Linear(encoder.feature_dim, len(names), bias=False)
    nn.init.normal_(classifier.weight, std=0.001, generator=rng(run.seed, "source classifier"))
    classifier.to(device)
    optimizer, schedule = make_optimizer([*encoder.parameters(), *classifier.parameters()], settings.optimizer)
    parts: dict[str, Stateful] = {
        "encoder": encoder,
        "classifier": classifier,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    with Epochs(run, f"source seed {seed}", settings.epochs, parts) as epochs:
        if epochs.fresh:
            epochs.journal.record(0, **accuracy_record(encoder, people, study.evaluation))
        for epoch in epochs:
            batches = pk_batches(
                labels,
                classes=settings.identities,
                instances=settings.instances,
                iterations=None,
                seed=run.seed,
                purpose="source order",
                epoch=epoch,
            )
            encoder.train()
            for step, batch in epochs.steps(batches):
                picture = unit_pictures(people.pictures[rows[batch]], device)
                picture = augment(picture, study.augmentation, rng(run.seed, "source augment", epoch, step))
                own = torch.from_numpy(labels[batch]).to(device)
                before = encoder.embed(imagenet_normalize(picture))
                losses = {
                    "identity": F.cross_entropy(classifier(encoder.neck(before)), own),
                    "triplet": batch_hard_triplet(before, own, margin=settings.margin),
                }
                loss = losses["identity"] + losses["triplet"]
                epochs.tell({"loss": loss, **losses}, copies=picture, labels=own)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
            due = epochs.due(study.evaluation.stage_1_every)  # on the source's own test people
            epochs.end({}, **(accuracy_record(encoder, people, study.evaluation) if due else {}))
    save_weights(encoder, run.path / "encoder.safetensors")
    run.finish()
