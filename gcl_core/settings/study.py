"""What a study is: frozen, validated settings, with what its sections must have to fit together.

Every default is the published constant; the comment beside it names its source: § of docs/METHOD.md, or "ours" where
none is published.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_serializer, model_validator

from gcl_core.fidelity import SwitchName, apply_switches
from gcl_core.settings.common import ComputeSettings, ConfigError, Settings, Yaws
from gcl_core.settings.data import AugmentationSettings, PeopleSettings, PictureSettings, SourceSettings
from gcl_core.settings.networks import (
    AdaINGeneratorSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    IdentityEncoderSettings,
    ResNetEncoderSettings,
)
from gcl_core.settings.stage_one import BaselineSettings
from gcl_core.settings.training import (
    CHANGEABLE,
    VARIANTS,
    ClusteringSettings,
    ContrastSettings,
    EvaluationSettings,
    JointSettings,
    LossWeights,
    VariantSettings,
    WarmUpSettings,
)

NAME = r"^[A-Za-z0-9][\w.-]*$"  # of a profile
# folders of its own
STAGES = ("baseline", "warm_up", "source", "data", "people", "novel_views", "notebooks", "steps", "book")


class Study(Settings):
    """Everything that decides a study's numbers."""

    profile: Annotated[str, Field(pattern=NAME)] = "paper"  # names runs/<profile>, figures/<profile>
    dataset: Literal["synthetic", "market1501", "dukemtmc_reid", "msmt17", "folder"] = "synthetic"  # folder: your own
    data_root: Path | None = None  # null: made under the run folder (synthetic only)
    mesh_root: Path | None = None  # null: <data_root>/meshes
    on_bad_picture: Literal["stop", "skip"] = "stop"  # skip: leave it out and list it in quarantine.csv
    on_missing_mesh: Literal["leave_out", "stop"] = "leave_out"  # leave_out: cluster it, draw no views of it
    given_weights: Path | None = None  # a folder of weights/, taken in the place of every training; null: train
    fidelity: Literal["paper", "released"] | tuple[SwitchName, ...] = "paper"  # switches of gcl_core/fidelity.py
    source: SourceSettings | None = None  # a labelled set to learn from first (domain adaptation); null: no labels
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    training_seed: Annotated[int, Field(ge=0)] = 0  # seed k trains with the draws of training_seed + k
    repeats: Annotated[int, Field(ge=1, le=100)] = 1  # trainings of each variant on a seed; their mean is its number
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1  # processes that train together, one a device (docs/PARALLEL.md)
    compute: ComputeSettings = ComputeSettings()
    angles: Yaws = (45, 90, 135, 180, 225, 270, 315)  # D1
    picture: PictureSettings = PictureSettings()
    people: PeopleSettings = PeopleSettings()
    identity_encoder: IdentityEncoderSettings = ResNetEncoderSettings()
    generator: GeneratorSettings = AdaINGeneratorSettings()
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

    @model_serializer(mode="wrap")
    def _named_where_given(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leave out later settings that are not given: such studies are named as before the settings were there."""
        tree = dump(self)
        baseline = tree.get("baseline") or {}
        later = [(tree, "given_weights"), (tree.get("evaluation"), "stage_1_every"), (baseline, "clustering")]
        later += [(baseline.get("jvtc"), name) for name in ("joint_rho", "joint_eps_scale")]
        for section, name in later:
            if isinstance(section, dict) and section.get(name, ...) is None:
                del section[name]
        return tree

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, tree: Any) -> Any:
        """Fill in what `fidelity` sets; settings given by name win."""
        return apply_switches(tree) if isinstance(tree, dict) else tree

    @field_validator("variants", mode="before")
    @classmethod
    def _titled(cls, variants: Any) -> Any:
        """Give a variant without a title its name, or what every study calls the variant of that name."""
        if not isinstance(variants, dict):
            return variants
        titles = {name: VARIANTS[name].title if name in VARIANTS else name for name in variants}
        return {
            name: each | {"title": titles[name]} if isinstance(each, dict) and each.get("title", "") == "" else each
            for name, each in variants.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        if self.dataset != "synthetic" and self.data_root is None:
            raise ValueError(f"data_root: dataset {self.dataset} needs its folder; give data_root=/path/to/it")
        if self.source and self.source.dataset != "synthetic" and self.source.data_root is None:
            raise ValueError(
                f"source.data_root: dataset {self.source.dataset} needs its folder; give source.data_root=/path/to/it"
            )
        made = self.dataset == "synthetic" and self.data_root is None
        if self.people.each_seed and not made:
            raise ValueError(
                "people.each_seed: only synthetic people made under the run folder differ by seed; where it comes with "
                "a profile that is extended, add people.each_seed=false"
            )
        for name, variant in self.variants.items():
            if variant.view == "known" and not (self.dataset == "synthetic" and self.people.true_views):
                raise ValueError(f"variants.{name}: true views are known of synthetic people with people.true_views")
            of_known = variant.bodies in ("known", "rough", "swapped")  # made of the bodies behind the pictures
            if of_known and self.dataset != "synthetic":
                raise ValueError(
                    f"variants.{name}.bodies: {variant.bodies} bodies are those of synthetic people; of others there "
                    "are fitted ones, as in profiles folder and real_small"
                )
            if variant.bodies != "fitted" and not variant.needs_bodies:
                raise ValueError(f"variants.{name}.bodies: they are of surface views, not of {variant.view} ones")
            if not variant.turned and variant.view != "surface":
                raise ValueError(f"variants.{name}.turned: false is for surface views, not for {variant.view} ones")
            if odd := [key for key in variant.changes if key.split(".")[0] not in CHANGEABLE]:
                raise ValueError(f"variants.{name}.changes: {odd} must begin with one of {', '.join(CHANGEABLE)}")
            if variant.changes:
                try:
                    self.of_variant(name)
                except ValidationError as error:  # unknown keys, values out of range
                    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
                    raise ValueError(f"variants.{name}.changes: {'; '.join(told)}") from error
            if variant.blur and variant.view != "known":
                raise ValueError(f"variants.{name}: blur is for known views, not for {variant.view} ones")
        batches = {"warm_up.batch_size": self.warm_up.batch_size, "joint.batch_size": self.joint.batch_size}
        if self.baseline.method == "tda":
            batches["baseline.tda.batch_size"] = self.baseline.tda.batch_size
        for name, size in batches.items():
            if size % self.devices or (self.devices > 1 and size < 2 * self.devices):
                raise ValueError(
                    f"devices: batches of {size} pictures ({name}) cannot be cut into equal parts of two or more for "
                    f"{self.devices} processes; set fewer devices, or a multiple of {self.devices} pictures, "
                    f"{2 * self.devices} or more"
                )
        if self.compute.compile and not self.joint.drawing_trains_encoder:
            raise ValueError(
                "joint.drawing_trains_encoder: false takes two backward passes through E_id, and compiled networks "
                "keep nothing for the second; set compute.compile=false"
            )
        if (self.baseline.method == "checkpoint") != (self.baseline.checkpoint is not None):
            raise ValueError(
                "baseline: method checkpoint and a path in baseline.checkpoint belong together; give both or neither"
            )
        if self.source is not None and self.baseline.method == "checkpoint":
            raise ValueError("source: stage 1 takes a checkpoint over and would not use what the source set teaches")
        for name, smallest in (
            ("generator", self.generator.least_side),
            ("discriminator", self.discriminator.least_side),
        ):
            if min(self.picture.height, self.picture.width) < smallest:
                raise ValueError(f"picture: these settings of `{name}` need sides of {smallest} or more")
        if self.picture.height < self.identity_encoder.parts * self.identity_encoder.stride:
            raise ValueError(
                f"picture.height: {self.identity_encoder.parts} parts need {self.identity_encoder.stride} rows each"
            )
        missing = [name for name in ("gcl", "tda") if name not in self.variants]
        if missing:
            raise ValueError(
                f"variants: {missing} must be among them, the study compares them; got {list(self.variants)}"
            )
        named: dict[str, str] = {}
        for name, variant in self.variants.items():
            if (other := named.setdefault(variant.title, name)) != name:
                raise ValueError(
                    f"variants.{name}.title: {variant.title!r} is the title of {other} too, by which figures and "
                    "tables tell variants apart; give it another"
                )
        reserved = set(STAGES) & set(self.variants)
        if reserved:
            raise ValueError(f"variants: {sorted(reserved)} name stages of the study; choose another name")
        unknown = [name for name in self.evaluation.fid_variants if name not in self.variants]
        drawn = [name for name in self.evaluation.fid_variants if name in self.variants]
        if any(self.variants[name].view != "drawn" for name in drawn):
            raise ValueError(f"evaluation.fid_variants: {drawn} must all draw views (view: drawn)")
        if unknown:
            raise ValueError(f"evaluation.fid_variants: {unknown} not among the variants {list(self.variants)}")
        return self

    def repeats_of(self, variant: str) -> range:
        """Return the places of a variant's trainings on one seed: as many as it asks for, else as the study does."""
        return range(self.variants[variant].repeats or self.repeats)

    def of_variant(self, name: str) -> "Study":
        """Return the settings under which a variant trains: with its `changes`; as they are for other stages.

        Raises pydantic's ValidationError for changes that are no valid settings.
        """
        if name not in self.variants or not self.variants[name].changes:
            return self
        kept = {"variants", "evaluation"}  # no change reaches them; a study of some variants alone has its own, too
        tree = self.model_dump(exclude=kept)
        for key, value in self.variants[name].changes.items():
            set_dotted(tree, key, value)
        settled = {"changes": {}, "purpose": "main"}  # what the changes were for is settled with them
        variants = {each: variant.model_copy(update=settled) for each, variant in self.variants.items()}
        return Study.model_validate(tree).model_copy(update={"variants": variants, "evaluation": self.evaluation})

    def of_stage(self, name: str) -> "Study":
        """Return the settings under which a stage trains: stage 1 by its own clustering, variants as `of_variant`."""
        own = self.baseline.clustering if name == "baseline" else None
        return self.of_variant(name) if own is None else self.model_copy(update={"clustering": own})

    def check_pictures(self, count: int) -> None:
        """Raise ConfigError where a stage is to find more clusters by k-means than there are training pictures."""
        for stage in ("baseline", *self.variants):
            settings = self.of_stage(stage).clustering
            wanted = settings.kmeans_clusters or 0
            if settings.method == "kmeans" and wanted > count:
                raise ConfigError(
                    f"clustering.kmeans_clusters of {stage} is {wanted}, and there are {count} training pictures: set "
                    "as many or fewer"
                )


def set_dotted(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a nested value by its dotted key. Raises ConfigError where a parent is a single value."""
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{key!r}: {parent!r} is a single value and holds no {leaf!r}")
    tree[leaf] = value
