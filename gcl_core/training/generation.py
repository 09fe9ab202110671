"""The generative half of a step, shared by warm-up and joint training: draw, cycle back, score (§1.2, §3.1-3.2)."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gcl_core.config import DiscriminatorSettings, JointSettings, LossWeights, Study, WarmUpSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.losses.adversarial import discriminator_loss, generator_adversarial
from gcl_core.losses.reconstruction import reconstruction
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.drawing import draw_views
from gcl_core.models.frugal import kept_statistics
from gcl_core.models.identity_encoder import EncoderOutput, IdentityEncoder
from gcl_core.models.network import TrainedGenerator
from gcl_core.models.protocols import EncoderNetwork, GeneratorNetwork
from gcl_core.models.weights import build_discriminator, build_generator, load_weights, save_weights
from gcl_core.parallel import average_gradients
from gcl_core.training.checkpoint import Stateful, load_state, save_state
from gcl_core.training.optimizers import carry_over, make_optimizer, with_schedule

SAMPLED = 4  # people shown while training


@dataclass(frozen=True)
class Drawing:
    """Generator and discriminator with their optimisers and schedules."""

    generator: TrainedGenerator
    discriminator: Discriminator
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    generator_schedule: MultiStepLR
    discriminator_schedule: MultiStepLR
    average: AveragedModel | None = None  # of the generator over its steps, where `joint.generator_ema` asks for it

    @classmethod
    def start(
        cls, study: Study, settings: WarmUpSettings | JointSettings, code_dim: int, seed: int, device: torch.device
    ) -> "Drawing":
        """Return freshly initialised networks with a stage's optimisers (§2.5, §5.2)."""
        generator = build_generator(study, code_dim, seed).to(device)
        discriminator = build_discriminator(study, seed).to(device)
        rates = settings.drawing_schedule if isinstance(settings, JointSettings) else "stated"
        optimizer, schedule = make_optimizer(generator.parameters(), with_schedule(settings.generator_optimizer, rates))
        critic_optimizer, critic_schedule = make_optimizer(
            discriminator.parameters(), with_schedule(settings.discriminator_optimizer, rates)
        )
        decay = settings.generator_ema if isinstance(settings, JointSettings) else None
        average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay is not None else None
        return cls(generator, discriminator, optimizer, critic_optimizer, schedule, critic_schedule, average)

    @property
    def artist(self) -> TrainedGenerator:
        """The generator that draws views for people to see and to measure: the average's, where there is one."""
        return self.generator if self.average is None else cast(TrainedGenerator, self.average.module)

    def step(self) -> None:
        """Step the generator's optimiser, and bring its average up to date."""
        self.generator_optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.generator)

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of it."""
        return {name: part for name, part in vars(self).items() if part is not None}

    def save(self, folder: Path) -> None:
        """Write both networks, and the optimisers' moments, as the end of a stage."""
        save_weights(self.artist, folder / "generator.safetensors")
        save_weights(self.discriminator, folder / "discriminator.safetensors")
        optimizers = {name: part for name, part in self.parts().items() if name.endswith("_optimizer")}
        save_state(folder / "optimizers.safetensors", {name: part.state_dict() for name, part in optimizers.items()})

    def take_over(self, folder: Path, device: torch.device) -> None:
        """Load networks and moments that an earlier stage saved; learning rates stay this stage's (D11)."""
        load_weights(self.generator, folder / "generator.safetensors", device).train()
        load_weights(self.discriminator, folder / "discriminator.safetensors", device).train()
        state = load_state(folder / "optimizers.safetensors")
        if self.average is not None:
            self.average.module.load_state_dict(self.generator.state_dict())
        carry_over(self.generator_optimizer, state["generator_optimizer"])
        carry_over(self.discriminator_optimizer, state["discriminator_optimizer"])


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
    with kept_statistics(encoder) if real_only and encoder.training else nullcontext():
        rec = encoder(x_rec) if encode_rec else None
        nv = encoder(x_nv)
        x_cyc = generator(structure[: len(x)], nv.code)
        cyc = encoder(x_cyc)
    return Cycle(x_rec, x_nv, x_cyc, real, rec, nv, cyc)


def update_discriminator(
    drawing: Drawing, cycle: Cycle, x: Float[Tensor, "b 3 h w"], settings: DiscriminatorSettings, *, step: int
) -> dict[str, Tensor]:
    """Take one step of D on the three drawn batches (§1.2, step 6) and return its losses.

    The penalty is computed at every `penalty_every`-th step, counted from 0, and weighs that much more.
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
    average_gradients(drawing.discriminator_optimizer)
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


def sample_views(encoder: EncoderNetwork, generator: GeneratorNetwork, people: PersonSet) -> UInt8[np.ndarray, "h w 3"]:
    """Return the first training pictures that have a mesh, a row each, beside their drawn views at all yaws."""
    rows = people.with_mesh(people.rows("train"))[:SAMPLED]
    views = draw_views(encoder, generator, people.pictures[rows], people.projections[rows])
    cells = np.concatenate([people.pictures[rows][:, None], views], axis=1)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in cells])
