"""What a study is: frozen, validated settings. Profiles in `configs/` state only what differs from the defaults here.

Every default is the published constant; the comment beside it names its source: § of docs/METHOD.md, or "ours" where
none is published.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, Tag, ValidationError, model_validator

from gcl_core.fidelity import SwitchName, apply_switches
from gcl_core.settings.common import (
    ComputeSettings as ComputeSettings,
)
from gcl_core.settings.common import (
    ConfigError as ConfigError,
)
from gcl_core.settings.common import (
    OptimizerSettings as OptimizerSettings,
)
from gcl_core.settings.common import (
    Settings,
    Yaw,
)
from gcl_core.settings.data import (
    AugmentationSettings,
    PeopleSettings,
    PictureSettings,
    SourceSettings,
)
from gcl_core.settings.networks import (
    AdaINGeneratorSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    IdentityEncoderSettings,
    ResNetEncoderSettings,
)
from gcl_core.settings.paths import path_keys, place_paths, placed
from gcl_core.settings.stage_one import (
    BaselineSettings,
)
from gcl_core.settings.stage_one import (
    ClusterContrastSettings as ClusterContrastSettings,
)
from gcl_core.settings.stage_one import (
    JvtcSettings as JvtcSettings,
)
from gcl_core.settings.stage_one import (
    TdaSettings as TdaSettings,
)
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

REPOSITORY = Path(__file__).resolve().parents[1]
PROFILES = REPOSITORY / "configs"
BASES = PROFILES / "bases"  # what profiles extend, no profiles themselves
NO_PATH = ("", "null")  # on the command line; a folder of that name is ./null
STAGES = ("baseline", "warm_up", "source", "data", "people", "novel_views", "notebooks", "steps")  # folders of its own


# what may differ under a shipped profile's name: where things are, on what it runs, how it is measured
FREE = re.compile(
    r"seeds|device|devices|(.*\.)?data_root|mesh_root|on_bad_picture|on_missing_mesh|baseline\.checkpoint"
    r"|baseline\.jvtc\.camera_styles|.*\.threads|compute\.micro_batch|evaluation\..*"
)


class Study(Settings):
    """Everything that decides a study's numbers."""

    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")] = "paper"  # names runs/<profile>, figures/<profile>
    dataset: Literal["synthetic", "market1501", "dukemtmc_reid", "msmt17", "folder"] = "synthetic"  # folder: your own
    data_root: Path | None = None  # null: made under the run folder (synthetic only)
    mesh_root: Path | None = None  # null: <data_root>/meshes
    on_bad_picture: Literal["stop", "skip"] = "stop"  # skip: leave it out and list it in quarantine.csv
    on_missing_mesh: Literal["leave_out", "stop"] = "leave_out"  # leave_out: cluster it, draw no views of it
    fidelity: Literal["paper", "released"] | tuple[SwitchName, ...] = "paper"  # switches of gcl_core/fidelity.py
    source: SourceSettings | None = None  # a labelled set to learn from first (domain adaptation); null: no labels
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1  # processes that train together, one a device (docs/PARALLEL.md)
    compute: ComputeSettings = ComputeSettings()
    angles: Annotated[tuple[Yaw, ...], Field(min_length=1)] = (45, 90, 135, 180, 225, 270, 315)  # D1
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

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, tree: Any) -> Any:
        """Fill in what `fidelity` sets; settings given by name win."""
        return apply_switches(tree) if isinstance(tree, dict) else tree

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
            raise ValueError("people.each_seed: only synthetic people made under the run folder differ by seed")
        for name, variant in self.variants.items():
            if variant.view == "known" and not (self.dataset == "synthetic" and self.people.true_views):
                raise ValueError(f"variants.{name}: true views are known of synthetic people with people.true_views")
            if variant.bodies == "known" and not (variant.view == "surface" and self.dataset == "synthetic"):
                raise ValueError(f"variants.{name}.bodies: known bodies are for surface views of synthetic people")
            if odd := [key for key in variant.changes if key.split(".")[0] not in CHANGEABLE]:
                raise ValueError(f"variants.{name}.changes: {odd} must begin with one of {', '.join(CHANGEABLE)}")
            if variant.changes:
                self.of_variant(name)  # raises for unknown keys and values out of range
            if variant.blur and variant.view != "known":
                raise ValueError(f"variants.{name}: blur is for known views, not for {variant.view} ones")
        if (self.baseline.method == "checkpoint") != (self.baseline.checkpoint is not None):
            raise ValueError(
                "baseline: method checkpoint and a path in baseline.checkpoint belong together; give both or neither"
            )
        if self.source is not None and self.baseline.method == "checkpoint":
            raise ValueError("source: stage 1 takes a checkpoint over and would not use what the source set teaches")
        smallest = self.generator.least_side
        if min(self.picture.height, self.picture.width) < smallest:
            raise ValueError(f"picture: these settings of `generator` need sides of {smallest} or more")
        if self.picture.height < self.identity_encoder.parts * self.identity_encoder.stride:
            raise ValueError(
                f"picture.height: {self.identity_encoder.parts} parts need {self.identity_encoder.stride} rows each"
            )
        missing = [name for name in ("gcl", "tda") if name not in self.variants]
        if missing:
            raise ValueError(
                f"variants: {missing} must be among them, the study compares them; got {list(self.variants)}"
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

    def of_variant(self, name: str) -> "Study":
        """Return the settings under which a variant trains: with its `changes`; as they are for other stages.

        Raises pydantic's ValidationError for changes that are no valid settings.
        """
        if name not in self.variants or not self.variants[name].changes:
            return self
        tree = self.model_dump()
        for variant in tree["variants"].values():  # what the changes were for is settled with them
            variant |= {"changes": {}, "purpose": "main"}
        for key, value in self.variants[name].changes.items():
            set_dotted(tree, key, value)
        return Study.model_validate(tree)


PATHS = path_keys(Study)


def set_dotted(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a nested value by its dotted key. Raises ConfigError where a parent is a single value."""
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{key!r}: {parent!r} is a single value and holds no {leaf!r}")
    tree[leaf] = value


def known_profiles() -> list[str]:
    """Return the names of the profiles in `configs/`, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_study(profile: str, overrides: str | Sequence[str] = ()) -> Study:
    """Read a profile and return its validated settings.

    `profile` is a name in `configs/` or the path of a YAML file; `overrides` are `key=value` words, keys dotted
    (`joint.epochs=3`), values YAML; a string is split as a shell does. A value that is a path is taken literally,
    whatever its characters. A profile may say `extends: BASE`, the name of another in `configs/` or `configs/bases/` or
    the path of a YAML file from its own folder: it then states only what differs from that one, mapping by mapping. A
    base extends nothing. Relative paths count from the folder of the YAML file that holds them, those in overrides from
    the current folder; `~` is the home folder.

    Raises ConfigError: unknown profile or base, unreadable YAML, unknown key, wrong type, out of range.
    """
    path = _profile_path(profile)
    tree = _extended(path, _read_tree(path))
    try:
        words = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    except ValueError as error:
        raise ConfigError(
            f"overrides {overrides!r} cannot be split into words: {error}; quote as in a shell"
        ) from error
    for word in words:
        _override(tree, word)
    place_paths(tree, PATHS, Path.cwd())
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, words)) from error


def is_file_of_settings(profile: str) -> bool:
    """Return whether a profile is given by the path of its YAML file, not by a name in `configs/`."""
    return Path(profile).suffix.lower() in (".yaml", ".yml")


def _profile_path(profile: str) -> Path:
    by_path = is_file_of_settings(profile)
    path = Path(placed(profile, Path.cwd())) if by_path else PROFILES / f"{profile}.yaml"
    if not (os.path.isfile(path) if by_path else profile in known_profiles()):
        raise ConfigError(
            f"no profile {profile!r} ({path} is not there); known profiles: {', '.join(known_profiles())}"
        )
    return path


def settled(word: str) -> str:
    """Return an override that means in every folder what this one means here: its paths are absolute."""
    key, equals, value = word.partition("=")
    if key in PATHS and equals and value not in NO_PATH:
        return f"{key}={placed(value, Path.cwd())}"
    inner = tuple(path.removeprefix(f"{key}.") for path in PATHS if path.startswith(f"{key}."))
    try:
        section = yaml.safe_load(value) if inner else None
    except yaml.YAMLError:
        return word  # `load_study` says what is wrong with it
    if not isinstance(section, dict):
        return word
    place_paths(section, inner, Path.cwd())
    return f"{key}={yaml.safe_dump(section, default_flow_style=True, width=sys.maxsize).strip()}"


def check_name(study: Study) -> None:
    """Raise ConfigError for a study under a shipped profile's name whose trainings would be others than that profile's.

    Its runs and figures would take the place of those that the name stands for.
    """
    if study.profile not in known_profiles():
        return
    path, given = PROFILES / f"{study.profile}.yaml", study.model_dump(mode="json", include={"data_root", "mesh_root"})
    if study.source is not None:
        given["source"] = study.source.model_dump(mode="json")
    stated = {name: value for name, value in given.items() if value is not None}
    shipped = Study.model_validate({**_extended(path, _read_tree(path)), **stated})
    theirs, ours = (dict(_flat(each.model_dump(mode="json"))) for each in (shipped, study))
    changed = [key for key, value in ours.items() if theirs.get(key) != value and not FREE.fullmatch(key)]
    if changed:
        raise ConfigError(
            f"{', '.join(changed[:4])} would change what profile {study.profile} trains: give these settings a name of "
            f"their own by adding profile=NAME, as in profile=my_{study.profile}"
        )


def _flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value of nested settings with its dotted key."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _read_tree(path: Path) -> dict[str, Any]:
    """Return the settings that a YAML file states; its relative paths begin in its folder."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); save it anew in UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; expected `key: value` lines")
    place_paths(tree, PATHS, path.parent)
    return tree


def _extended(path: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's settings over those of the one that it extends, if any, under the profile's own name."""
    named = {"profile": path.stem, **tree}
    if "extends" not in tree:
        return named
    name = named.pop("extends")
    known = {found.stem: found for folder in (BASES, PROFILES) for found in sorted(folder.glob("*.yaml"))}
    by_path = is_file_of_settings(str(name))
    base = Path(placed(str(name), path.parent)) if by_path else known.get(str(name))
    if base is None or not base.is_file():
        raise ConfigError(
            f"{path}: extends {name!r}, which is not there; expected one of {', '.join(sorted(known))}, or the path of "
            f"a YAML file from {path.parent}"
        )
    below = _read_tree(base)
    if "extends" in below:
        raise ConfigError(
            f"{path}: extends {name!r}, which itself extends {below['extends']!r}; only one level is read: extend "
            f"{below['extends']!r} and state the rest"
        )
    return _merged(below, named)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `above` over `below`; where both hold a mapping, so are its keys."""
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **above, **both}


def _override(tree: dict[str, Any], word: str) -> None:
    key, separator, value = word.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {word!r} is not of the form key=value, as in joint.epochs=3")
    if key in PATHS:
        return set_dotted(tree, key, None if value in NO_PATH else value)
    try:
        set_dotted(tree, key, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ConfigError(f"override {word!r}: {value!r} is not readable YAML") from error


def _explain(error: ValidationError, path: Path, overrides: list[str]) -> str:
    origin = f"{path}" + (f" with {' '.join(overrides)}" if overrides else "")
    lines = [f"settings of {origin} are not valid:"]
    for problem in error.errors():
        key, known = _place(problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key; known here: {', '.join(known)}")
        elif key:
            lines.append(f"  {key}: {problem['msg']}; got {problem['input']!r}")
        else:
            lines.append(f"  {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _place(location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return a setting's dotted key, and the names that are known beside it.

    Where settings are of several kinds, pydantic puts the kind after their name; it is no part of the key.
    """
    model: Any = Study
    names: list[str] = []
    beside: dict[str, Any] = {}
    for part in location:
        beside = getattr(model, "model_fields", {})
        kinds = {mark.tag: kind for kind in get_args(model) for mark in get_args(kind)[1:] if isinstance(mark, Tag)}
        if part in kinds:
            model = get_args(kinds[part])[0]
            continue
        names.append(str(part))
        model = beside[part].annotation if part in beside else VariantSettings
        if isinstance(model, UnionType):  # of an optional section
            model = next((each for each in get_args(model) if hasattr(each, "model_fields")), model)
    return ".".join(names), sorted(beside)
