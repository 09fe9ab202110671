"""One training step of stages 2 and 3, in the order and with the names of METHOD.md §1.2.

`joint_step` is the whole of it; what it calls stands below it, and the losses in gcl_core/losses. The step knows of one
process: where several train together, training/data_parallel.py averages what the optimisers and the memory take.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.config import ContrastSettings, DiscriminatorSettings, LossWeights, Study, VariantSettings
from gcl_core.data.batches import imagenet_denormalize, imagenet_normalize, send
from gcl_core.losses.generative import discriminator_loss, generator_adversarial, reconstruction
from gcl_core.losses.view_invariant import Partners, view_invariant_losses
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.frugal import kept_statistics
from gcl_core.models.identity_encoder import EncoderOutput, IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.protocols import GeneratorNetwork
from gcl_core.training.learners import Drawing, Learners


class Batch(NamedTuple):
    """Pictures of a step, ImageNet-normalised, their rows in the memory bank, and the rows drawn for them.

    `turned`: the mesh at the angle to be drawn. `view`: x_nv, where nothing is drawn.
    """

    indices: Int[Tensor, " b"]
    partners: Partners
    x: Float[Tensor, "b 3 h w"]
    mesh: Float[Tensor, "b 1 h w"] | None = None
    turned: Float[Tensor, "b 1 h w"] | None = None
    view: Float[Tensor, "b 3 h w"] | None = None


class Cycle(NamedTuple):
    """Pictures drawn from a batch x and what E_id makes of them; names as in §1.1.

    `rec` is None where no loss is of it (D31): then E_id does not see x_rec.
    """

    x_rec: Float[Tensor, "b 3 h w"]
    x_nv: Float[Tensor, "b 3 h w"]
    x_cyc: Float[Tensor, "b 3 h w"]
    real: EncoderOutput
    rec: EncoderOutput | None
    nv: EncoderOutput
    cyc: EncoderOutput


def joint_step(
    learners: Learners,
    batch: Batch,
    study: Study,
    variant: VariantSettings,
    *,
    step: int,
    augment_drawn: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Update D, then G and E_id on their common loss, then the memory rows of the batch; return every loss unweighted.

    D's penalty alone is returned as it weighs in D's loss. Without drawing it is the step of the TDA control (§6.1).
    `step` counts an epoch's steps from 0. `augment_drawn` changes drawn views, in [0, 1], before E_id sees them for the
    contrast.
    """
    encoder, drawing, bank = learners.encoder, learners.drawing, learners.bank
    real_only = study.joint.bn_real_only

    if drawing is None:
        assert batch.view is not None
        z = encoder(batch.x).feature
        with statistics_of_drawn(encoder, real_only=real_only and variant.view == "drawn_once"):
            z_nv = encoder(batch.view).feature
        drawing_loss, losses = batch.x.new_zeros(()), {}
    else:
        # Draw: x_rec, x_nv and x_cyc, and what E_id makes of them (steps 2 to 5)
        assert batch.mesh is not None
        assert batch.turned is not None
        cycle = draw_cycle(
            encoder,
            drawing.generator,
            batch.x,
            batch.mesh,
            batch.turned,
            encode_rec=study.losses.needs_rec,
            real_only=real_only,
        )
        z, z_nv = cycle.real.feature, cycle.nv.feature

        # Update D on the three drawn batches (step 6)
        scores = update_discriminator(drawing, cycle, batch.x, study.discriminator, step=step)

        # The losses of drawing (§3.1)
        drawing_loss, losses = generator_losses(cycle, batch.x, drawing.discriminator, study.losses)
        losses |= scores
        if augment_drawn is not None:
            augmented = imagenet_normalize(augment_drawn(imagenet_denormalize(cycle.x_nv)))
            with statistics_of_drawn(encoder, real_only=real_only):
                z_nv = encoder(augmented).feature

    # Contrast: L_vi, L'_vi, L''_vi of pictures, new views and the memory (§3.3)
    contrast_loss, contrasts = contrast_losses(z, z_nv, bank, batch.indices, batch.partners, study.contrast, variant)

    # Update G and E_id on the sum (step 7)
    optimizers = [learners.optimizer] if drawing is None else [learners.optimizer, drawing.generator_optimizer]
    for optimizer in optimizers:
        optimizer.zero_grad()
    if drawing is None or study.joint.drawing_trains_encoder:
        (drawing_loss + contrast_loss).backward()
    else:  # ours: the gradient of the drawing losses passes through E_id to G and trains G alone
        drawing_loss.backward(inputs=list(drawing.generator.parameters()), retain_graph=True)
        contrast_loss.backward()
    for optimizer in optimizers:
        optimizer.step()

    # Update the memory rows of the batch with the features of the real pictures (step 8, §3.5)
    bank.update(batch.indices, z)
    return {**losses, **contrasts}


def warm_up_step(
    encoder: IdentityEncoder,
    drawing: Drawing,
    x: Float[Tensor, "b 3 h w"],
    mesh: Float[Tensor, "b 1 h w"],
    turned: Float[Tensor, "b 1 h w"],
    study: Study,
    *,
    step: int,
) -> tuple[dict[str, Tensor], Cycle]:
    """Update D, then G, and leave E_id as it is (stage 2, §5.1); return the losses and what was drawn.

    Losses are unweighted but for D's penalty, which is as it weighs in D's loss.
    """
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned, encode_rec=study.losses.needs_rec)
    scores = update_discriminator(drawing, cycle, x, study.discriminator, step=step)
    loss, losses = generator_losses(cycle, x, drawing.discriminator, study.losses)
    drawing.generator_optimizer.zero_grad()
    loss.backward()
    drawing.generator_optimizer.step()
    return {**losses, **scores}, cycle


def draw_cycle(
    encoder: IdentityEncoder,
    generator: GeneratorNetwork,
    x: Float[Tensor, "b 3 h w"],
    mesh: Float[Tensor, "b 1 h w"],
    turned_mesh: Float[Tensor, "b 1 h w"],
    *,
    encode_rec: bool = False,
    real_only: bool = False,
) -> Cycle:
    """Reconstruct x, draw its novel view, cycle that back (§1.2, steps 2-5); E_id sees x, x_nv, x_cyc.

    With `encode_rec` it sees x_rec too, after x, as the release's feature loss needs (D31). In train mode all that it
    sees updates its running statistics, with `real_only` x alone (D16).
    """
    real = encoder(x)
    structure = generator.structure(torch.cat([mesh, turned_mesh]))  # instance statistics: batching changes nothing
    x_rec, x_nv = generator(structure, torch.cat([real.code, real.code])).chunk(2)
    with statistics_of_drawn(encoder, real_only=real_only):
        rec = encoder(x_rec) if encode_rec else None
        nv = encoder(x_nv)
        x_cyc = generator(structure[: len(x)], nv.code)
        cyc = encoder(x_cyc)
    return Cycle(x_rec, x_nv, x_cyc, real, rec, nv, cyc)


def statistics_of_drawn(encoder: IdentityEncoder, *, real_only: bool) -> AbstractContextManager[None]:
    """Return a context for drawn pictures: with `real_only` they leave the running statistics of E_id alone (D16)."""
    return kept_statistics(encoder) if real_only and encoder.training else nullcontext()


def update_discriminator(
    drawing: Drawing, cycle: Cycle, x: Float[Tensor, "b 3 h w"], settings: DiscriminatorSettings, *, step: int
) -> dict[str, Tensor]:
    """Take one step of D on the three drawn batches (§1.2, step 6) and return its losses.

    The penalty is computed at every `penalty_every`-th step, counted from 0, and weighs that much more. Where the steps
    of an epoch are no multiple of that, it weighs more on average: 1.4 times with 23 steps and 16.
    """
    penalise, found = step % settings.penalty_every == 0, x.new_zeros(2)
    drawing.discriminator.requires_grad_(True)
    drawing.discriminator_optimizer.zero_grad()
    for part in drawing.discriminator.in_parts(len(x)):
        real, *fakes = (each[part] for each in (x, cycle.x_rec, cycle.x_nv, cycle.x_cyc))
        loss = discriminator_loss(
            drawing.discriminator.at_once,
            real,
            fakes,
            penalty_weight=settings.penalty_weight * settings.penalty_every,
            penalty=penalise,
        )
        share = len(real) / len(x)  # each term is a mean over pictures
        (share * loss.total).backward()
        found += share * torch.stack([loss.real + loss.fake, loss.penalty]).detach()
    drawing.discriminator_optimizer.step()
    drawing.discriminator.requires_grad_(False)  # the generator's step passes through D and leaves it alone
    told = {"discriminator": found[0]}
    return {**told, "penalty": found[1]} if penalise else told


def generator_losses(
    cycle: Cycle, x: Float[Tensor, "b 3 h w"], discriminator: Discriminator, weights: LossWeights
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted generator-side loss without L_mem, and each term unweighted (§3.1, D31)."""
    compared = cycle.nv if weights.feature_at == "novel_view" else cycle.rec
    assert compared is not None
    losses = {
        "image": reconstruction(cycle.x_rec, x),
        "cycle": reconstruction(cycle.x_cyc, x),
        "feature": reconstruction(compared.code, cycle.real.code),
        "feature_cycle": reconstruction(cycle.cyc.code, cycle.real.code),
        # one mean over three equal batches is a third of the sum of their means
        "adversarial": 3 * generator_adversarial(discriminator(torch.cat([cycle.x_rec, cycle.x_nv, cycle.x_cyc]))),
    }
    total = (
        weights.image * (losses["image"] + losses["cycle"])
        + weights.feature * (losses["feature"] + losses["feature_cycle"])
        + weights.adversarial * losses["adversarial"]
    )
    return total, losses


def contrast_losses(
    original: Float[Tensor, "b d"],
    new: Float[Tensor, "b d"],
    bank: MemoryBank,
    indices: Int[Tensor, " b"],
    partners: Partners,
    settings: ContrastSettings,
    variant: VariantSettings,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted sum of L_vi, L'_vi, L''_vi and each alone, from un-normalised z of x and x_nv (§3.3).

    Nothing waits for a GPU if `indices` and `partners` are on the CPU.
    """
    device = bank.rows.device
    losses = view_invariant_losses(
        normalize(original),
        normalize(new),
        bank.rows,
        send(indices, device),
        Partners(*(send(each, device) for each in partners)),
        temperature=settings.temperature,
        l_vi_prime_positive=settings.l_vi_prime_positive,
        l_vi_negatives=settings.l_vi_negatives,
    )
    total = variant.l_vi_prime * losses.l_vi_prime + variant.l_vi_second * losses.l_vi_second
    total = total + variant.l_vi * losses.l_vi
    return total, losses._asdict()
