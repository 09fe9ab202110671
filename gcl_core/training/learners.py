"""What stages 2 and 3 train: networks with their optimisers and schedules, kept in checkpoints (§2.5, §5.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import UInt8
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gcl_core.config import JointSettings, Study, WarmUpSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.drawing import draw_views
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.network import TrainedGenerator
from gcl_core.models.protocols import EncoderNetwork, GeneratorNetwork
from gcl_core.models.weights import build_discriminator, build_generator, load_weights, save_weights
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
        average = None
        if decay is not None:
            average = moving = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay))
            optimizer.register_step_post_hook(lambda *_: moving.update_parameters(generator))
        return cls(generator, discriminator, optimizer, critic_optimizer, schedule, critic_schedule, average)

    @property
    def artist(self) -> TrainedGenerator:
        """The generator that draws views for people to see and to measure: the average's, where there is one."""
        return self.generator if self.average is None else cast(TrainedGenerator, self.average.module)

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


def sample_views(encoder: EncoderNetwork, generator: GeneratorNetwork, people: PersonSet) -> UInt8[np.ndarray, "h w 3"]:
    """Return the first training pictures that have a mesh, a row each, beside their drawn views at all yaws."""
    rows = people.with_mesh(people.rows("train"))[:SAMPLED]
    views = draw_views(encoder, generator, people.pictures[rows], people.projections[rows])
    cells = np.concatenate([people.pictures[rows][:, None], views], axis=1)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in cells])
