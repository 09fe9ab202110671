"""Stage 3: cluster, then train everything together, epoch by epoch (§1.2, §3, §4); the TDA control of §6.1 likewise.

A variant is data: where x_nv comes from, and which contrastive losses weigh how much. All training pictures are
clustered and stand in the memory; those without a mesh (ours, §1.3) are never in a batch, of the control neither. Of
views carried over the surface it is those without a trusted body that are left out.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from gcl_core.config import VariantSettings
from gcl_core.data.augment import augment
from gcl_core.data.batches import draw_angles, epoch_batches, imagenet_normalize
from gcl_core.data.feed import Drawn, Feed
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.data.truth import load_truth
from gcl_core.device import cpu_threads, resolve_device
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.evaluation.features import extract_features
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import load_encoder, save_weights
from gcl_core.parallel import on_devices, ranks
from gcl_core.provenance import code_of_stage, handed, measuring_of
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import rng, training_draws
from gcl_core.surface.bodies import ESTIMATED, fits_hash
from gcl_core.surface.merging import Plan, merged_views
from gcl_core.surface.stored import stored_views
from gcl_core.training.best import BestEpoch
from gcl_core.training.contrast import draw_own_partners, relabel
from gcl_core.training.data_parallel import SharedMemoryBank, average_over_ranks
from gcl_core.training.epochs import Epochs
from gcl_core.training.kept import keep_array, labels_file, merged_file
from gcl_core.training.learners import Drawing, Learners, sample_views
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch, joint_step
from gcl_core.training.views import augment_part, merged_source, view_source

Begun = tuple[Tensor, dict[str, Any], tuple[Tensor, ...]]  # pseudo labels, facts, the plan of merged views, if any
DECIDES = {"picture", "identity_encoder", "compute", "clustering", "contrast", "joint", "devices"}
DECIDES_VIEW = {
    "drawn": {"generator", "discriminator", "angles", "losses"},
    "drawn_once": {"generator", "angles"},
    "copied": set[str](),
    "known": {"angles"},
    "surface": {"angles"},
    "surface_cluster": {"angles"},
}
TOLD = {"title", "purpose", "changes", "repeats"}  # of a variant: for people, for tables, and in the other sections


@on_devices
def train_jointly(layout: Layout, variant: str, seed: int, repeat: int = 0) -> Path:
    """Train one variant from the baseline (and warm-up) of the same seed and return the run folder; resumes.

    A repeat is the same training with draws of its own (`training_draws`), in a folder of its own.

    Raises RunError for an unknown variant or a missing earlier stage, else as `train_baseline`.
    """
    layout = layout.of_seed(seed)
    whole, people = layout.study.of_variant(variant), load_person_set(layout)
    if variant not in whole.variants:
        raise RunError(f"no variant {variant!r} in profile {whole.profile!r}; known: {', '.join(whole.variants)}")
    layout.study.check_pictures(len(people.rows("train")))
    chosen = whole.variants[variant]
    sections = DECIDES | DECIDES_VIEW[chosen.view] | ({"augmentation"} if chosen.augment else set())
    decides = {**dict.fromkeys(sections, True), "variants": {variant: set(VariantSettings.model_fields) - TOLD}}
    if whole.joint.keep == "best_on_test":  # the test set chooses: how it is measured decides what is kept
        decides["evaluation"] = {"average_precision"}
    draws = training_draws(whole.training_seed, seed, repeat)
    study, used = handed(whole, decides)
    layout, device = replace(layout, study=study), resolve_device(study.device)
    baseline, warm_up = layout.stage("baseline", seed), layout.stage("warm_up", seed)
    encoder = load_encoder(study, baseline, device)
    inputs = {"data": people.fingerprint, "baseline": hash_file(baseline / "encoder.safetensors")}
    drawing = None
    if chosen.view == "drawn":
        drawing = Drawing.start(study, study.joint, encoder.code_dim, draws, device)
        drawing.take_over(warm_up, device)
    if chosen.needs_generator:
        inputs["warm_up"] = hash_file(warm_up / "generator.safetensors")
    if chosen.needs_bodies and chosen.bodies in ESTIMATED:
        inputs["bodies"] = fits_hash(layout, chosen.bodies) or "none"
    if chosen.view == "known" and (truth := load_truth(layout)):
        inputs["true_views"] = truth.fingerprint
    with (
        cpu_threads(study.joint.threads),
        ranks.opened(
            RunFolder(
                layout.stage(variant, seed, repeat),
                settings=used,
                inputs=inputs,
                code=code_of_stage(whole, variant),
                seed=draws,
                device=device,
                measured_by=measuring_of(study),
            )
        ) as run,
    ):
        if not ranks.broadcast(lambda: run.finished):
            _train(layout, people, encoder, drawing, variant, seed, repeat, run, device)
    return run.path


def _train(
    layout: Layout,
    people: PersonSet,
    encoder: IdentityEncoder,
    drawing: Drawing | None,
    name: str,
    seed: int,
    repeat: int,
    run: RunFolder,
    device: torch.device,
) -> None:
    study, settings, variant = layout.study, layout.study.joint, layout.study.variants[name]
    ranks.check_batch_size(settings.batch_size)
    rows = people.rows("train")
    identities = people.index["pid"].to_numpy()[rows]
    drawable = np.isin(rows, people.with_mesh(rows))
    features = extract_features(encoder, people.pictures, rows)
    bank = SharedMemoryBank(features, keep_old=study.contrast.keep_old).to(device)
    given = view_source(layout, people, rows, name, seed, device)
    merged = merged_views(layout, people, variant.bodies) if variant.view == "surface_cluster" else None
    if variant.needs_bodies:  # a picture without a body that is to be trusted has no views
        drawable = stored_views(layout, people, variant.bodies, turned=variant.turned).there
    feed = Feed(people, rows, device, projections=drawing is not None)
    learners = Learners(encoder, *make_optimizer(encoder.parameters(), settings.encoder_optimizer), bank, drawing)
    drawn_by = [] if drawing is None else [drawing.generator_optimizer, drawing.discriminator_optimizer]
    average_over_ranks(learners.optimizer, *drawn_by, statistics_of=encoder)
    best = BestEpoch(run.path / "best") if settings.keep == "best_on_test" else None
    parts = learners.parts() if best is None else {**learners.parts(), "best": best}

    def save(folder: Path) -> None:
        if not ranks.is_first:
            return
        save_weights(encoder, folder / "encoder.safetensors")
        if drawing is not None:
            drawing.save(folder)

    def cluster(epoch: int) -> Begun:
        labels, facts = relabel(bank.rows, identities, study.clustering)
        keep_array(labels_file(run.path, epoch), labels)
        if merged is None:
            return labels, facts, ()
        plan = merged.plan(labels, bank.rows)
        for part, values in plan._asdict().items():
            keep_array(merged_file(run.path, part, epoch), values)
        return labels, facts, tuple(plan)

    def label(epoch: int) -> Begun:
        stale = ranks.broadcast(lambda: _stale_rows(run, epoch, drawable, refresh_outliers=settings.refresh_outliers))
        if len(stale):
            bank.rows[stale] = extract_features(encoder, people.pictures, rows[stale]).to(device)
        return ranks.broadcast(lambda: cluster(epoch))

    title = f"{name} seed {seed}" + (f" repeat {repeat}" if repeat else "")
    with Epochs(run, title, settings.epochs, parts) as epochs:
        if epochs.fresh:
            start = accuracy_record(encoder, people, study.evaluation)
            epochs.journal.record(0, **start, note="start: the baseline's encoder")
        for epoch in epochs:
            labels, facts, plan = epochs.begin(lambda epoch=epoch: label(epoch))
            if merged is not None:
                given = merged_source(merged, Plan(*plan), device)
            chosen = np.flatnonzero((labels.numpy() >= 0) & drawable)
            batches = ranks.even(
                epoch_batches(chosen, settings.batch_size, seed=run.seed, purpose="joint order", epoch=epoch)
            )
            facts["trained_on"] = sum(map(len, batches))
            facts |= _note(facts["clusters"], len(chosen), len(batches))
            turns = (0,) if variant.view == "copied" else study.angles
            angles = draw_angles(turns, len(rows), seed=run.seed, purpose="joint angle", epoch=epoch)
            encoder.train()
            picked, make = batches, feed.pictures
            if drawing is not None:
                picked, make = [each[ranks.part(len(each))] for each in batches], partial(feed.drawn, angles=angles)
            for step, made in epochs.fed(picked, make):
                # random numbers are drawn for the whole batch, however many ranks there are
                whole, draw = torch.from_numpy(batches[step]), rng(run.seed, "joint augment", epoch, step)
                partners = draw_own_partners(
                    labels, whole, study.contrast, rng(run.seed, "joint partners", epoch, step)
                )
                own = ranks.part(len(whole))
                if isinstance(made, Drawn):
                    x = imagenet_normalize(made.pictures)
                    batch = Batch(whole[own], partners, x, made.mesh, made.turned)
                else:
                    view = made if given is None else given(batches[step], angles[batches[step]])
                    view = augment(view, study.augmentation, draw) if variant.augment else view
                    x = imagenet_normalize(made[own])
                    batch = Batch(whole[own], partners, x, view=imagenet_normalize(view[own]))
                changed = partial(augment_part, study, draw, len(whole)) if drawing and variant.augment else None
                losses = joint_step(learners, batch, study, variant, step=step, augment_drawn=changed)
                inspected = {key: value for key, value in batch._asdict().items() if isinstance(value, Tensor)}
                epochs.tell(losses, **inspected)
                bank.check()
            learners.end_epoch()
            if drawing is not None:
                epochs.journal.show(epoch, "views", sample_views(encoder, drawing.artist, people))
            evaluated = epoch % settings.evaluate_every == 0 or epoch == settings.epochs
            accuracy = accuracy_record(encoder, people, study.evaluation) if evaluated else {}
            if best is not None and accuracy:
                best.offer(epoch, accuracy, save)
            epochs.end(facts, **accuracy)

    if not ranks.is_first:
        return
    if best is None:
        save(run.path)
        run.finish(kept_epoch=settings.epochs)
    else:
        best.place(run.path)
        run.finish(kept_epoch=best.epoch)


def _stale_rows(
    run: RunFolder, epoch: int, drawable: Bool[np.ndarray, " n"], *, refresh_outliers: bool
) -> Int64[np.ndarray, " m"]:
    """Return the memory rows to extract anew: no step of the last epoch updated them, they lag behind the encoder.

    Those without a mesh (ours), and with `refresh_outliers` those without a cluster (D9).
    """
    if epoch == 1:
        return np.flatnonzero(np.zeros_like(drawable))
    outlier = np.load(labels_file(run.path, epoch - 1)) < 0
    return np.flatnonzero(~drawable | outlier if refresh_outliers else ~drawable)


def _note(clusters: int, chosen: int, batches: int) -> dict[str, str]:
    """Return what an epoch's record says where there is little or nothing to train on."""
    nothing = "nothing to train on in this epoch"
    if clusters == 0:
        return {"note": f"no cluster found: {nothing}"}
    if chosen == 0:
        return {"note": f"no clustered picture has a mesh: {nothing}"}
    if batches == 0:
        return {"note": f"{chosen} pictures are too few for a batch: {nothing}"}
    return {}
