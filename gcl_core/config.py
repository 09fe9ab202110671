"""What a study is: frozen, validated settings. Profiles in `configs/` state only what differs from the defaults here.

Every default is the published constant; the comment beside it names its source: § of docs/METHOD.md, or "ours" where
none is published.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

REPOSITORY = Path(__file__).resolve().parents[1]
PROFILES = REPOSITORY / "configs"

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


class PictureSettings(Settings):
    """Working size of every picture and mesh projection, in pixels (§5.3); at least 4 rows and columns per stride."""

    height: Annotated[int, Field(ge=32, multiple_of=16)] = 256  # §1.1
    width: Annotated[int, Field(ge=32, multiple_of=16)] = 128  # §1.1


class PeopleSettings(Settings):
    """The synthetic people (ours): who is in the set and how often each is seen."""

    train_identities: Annotated[int, Field(ge=2, le=9999)] = 48
    test_identities: Annotated[int, Field(ge=2, le=9999)] = 48
    cameras: Annotated[int, Field(ge=2, le=8)] = 5
    pictures_per_identity: Annotated[int, Field(ge=4, le=99)] = 16
    distractors: Annotated[int, Field(ge=0)] = 0  # gallery pictures of nobody in the query, identity 0000
    junk: Annotated[int, Field(ge=0)] = 0  # badly framed gallery pictures, identity -1
    seed: Annotated[int, Field(ge=0)] = 0
    true_views: bool = True  # the seven true pictures beside each one, for evaluation only


class IdentityEncoderSettings(Settings):
    """E_id (§2.1): torchvision's ResNet family, last stride 1, stripes for the appearance code, BN feature."""

    block: Literal["basic", "bottleneck"] = "bottleneck"
    layers: tuple[Positive, Positive, Positive, Positive] = (3, 4, 6, 3)  # ResNet-50
    width: Annotated[int, Field(ge=4, le=256)] = 64
    embedding: Positive | None = 512  # JVTC variant; null: BN on the pooled features (MLC/MMCL, ACT, UDA_TP)
    parts: Positive = 4
    code_layout: Literal["part", "released"] = "part"  # D3
    weights: Literal["imagenet"] | None = "imagenet"  # where the baseline starts from (§5.1)


class GeneratorSettings(Settings):
    """E_str, the MLPs and the AdaIN decoder (§2.2-2.3)."""

    dim: Annotated[int, Field(ge=1)] = 16
    mlp_dim: Positive = 512
    dilations: tuple[Positive, Positive, Positive] = (3, 6, 9)  # D27


class DiscriminatorSettings(Settings):
    """D (§2.4) and its gradient penalty (§3.2)."""

    dim: Positive = 32
    downsamples: Positive = 2
    residual_blocks: Positive = 4
    scales: Positive = 3
    penalty_weight: Weight = 0.01
    penalty_every: Positive = 1  # every n-th step, n times as heavy (ours; 1 is as published)


class ClusteringSettings(Settings):
    """k-reciprocal Jaccard distance, the ρ rule for ε, DBSCAN (§4)."""

    k1: Annotated[int, Field(ge=2)] = 30
    k2: Annotated[int, Field(ge=1)] = 6
    rho: Annotated[float, Field(gt=0, le=1)] = 0.002  # MSMT17: 0.0012
    min_samples: Positive = 4


class ContrastSettings(Settings):
    """View-invariant contrastive losses and the memory bank (§3.3, §3.5)."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 0.04
    negatives: Positive = 8192
    keep_old: Share = 0.2  # weight of the old row (D8)


class AugmentationSettings(Settings):
    """Traditional data augmentation (§6.1: no values are published; these follow the nearest documents)."""

    flip: Share = 0.5
    pad: Annotated[int, Field(ge=0)] = 10  # pixels at 256 rows; scaled with the picture's height
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.4  # brightness, contrast, saturation
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    erase: Share = 0.5
    erase_area: tuple[Share, Share] = (0.02, 0.4)
    erase_aspect: tuple[Rate, Rate] = (0.3, 3.33)


class OptimizerSettings(Settings):
    """One optimiser and its multi-step schedule, stepped once an epoch (§5.2)."""

    kind: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    betas: tuple[Share, Share] = (0.0, 0.999)  # Adam only
    weight_decay: Weight = 5e-4
    milestones: tuple[Positive, ...] = ()
    gamma: Share = 0.1


GAN_OPTIMIZER = OptimizerSettings()  # §5.2: constant in stage 2
ENCODER_OPTIMIZER = OptimizerSettings(kind="sgd", lr=3.5e-4, milestones=(10,))  # §5.2: momentum 0.9, Nesterov


class BaselineSettings(Settings):
    """Stage 1 (§6.1 turned into a start from scratch; ours): instance discrimination, then clustering each epoch."""

    epochs: Positive = 40
    instance_epochs: Annotated[int, Field(ge=0)] = 5  # every picture its own class
    batch_size: Annotated[int, Field(ge=2)] = 16
    optimizer: OptimizerSettings = OptimizerSettings(lr=3.5e-4, betas=(0.9, 0.999), milestones=(20,))
    temperature: Annotated[float, Field(gt=0, le=10)] | None = None  # null: that of `contrast`
    threads: Positive | None = None  # CPU threads; null: all


class WarmUpSettings(Settings):
    """Stage 2 (§5.1): E_id frozen; E_str, G, D learn."""

    epochs: Positive = 40
    batch_size: Annotated[int, Field(ge=2)] = 16
    generator_optimizer: OptimizerSettings = GAN_OPTIMIZER
    discriminator_optimizer: OptimizerSettings = GAN_OPTIMIZER
    threads: Positive | None = None


class JointSettings(Settings):
    """Stage 3 (§5.1): everything learns, on clustered pictures only."""

    epochs: Positive = 20  # D29
    batch_size: Annotated[int, Field(ge=2)] = 16
    encoder_optimizer: OptimizerSettings = ENCODER_OPTIMIZER
    generator_optimizer: OptimizerSettings = OptimizerSettings(milestones=(10,))
    discriminator_optimizer: OptimizerSettings = OptimizerSettings(milestones=(10,))
    evaluate_every: Positive = 1
    threads: Positive | None = None


class LossWeights(Settings):
    """Weights of the generator side (§3.1)."""

    image: Weight = 5.0  # L_img and L_cyc
    feature: Weight = 5.0  # L_feat and L_feat'
    adversarial: Weight = 1.0


class VariantSettings(Settings):
    """One row of the ablation: where x_nv comes from and which contrastive losses are on (§3.3, §6.1)."""

    title: str = "GCL"
    view: Literal["drawn", "augmented"] = "drawn"
    vi: Weight = 1.0
    vi_prime: Weight = 1.0
    vi_second: Weight = 1.0


VARIANTS = {
    "gcl": VariantSettings(title="GCL"),
    "tda": VariantSettings(title="TDA control", view="augmented"),
    "no_vi": VariantSettings(title="without the three losses", vi=0, vi_prime=0, vi_second=0),
    "no_l_vi": VariantSettings(title="without L_vi", vi=0),
    "no_l_vi_prime": VariantSettings(title="without L'_vi", vi_prime=0),
    "no_l_vi_second": VariantSettings(title="without L''_vi", vi_second=0),
}


class EvaluationSettings(Settings):
    """What is measured and on how much (§5.4, §7.1)."""

    batch_size: Positive = 64
    fid_pictures: Annotated[int, Field(ge=2)] | None = None  # a view's pictures; null: every training picture
    fid_variants: tuple[str, ...] = ("gcl", "no_vi")
    gallery_people: Annotated[int, Field(ge=1, le=8)] = 4  # rows of a gallery


class Study(Settings):
    """Everything that decides a study's numbers."""

    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")] = "paper"  # names runs/<profile>, figures/<profile>
    dataset: Literal["synthetic", "market1501", "dukemtmc_reid", "msmt17", "folder"] = "synthetic"  # folder: your own
    data_root: Path | None = None  # null: made under the run folder (synthetic only)
    mesh_root: Path | None = None  # null: <data_root>/meshes
    on_bad_picture: Literal["stop", "skip"] = "stop"  # skip: leave it out and list it in quarantine.csv
    on_missing_mesh: Literal["leave_out", "stop"] = "leave_out"  # leave_out: cluster it, draw no views of it
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    angles: Annotated[tuple[Yaw, ...], Field(min_length=1)] = (45, 90, 135, 180, 225, 270, 315)  # D1
    picture: PictureSettings = PictureSettings()
    people: PeopleSettings = PeopleSettings()
    identity_encoder: IdentityEncoderSettings = IdentityEncoderSettings()
    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    contrast: ContrastSettings = ContrastSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    losses: LossWeights = LossWeights()
    baseline: BaselineSettings = BaselineSettings()
    warm_up: WarmUpSettings = WarmUpSettings()
    joint: JointSettings = JointSettings()
    variants: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], VariantSettings] = VARIANTS
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        if self.dataset != "synthetic" and self.data_root is None:
            raise ValueError(f"data_root: dataset {self.dataset} needs its folder; give data_root=/path/to/it")
        smallest = 4 * (max(self.generator.dilations) + 1)
        if min(self.picture.height, self.picture.width) < smallest:
            raise ValueError(
                f"picture: generator.dilations {self.generator.dilations} need sides of {smallest} or more"
            )
        if self.picture.height < 16 * self.identity_encoder.parts:
            raise ValueError(f"picture.height: {self.identity_encoder.parts} parts need 16 rows each")
        missing = [name for name in ("gcl", "tda") if name not in self.variants]
        if missing:
            raise ValueError(
                f"variants: {missing} must be among them, the study compares them; got {list(self.variants)}"
            )
        reserved = {"baseline", "warm_up", "data", "people", "notebooks", "steps"} & set(self.variants)
        if reserved:
            raise ValueError(f"variants: {sorted(reserved)} name stages of the study; choose another name")
        unknown = [name for name in self.evaluation.fid_variants if name not in self.variants]
        drawn = [name for name in self.evaluation.fid_variants if name in self.variants]
        if any(self.variants[name].view != "drawn" for name in drawn):
            raise ValueError(f"evaluation.fid_variants: {drawn} must all draw views (view: drawn)")
        if unknown:
            raise ValueError(f"evaluation.fid_variants: {unknown} not among the variants {list(self.variants)}")
        return self


def known_profiles() -> list[str]:
    """Return the names of the profiles in `configs/`, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_study(profile: str, overrides: str | Sequence[str] = ()) -> Study:
    """Read a profile and return its validated settings.

    `profile` is a name in `configs/` or a path of a YAML file; `overrides` are `key=value` words, keys dotted
    (`joint.epochs=3`), values YAML; a string is split as a
    shell does.

    Raises ConfigError: unknown profile, unreadable YAML, unknown key, wrong type, out of range.
    """
    path = Path(profile) if profile.endswith((".yaml", ".yml")) else PROFILES / f"{profile}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no profile {profile!r} ({path} is not there); known profiles: {', '.join(known_profiles())}"
        )
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; expected `key: value` lines")
    tree = {"profile": path.stem, **tree}
    words = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    for word in words:
        _override(tree, word)
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, words)) from error


def _override(tree: dict[str, Any], word: str) -> None:
    key, separator, value = word.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {word!r} is not of the form key=value, as in joint.epochs=3")
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override {word!r}: {parent!r} is a single value and holds no {leaf!r}")
    try:
        tree[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {word!r}: {value!r} is not readable YAML") from error


def _explain(error: ValidationError, path: Path, overrides: list[str]) -> str:
    origin = f"{path}" + (f" with {' '.join(overrides)}" if overrides else "")
    lines = [f"settings of {origin} are not valid:"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key; known here: {', '.join(_siblings(problem['loc']))}")
        elif key:
            lines.append(f"  {key}: {problem['msg']}; got {problem['input']!r}")
        else:
            lines.append(f"  {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Study
    for part in location[:-1]:
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else VariantSettings
    return sorted(getattr(model, "model_fields", {}))
