"""Stage 3: cluster, then train everything together, epoch by epoch (§1.2, §3, §4); the TDA control of §6.1 likewise.

A variant is data: where x_nv comes from, and which contrastive losses weigh how much. All training pictures are
clustered and stand in the memory; those without a mesh (ours, §1.3) are never in a batch, of the control neither.
"""

from pathlib import Path

import numpy as np
import torch

from gcl_core.config import Study
from gcl_core.data.augment import augment
from gcl_core.data.batches import draw_angles, epoch_batches, normalize, unit_pictures, unit_projections
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.evaluation.features import extract_features
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import load_encoder, save_weights
from gcl_core.run import Layout, RunError, RunFolder, atomic, cpu_threads, hash_code, hash_file, resolve_device
from gcl_core.seeding import generator
from gcl_core.training.baseline import CODE
from gcl_core.training.checkpoint import Stateful, resume, save_checkpoint
from gcl_core.training.contrast import contrast_losses, relabel
from gcl_core.training.generation import Drawing, draw_cycle, generator_losses, update_discriminator
from gcl_core.training.journal import Journal, LossMeter
from gcl_core.training.optimizers import make_optimizer

SETTINGS = {"picture", "identity_encoder", "clustering", "contrast", "joint"}
SETTINGS_OF_VIEW = {"drawn": {"generator", "discriminator", "angles", "losses"}, "augmented": {"augmentation"}}


def train_jointly(layout: Layout, variant: str, seed: int) -> Path:
    """Train one variant from the baseline (and warm-up) of the same seed and return the run folder; resumes.

    Raises RunError for an unknown variant or a missing earlier stage, else as `train_baseline`.
    """
    study, people, device = layout.study, load_person_set(layout), resolve_device(layout.study.device)
    if variant not in study.variants:
        raise RunError(f"no variant {variant!r} in profile {study.profile!r}; known: {', '.join(study.variants)}")
    chosen = study.variants[variant]
    baseline, warm_up = layout.stage("baseline", seed), layout.stage("warm_up", seed)
    encoder = load_encoder(study, baseline, device)
    inputs = {"data": people.fingerprint, "baseline": hash_file(baseline / "encoder.safetensors")}
    drawing = None
    if chosen.view == "drawn":
        drawing = Drawing.start(study, study.joint, encoder.code_dim, seed, device)
        drawing.take_over(warm_up, device)
        inputs["warm_up"] = hash_file(warm_up / "generator.safetensors")
    used = study.model_dump(mode="json", include=SETTINGS | SETTINGS_OF_VIEW[chosen.view])
    with (
        cpu_threads(study.joint.threads),
        RunFolder(
            layout.stage(variant, seed),
            settings={**used, "variant": chosen.model_dump(exclude={"title"})},
            inputs=inputs,
            code=hash_code(CODE),
            seed=seed,
            device=device,
        ) as run,
    ):
        if not run.finished:
            _train(study, people, encoder, drawing, variant, seed, run, device)
    return run.path


def _train(
    study: Study,
    people: PersonSet,
    encoder: IdentityEncoder,
    drawing: Drawing | None,
    name: str,
    seed: int,
    run: RunFolder,
    device: torch.device,
) -> None:
    settings, variant = study.joint, study.variants[name]
    rows = people.rows("train")
    identities = people.index["pid"].to_numpy()[rows]
    drawable = np.isin(rows, people.with_mesh(rows))
    untrained = np.flatnonzero(~drawable)
    optimizer, schedule = make_optimizer(encoder.parameters(), settings.encoder_optimizer)
    bank = MemoryBank(extract_features(encoder, people.pictures, rows), keep_old=study.contrast.keep_old).to(device)
    parts: dict[str, Stateful] = {"encoder": encoder, "optimizer": optimizer, "schedule": schedule, "bank": bank}
    optimizers, schedules = [optimizer], [schedule]
    if drawing is not None:
        parts |= drawing.parts()
        optimizers.append(drawing.generator_optimizer)
        schedules += [drawing.generator_schedule, drawing.discriminator_schedule]
    start = resume(run.path / "checkpoint.pt", parts)
    journal = Journal(run, f"{name} seed {seed}", settings.epochs, start=start)
    if start == 0:
        journal.record(0, **accuracy_record(encoder, people), note="start: the baseline's encoder")

    for epoch in range(start + 1, settings.epochs + 1):
        if epoch > 1 and len(untrained):  # no step updates their memory, which would fall behind the encoder
            bank.rows[untrained] = extract_features(encoder, people.pictures, rows[untrained]).to(device)
        labels, facts = relabel(bank.rows, identities, study.clustering)
        with atomic(run.path / "labels" / f"epoch_{epoch:03d}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, labels.numpy())
        chosen = np.flatnonzero((labels.numpy() >= 0) & drawable)
        batches = epoch_batches(chosen, settings.batch_size, seed=seed, purpose="joint order", epoch=epoch)
        facts["trained_on"] = sum(map(len, batches))
        if facts["clusters"] == 0:
            facts["note"] = "no cluster found: nothing to train on in this epoch"
        elif not batches:
            facts["note"] = "no clustered picture has a mesh: nothing to train on in this epoch"
        elif facts["clusters"] == 1:
            facts["note"] = "one cluster found: only outliers are negatives in this epoch"
        angles = draw_angles(study.angles, len(rows), seed=seed, purpose="joint angle", epoch=epoch)
        labels = labels.to(device)
        encoder.train()
        meter = LossMeter()
        for step, batch in enumerate(batches):
            picture = unit_pictures(people.pictures[rows[batch]], device)
            x, indices = normalize(picture), torch.from_numpy(batch).to(device)
            if drawing is None:
                copy = augment(picture, study.augmentation, generator(seed, "joint augment", epoch, step))
                original, new = encoder(x).feature, encoder(normalize(copy)).feature
                loss, told = torch.zeros((), device=device), {}
            else:
                mesh = unit_projections(people.projections[rows[batch], 0], device)
                turned = unit_projections(people.projections[rows[batch], angles[batch] // 45], device)
                cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
                scored = update_discriminator(drawing, cycle, x, study.discriminator, step=step)
                loss, told = generator_losses(cycle, x, drawing.discriminator, study.losses)
                told |= scored
                original, new = cycle.real.feature, cycle.nv.feature
            memory_loss, memory_told = contrast_losses(
                original,
                new,
                bank,
                labels,
                indices,
                study.contrast,
                variant,
                generator(seed, "joint partners", epoch, step),
            )
            meter.add({**told, **memory_told}, epoch=epoch, step=step)
            for each in optimizers:
                each.zero_grad()
            (loss + memory_loss).backward()
            for each in optimizers:
                each.step()
            bank.update(indices, original)
        for each in schedules:
            each.step()
        evaluated = epoch % settings.evaluate_every == 0 or epoch == settings.epochs
        accuracy = accuracy_record(encoder, people) if evaluated else {}
        save_checkpoint(run.path / "checkpoint.pt", epoch, parts)
        journal.record(epoch, **facts, **meter.means(), **accuracy)

    save_weights(encoder, run.path / "encoder.safetensors")
    if drawing is not None:
        drawing.save(run.path)
    journal.close()
    run.finish()
