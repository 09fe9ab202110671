"""Stage 3: cluster, then train everything together, epoch by epoch (§1.2, §3, §4); the TDA control of §6.1 likewise.

A variant is data: where x_nv comes from, and which contrastive losses weigh how much. All training pictures are
clustered and stand in the memory; those without a mesh (ours, §1.3) are never in a batch, of the control neither. Of
views carried over the surface it is those without a trusted body that are left out.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gcl_core.config import Study, VariantSettings
from gcl_core.data.batches import epoch_batches
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
from gcl_core.surface.merging import Plan
from gcl_core.training.best import BestEpoch
from gcl_core.training.contrast import relabel
from gcl_core.training.data_parallel import SharedMemoryBank, average_over_ranks
from gcl_core.training.epochs import Epochs
from gcl_core.training.joint_feed import JointFeed
from gcl_core.training.kept import keep_array, labels_file, merged_file
from gcl_core.training.learners import Drawing, Learners, sample_views
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import joint_step
from gcl_core.training.views import NewViews, augment_part, new_views

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
    full, people = layout.study.of_variant(variant), load_person_set(layout)
    if variant not in full.variants:
        raise RunError(f"no variant {variant!r} in profile {full.profile!r}; known: {', '.join(full.variants)}")
    layout.study.check_pictures(len(people.rows("train")))
    chosen = full.variants[variant]
    sections = DECIDES | DECIDES_VIEW[chosen.view] | ({"augmentation"} if chosen.augment else set())
    decides = {**dict.fromkeys(sections, True), "variants": {variant: set(VariantSettings.model_fields) - TOLD}}
    if full.joint.keep == "best_on_test":  # the test set chooses: how it is measured decides what is kept
        decides["evaluation"] = {"average_precision"}
    draws = training_draws(full.training_seed, seed, repeat)
    study, used = handed(full, decides)
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
                code=code_of_stage(full, variant),
                seed=draws,
                device=device,
                measured_by=measuring_of(study),
            )
        ) as run,
    ):
        if not ranks.broadcast(lambda: run.finished):
            title = f"{variant} seed {seed}" + (f" repeat {repeat}" if repeat else "")
            learners = _learners(study, people, encoder, drawing, device)
            views = new_views(layout, people, variant, seed, device)
            _train(run, title, study, study.variants[variant], people, learners, views)
    return run.path


def _learners(
    study: Study, people: PersonSet, encoder: IdentityEncoder, drawing: Drawing | None, device: torch.device
) -> Learners:
    """Return what stage 3 trains, with a memory of the encoder's features; optimisers average over the ranks."""
    ranks.check_batch_size(study.joint.batch_size)
    features = extract_features(encoder, people.pictures, people.rows("train"))
    bank = SharedMemoryBank(features, keep_old=study.contrast.keep_old).to(device)
    learners = Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)
    drawn_by = [] if drawing is None else [drawing.generator_optimizer, drawing.discriminator_optimizer]
    average_over_ranks(learners.optimizer, *drawn_by, statistics_of=encoder)
    return learners


@dataclass(frozen=True)
class Labelling:
    """How an epoch of a run comes to its pseudo labels, and with them to the views that are merged by cluster."""

    run: RunFolder
    study: Study
    people: PersonSet
    learners: Learners
    views: NewViews

    def of(self, epoch: int) -> Begun:
        """Cluster the memory; what an epoch begins with is kept in the run folder. A collective call.

        Rows that lag behind the encoder are extracted anew before.
        """
        bank, rows = self.learners.bank.rows, self.people.rows("train")
        stale = ranks.broadcast(lambda: self._stale_rows(epoch))
        if len(stale):
            features = extract_features(self.learners.encoder, self.people.pictures, rows[stale])
            bank[stale] = features.to(bank.device)
        return ranks.broadcast(lambda: self._cluster(epoch))

    def _cluster(self, epoch: int) -> Begun:
        bank, identities = self.learners.bank.rows, self.people.index["pid"].to_numpy()[self.people.rows("train")]
        labels, facts = relabel(bank, identities, self.study.clustering)
        keep_array(labels_file(self.run.path, epoch), labels)
        plan = self.views.plan(labels, bank)
        for part, values in zip(Plan._fields if plan else (), plan, strict=True):
            keep_array(merged_file(self.run.path, part, epoch), values)
        return labels, facts, plan

    def _stale_rows(self, epoch: int) -> Int64[np.ndarray, " m"]:
        """Return the memory rows that no step of the last epoch updated and that are to follow the encoder.

        Those without a mesh (ours), and with `refresh_outliers` those without a cluster (D9).
        """
        if epoch == 1:  # all rows are new
            return np.array([], dtype=np.int64)
        stale = ~self.views.there
        if self.study.joint.refresh_outliers:
            stale = stale | (np.load(labels_file(self.run.path, epoch - 1)) < 0)
        return np.flatnonzero(stale)


def _train(
    run: RunFolder,
    title: str,
    study: Study,
    variant: VariantSettings,
    people: PersonSet,
    learners: Learners,
    views: NewViews,
) -> None:
    """Train the epochs that are left, each clustered first, and write the networks of the one to keep."""
    settings, encoder, drawing = study.joint, learners.encoder, learners.drawing
    best = BestEpoch(run.path / "best") if settings.keep == "best_on_test" else None
    parts = learners.parts() if best is None else {**learners.parts(), "best": best}
    labelling = Labelling(run, study, people, learners, views)
    feed = JointFeed(study, variant, people, views, run.seed, learners.bank.rows.device)
    with Epochs(run, title, settings.epochs, parts) as epochs:
        if epochs.fresh:
            start = accuracy_record(encoder, people, study.evaluation)
            epochs.journal.record(0, **start, note="start: the baseline's encoder")
        for epoch in epochs:
            # Cluster the memory (§4); of what has a pseudo label and can have a new view, make batches
            labels, facts, plan = epochs.begin(partial(labelling.of, epoch))
            chosen = np.flatnonzero((labels.numpy() >= 0) & views.there)
            batches = ranks.even(
                epoch_batches(chosen, settings.batch_size, seed=run.seed, purpose="joint order", epoch=epoch)
            )
            facts["trained_on"] = sum(map(len, batches))
            facts |= _note(facts["clusters"], len(chosen), len(batches))

            # Take the steps (§1.2)
            encoder.train()
            made = partial(feed.batches, epoch=epoch, labels=labels, plan=plan)
            for step, batch in epochs.fed(list(enumerate(batches)), made):
                augment_drawn = None
                if drawing is not None and variant.augment:
                    numbers = rng(run.seed, "joint augment", epoch, step)
                    augment_drawn = partial(augment_part, study, numbers, len(batches[step]))
                losses = joint_step(learners, batch, study, variant, step=step, augment_drawn=augment_drawn)
                inspected = {key: value for key, value in batch._asdict().items() if isinstance(value, Tensor)}
                epochs.tell(losses, **inspected)
                learners.bank.check()
            learners.end_epoch()

            # Evaluate and record
            if drawing is not None:
                epochs.journal.show(epoch, "views", sample_views(encoder, drawing.artist, people))
            due = epochs.due(settings.evaluate_every)
            accuracy = accuracy_record(encoder, people, study.evaluation) if due else {}
            if best is not None and accuracy:
                best.offer(epoch, accuracy, partial(_save, learners))
            epochs.end(facts, **accuracy)

    if not ranks.is_first:
        return
    if best is None:
        _save(learners, run.path)
        run.finish(kept_epoch=settings.epochs)
    else:
        best.place(run.path)
        run.finish(kept_epoch=best.epoch)


def _save(learners: Learners, folder: Path) -> None:
    """Write the networks as they are now; rank 0 alone does."""
    if not ranks.is_first:
        return
    save_weights(learners.encoder, folder / "encoder.safetensors")
    if learners.drawing is not None:
        learners.drawing.save(folder)


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
