"""The first pictures of joint training and what a step on them starts from, for a reader to take the step by hand."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gcl_core.config import Study
from gcl_core.data.batches import draw_angles, epoch_batches, imagenet_normalize, unit_pictures, unit_projections
from gcl_core.data.person_set import PersonSet
from gcl_core.device import resolve_device
from gcl_core.evaluation.features import extract_features
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import required_runs
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import load_encoder
from gcl_core.seeding import rng, training_draws
from gcl_core.settings.common import ComputeSettings
from gcl_core.training.contrast import draw_own_partners, relabel
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer
from gcl_core.training.step import Batch

CPU = torch.device("cpu")
PARTS = {  # of the generator: attribute → what people read
    "structure_encoder": "E_str",
    "weight_mlps": "MLPs, weights",
    "bias_mlps": "MLPs, biases",
    "blocks": "decoder, blocks",
    "head": "decoder, head",
}


class TooFewError(RunError):
    """No step can be taken: too few pictures are in a cluster and have a mesh."""


def as_in_the_figure(study: Study) -> Study:
    """Return a study whose switches stand as the paper's figure has them (D4 to D6, D16, D31), in plain float32."""
    contrast = {"l_vi_prime_positive": "live", "l_vi_negatives": "new", "exclude_self": True, "shared_positive": True}
    joint = {"bn_real_only": False, "drawing_trains_encoder": True, "generator_ema": None}
    return study.model_copy(
        update={
            "contrast": study.contrast.model_copy(update=contrast),
            "joint": study.joint.model_copy(update=joint),
            "losses": study.losses.model_copy(update={"feature_at": "novel_view"}),
            "compute": ComputeSettings(),
        }
    )


def named_networks(learners: Learners) -> dict[str, nn.Module]:
    """Return E_id, the parts of the generator and D, by the names that people read."""
    drawing = learners.drawing
    assert drawing is not None
    parts = {PARTS.get(name, name): part for name, part in drawing.generator.named_children()}
    return {"E_id": learners.encoder, **parts, "D": drawing.discriminator}


@dataclass(frozen=True)
class FirstStep:
    """The first clustered pictures that joint training would take, on the CPU.

    `rows` are their rows in the person set, `angles` the yaws to be drawn, in degrees; `labels` are the pseudo labels
    of all training pictures in `training_rows`, -1 for outliers, and `features` their unit features, which start the
    memory bank. `batch.indices` are the pictures' places among them.
    """

    layout: Layout
    study: Study
    seed: int
    rows: Int64[np.ndarray, " b"]
    angles: Int64[np.ndarray, " b"]
    training_rows: Int64[np.ndarray, " n"]
    labels: Int64[Tensor, " n"]
    features: Float[Tensor, "n d"]
    batch: Batch

    def learners(self) -> Learners:
        """Return networks, optimisers and memory bank as joint training starts with them; new ones at each call."""
        study, draws = self.study, training_draws(self.study.training_seed, self.seed)
        encoder = load_encoder(study, self.layout.stage("baseline", self.seed), CPU).train()
        drawing = Drawing.start(study, study.joint, encoder.code_dim, draws, CPU)
        drawing.take_over(self.layout.stage("warm_up", self.seed), CPU)
        bank = MemoryBank(self.features, keep_old=study.contrast.keep_old)
        return Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)


def first_step(
    layout: Layout, study: Study, people: PersonSet, seed: int, *, pictures: int, variant: str = "gcl"
) -> FirstStep:
    """Return the first step of a variant's joint training, on the first `pictures` pictures of its first epoch.

    `study` has the settings of the step; artifacts are those of `layout`. Raises RunError as `finished_run` does, and
    TooFewError when fewer than two pictures are in a cluster and have a mesh.
    """
    required_runs(layout, variant, seed)
    draws, rows = training_draws(study.training_seed, seed), people.rows("train")
    encoder = load_encoder(study, layout.stage("baseline", seed), resolve_device(study.device))
    features = extract_features(encoder, people.pictures, rows)
    labels, _ = relabel(features, people.index["pid"].to_numpy()[rows], study.clustering)
    chosen = np.flatnonzero((labels.numpy() >= 0) & np.isin(rows, people.with_mesh(rows)))
    batches = epoch_batches(chosen, study.joint.batch_size, seed=draws, purpose="joint order", epoch=1)
    if not batches:
        raise TooFewError(
            f"{len(chosen)} of {len(rows)} training pictures are in a cluster and have a mesh: too few for a step; "
            "train a better baseline, or choose another radius (clustering.rho)"
        )
    picked = np.concatenate(batches)[:pictures]
    angles = draw_angles(study.angles, len(rows), seed=draws, purpose="joint angle", epoch=1)[picked]
    indices = torch.from_numpy(picked)
    batch = Batch(
        indices,
        draw_own_partners(labels, indices, study.contrast, rng(draws, "joint partners", 1, 0)),
        imagenet_normalize(unit_pictures(people.pictures[rows[picked]], CPU)),
        unit_projections(people.projections[rows[picked], 0], CPU),
        unit_projections(people.projections[rows[picked], angles // 45], CPU),
    )
    return FirstStep(layout, study, seed, rows[picked], angles, rows, labels, features, batch)


def shown_step(layout: Layout, study: Study, people: PersonSet, seed: int, *, pictures: int) -> tuple[FirstStep, str]:
    """Return `first_step` of GCL for a reader and, where true identities stand in for the clusters, why.

    They do where too few pictures are in a cluster for a step, and where all are in one, which leaves no negatives.
    Raises RunError as `finished_run` does, and TooFewError where identities leave no step either.
    """
    try:
        start = first_step(layout, study, people, seed, pictures=pictures)
        if len(start.labels.unique()) > 1:
            return start, ""
        reason = f"All {len(start.labels)} training pictures are in one cluster, which leaves no negatives"
    except TooFewError as error:
        reason = str(error)
    known = study.clustering.model_copy(update={"method": "identities"})
    start = first_step(layout, study.model_copy(update={"clustering": known}), people, seed, pictures=pictures)
    return start, f"{reason}. So that a step can be shown, each person is a cluster here; training has no identities."
