"""Stage 1 of our own: contrast with traditional augmentation (§6.1).

A start from scratch, ours: some epochs tell every picture from every other, later ones cluster freshly extracted
features and contrast clusters.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gcl_core.config import VariantSettings
from gcl_core.data.augment import augment
from gcl_core.data.batches import epoch_batches, imagenet_normalize
from gcl_core.data.feed import Feed
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.evaluation.features import extract_features
from gcl_core.layout import Layout
from gcl_core.models.weights import save_weights
from gcl_core.parallel import ranks
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import rng
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.contrast import draw_own_partners, relabel
from gcl_core.training.data_parallel import SharedMemoryBank, average_over_ranks
from gcl_core.training.epochs import Epochs
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.start import start_encoder
from gcl_core.training.step import contrast_losses

ALL_LOSSES = VariantSettings(view="copied", augment=True)


def train_tda(layout: Layout, people: PersonSet, seed: int, run: RunFolder, device: torch.device) -> dict[str, Any]:
    """Train E_id from its start in an open run folder; goes on where a killed run was. Nothing to add to the manifest.

    Raises RunError for a broken checkpoint, TrainingError for a loss that is not finite.
    """
    study, settings = layout.study, layout.study.baseline.tda
    ranks.check_batch_size(settings.batch_size)
    rows = people.rows("train")
    identities = people.index["pid"].to_numpy()[rows]
    contrast = study.contrast.model_copy(
        update={"temperature": settings.temperature} if settings.temperature is not None else {}
    )
    encoder, origin = start_encoder(layout, seed, run.seed, device)
    optimizer, schedule = make_optimizer(encoder.parameters(), settings.optimizer)
    average_over_ranks(optimizer, statistics_of=encoder)
    bank = SharedMemoryBank(extract_features(encoder, people.pictures, rows), keep_old=contrast.keep_old).to(device)
    parts: dict[str, Stateful] = {"encoder": encoder, "optimizer": optimizer, "schedule": schedule, "bank": bank}
    feed, every_picture = Feed(people, rows, device, projections=False), torch.arange(len(rows))

    def label(epoch: int) -> tuple[Tensor, dict[str, Any]]:
        if epoch <= settings.instance_epochs:
            return every_picture, {}
        features = extract_features(encoder, people.pictures, rows)
        bank.rows.copy_(functional.normalize(features))
        labels, facts = ranks.broadcast(lambda: relabel(features, identities, study.clustering))
        if facts["clusters"] == 0:
            labels, facts["note"] = every_picture, "no cluster found: every picture its own class in this epoch"
        return labels, facts

    with Epochs(run, f"baseline seed {seed}", settings.epochs, parts) as epochs:
        if epochs.fresh:
            epochs.journal.record(0, **accuracy_record(encoder, people, study.evaluation), note=origin)
        for epoch in epochs:
            labels, facts = epochs.begin(lambda epoch=epoch: label(epoch))
            encoder.train()
            clustered = (labels >= 0).nonzero().flatten().numpy()
            order = epoch_batches(clustered, settings.batch_size, seed=run.seed, purpose="baseline order", epoch=epoch)
            batches = ranks.even(order)
            for step, picture in epochs.fed(batches, feed.pictures):
                copy = augment(picture, study.augmentation, rng(run.seed, "baseline augment", epoch, step))
                own, whole = ranks.part(len(picture)), torch.from_numpy(batches[step])
                picture, copy = picture[own], copy[own]  # drawn for the whole batch, however many processes there are
                original, new = encoder(imagenet_normalize(picture)).feature, encoder(imagenet_normalize(copy)).feature
                partners = draw_own_partners(labels, whole, contrast, rng(run.seed, "baseline partners", epoch, step))
                loss, _ = contrast_losses(original, new, bank, whole[own], partners, contrast, ALL_LOSSES)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bank.update(whole[own], original)
                epochs.tell({"loss": loss}, pictures=picture, copies=copy)
                bank.check()
            schedule.step()
            due = epochs.due(study.evaluation.stage_1_every)
            epochs.end(facts, **(accuracy_record(encoder, people, study.evaluation) if due else {}))

    if ranks.is_first:
        save_weights(encoder, run.path / "encoder.safetensors")
    return {}
