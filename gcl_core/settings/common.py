"""What all settings share: ranges, frozen models without unknown keys, one optimiser."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=10)]
Yaw = Literal[45, 90, 135, 180, 225, 270, 315]


class ConfigError(ValueError):
    """A setting is unknown, of the wrong type or out of range; the text says which, where and what is allowed."""


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptimizerSettings(Settings):
    """One optimiser and its multi-step schedule, stepped once an epoch (§5.2)."""

    kind: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    betas: tuple[Share, Share] = (0.0, 0.999)  # Adam only
    weight_decay: Weight = 5e-4
    milestones: tuple[Positive, ...] = ()
    gamma: Share = 0.1


class ComputeSettings(Settings):
    """How networks compute while they train; benchmarks/RESULTS.md has what was seen of it."""

    precision: Literal["fp32", "tf32", "bf16"] = "fp32"  # bf16: autocast; losses and weights stay float32
    compile: bool = False  # E_id and G by torch.compile; slow at first
    micro_batch: Positive | None = None  # pictures that pass G, E_str, D at a time: less memory (docs/PARALLEL.md)

    @model_validator(mode="after")
    def _one_of_two(self) -> "ComputeSettings":
        if self.compile and self.micro_batch is not None:
            raise ValueError(
                f"compute: compile and micro_batch={self.micro_batch} exclude each other, as compiled passes choose "
                "themselves what to keep; set compute.compile=false or compute.micro_batch=null"
            )
        return self
