"""One step of the joint training, and all that it changes (§1.2, §3; without drawing the TDA control of §6.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from gcl_core.config import Study, VariantSettings
from gcl_core.data.batches import imagenet_denormalize, imagenet_normalize
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.parallel import average_gradients, average_statistics, gather, share
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.contrast import contrast_losses
from gcl_core.training.generation import Drawing, draw_cycle, generator_losses, update_discriminator


@dataclass(frozen=True)
class Learners:
    """What stage 3 trains; `drawing` is None where the new view is an augmented copy."""

    encoder: IdentityEncoder
    optimizer: Optimizer
    schedule: MultiStepLR
    bank: MemoryBank
    drawing: Drawing | None

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of them."""
        own: dict[str, Stateful] = {name: part for name, part in vars(self).items() if name != "drawing"}
        return own if self.drawing is None else own | self.drawing.parts()

    def end_epoch(self) -> None:
        """Step the learning rates' schedules."""
        self.schedule.step()
        if self.drawing is not None:
            self.drawing.generator_schedule.step()
            self.drawing.discriminator_schedule.step()


class Batch(NamedTuple):
    """Pictures of a step, ImageNet-normalised, and the rows of the whole batch in the memory bank.

    Of several processes each has the pictures of its own part (`share`), all have all rows.
    `turned`: the mesh at the angle to be drawn. `view`: x_nv, where nothing is drawn.
    """

    indices: Int[Tensor, " whole"]
    x: Float[Tensor, "b 3 h w"]
    mesh: Float[Tensor, "b 1 h w"] | None = None
    turned: Float[Tensor, "b 1 h w"] | None = None
    view: Float[Tensor, "b 3 h w"] | None = None


def joint_step(
    learners: Learners,
    batch: Batch,
    labels: Int[Tensor, " n"],
    study: Study,
    variant: VariantSettings,
    partners: torch.Generator,
    *,
    step: int,
    augment_drawn: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Update D, then G and E_id on their common loss, then the memory rows of the batch; return every loss unweighted.

    Of several processes each returns the losses of its own part, and all end with the same weights and memory.
    `labels` are the pseudo labels of all training pictures; `partners` draws positives and negatives;
    `augment_drawn` changes drawn views, in [0, 1], before E_id sees them for the contrast. Raises ValueError
    for an outlier in the batch.
    """
    encoder, drawing = learners.encoder, learners.drawing
    optimizers = [learners.optimizer]
    if drawing is None:
        assert batch.view is not None
        original, new = encoder(batch.x).feature, encoder(batch.view).feature
        loss, told = batch.x.new_zeros(()), {}
    else:
        assert batch.mesh is not None
        assert batch.turned is not None
        cycle = draw_cycle(
            encoder,
            drawing.generator,
            batch.x,
            batch.mesh,
            batch.turned,
            encode_rec=study.losses.needs_rec,
            real_only=study.joint.bn_real_only,
        )
        scored = update_discriminator(drawing, cycle, batch.x, study.discriminator, step=step)
        loss, told = generator_losses(cycle, batch.x, drawing.discriminator, study.losses)
        told |= scored
        original, new = cycle.real.feature, cycle.nv.feature
        if augment_drawn is not None:
            new = encoder(imagenet_normalize(augment_drawn(imagenet_denormalize(cycle.x_nv)))).feature
        optimizers.append(drawing.generator_optimizer)
    memory_loss, memory_told = contrast_losses(
        original, new, learners.bank, labels, batch.indices, study.contrast, variant, partners
    )
    for each in optimizers:
        each.zero_grad()
    if drawing is None or study.joint.drawing_trains_encoder:
        (loss + memory_loss).backward()
    else:  # the gradient of the drawing losses passes through E_id to G and trains G alone
        loss.backward(inputs=list(drawing.generator.parameters()), retain_graph=True)
        memory_loss.backward()
    for each in optimizers:
        average_gradients(each)
    learners.optimizer.step()
    if drawing is not None:
        drawing.step()
    average_statistics(encoder)
    whole = len(batch.indices)
    learners.bank.update(batch.indices, gather(original, share(whole), whole))
    return {**told, **memory_told}
