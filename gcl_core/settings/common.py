"""What all settings share: ranges, frozen models without unknown keys, one optimiser."""

from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=10)]
Yaw = Literal[45, 90, 135, 180, 225, 270, 315]
Names = Set[str] | Mapping[str, Any]  # of settings: a set, or a mapping of a name to True or to the names below it


class ConfigError(ValueError):
    """A setting is unknown, of the wrong type or out of range; the text says which, where and what is allowed."""


def once_each(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values of which each stands once. Raises ValueError for one that comes again."""
    if again := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"{', '.join(map(str, again))} twice; each may stand there once")
    return values


Yaws = Annotated[tuple[Yaw, ...], Field(min_length=1), AfterValidator(once_each)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys forbidden.

    A section that is given in part is completed from its field's own default: an optimiser's schedule stays where its
    rate alone is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _completed(cls, value: Any, info: Any) -> Any:
        default = cls.model_fields[info.field_name].default
        if isinstance(value, dict) and isinstance(default, Settings):
            return {**default.model_dump(exclude_unset=True), **value}
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_a_number(cls, value: Any, info: Any) -> Any:
        """Refuse true and false, for YAML also yes, no, on and off, where pydantic would read 1 and 0."""
        numbers = value if isinstance(value, list | tuple) else (value,)
        switch = cls.model_fields[info.field_name].annotation is bool
        if not switch and any(isinstance(each, bool) for each in numbers):
            raise ValueError("true and false (yes, no, on, off) are no values of this setting")
        return value

    if not TYPE_CHECKING:  # a checker would take any name for a setting

        def __getattr__(self, name: str) -> Any:
            if name in type(self).model_fields:
                raise AttributeError(
                    f"the setting {name!r} of {type(self).__name__} was not handed on: what a stage reads must be "
                    "among the settings that its fingerprint is made of (`handed` in gcl_core/provenance.py)"
                )
            return super().__getattr__(name)


Section = TypeVar("Section", bound=Settings)


def only(settings: Section, names: Names) -> Section:
    """Return settings with those named and no others: reading another raises AttributeError."""
    kept = {name: _part(getattr(settings, name), below) for name, below in _pairs(names)}
    restricted = settings.model_copy()
    object.__setattr__(restricted, "__dict__", kept)
    return restricted


def _part(value: Any, names: Any) -> Any:
    if names is True:
        return value
    if isinstance(value, dict):
        return {name: _part(value[name], below) for name, below in _pairs(names)}
    return only(value, names)


def _pairs(names: Names) -> Iterable[tuple[str, Any]]:
    """Return names with what is named below them, in an order that is the same in every process."""
    return sorted((names if isinstance(names, Mapping) else dict.fromkeys(names, True)).items())


class OptimizerSettings(Settings):
    """One optimiser and its multi-step schedule, stepped once per epoch (§5.2)."""

    kind: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    betas: tuple[Decay, Decay] = (0.0, 0.999)  # Adam only
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
