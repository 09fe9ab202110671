"""Profiles: settings of a study from `configs/` or a YAML file, and what the command line says over them."""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.composer import ComposerError

from gcl_core.settings.common import ComputeSettings, ConfigError, OptimizerSettings
from gcl_core.settings.data import AugmentationSettings, PeopleSettings, SourceSettings
from gcl_core.settings.explain import explain
from gcl_core.settings.networks import DiscriminatorSettings
from gcl_core.settings.paths import path_keys, place_paths, placed
from gcl_core.settings.stage_one import BaselineSettings, ClusterContrastSettings, JvtcSettings, TdaSettings
from gcl_core.settings.study import NAME, STAGES, Study, set_dotted
from gcl_core.settings.training import (
    VARIANTS,
    ClusteringSettings,
    ContrastSettings,
    EvaluationSettings,
    JointSettings,
    LossWeights,
    VariantSettings,
    WarmUpSettings,
)

__all__ = [  # what others take from here
    "BASES",
    "FREE",
    "PATHS",
    "PROFILES",
    "REPOSITORY",
    "STAGES",
    "AugmentationSettings",
    "BaselineSettings",
    "ClusterContrastSettings",
    "ClusteringSettings",
    "ComputeSettings",
    "ConfigError",
    "ContrastSettings",
    "DiscriminatorSettings",
    "EvaluationSettings",
    "JointSettings",
    "JvtcSettings",
    "LossWeights",
    "OptimizerSettings",
    "PeopleSettings",
    "SourceSettings",
    "Study",
    "TdaSettings",
    "VariantSettings",
    "WarmUpSettings",
    "check_name",
    "described_study",
    "is_file_of_settings",
    "known_profiles",
    "load_study",
    "settled",
]

REPOSITORY = Path(__file__).resolve().parents[1]
PROFILES = REPOSITORY / "configs"
BASES = PROFILES / "bases"  # what profiles extend, no profiles themselves
NO_PATH = ("", "null")  # on the command line; a folder of that name is ./null


# what may differ under a shipped profile's name: where things are, on what it runs, how it is measured
FREE = re.compile(
    r"seeds|device|devices|(.*\.)?data_root|mesh_root|on_bad_picture|on_missing_mesh|baseline\.checkpoint"
    r"|baseline\.jvtc\.camera_styles|.*\.threads|compute\.micro_batch|evaluation\..*"
)


PATHS = path_keys(Study)


def known_profiles() -> list[str]:
    """Return the names of the profiles in `configs/`, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


class _Loader(yaml.SafeLoader):
    """Refuses what PyYAML takes for something else without a word: a key that stands twice in a mapping, of which it
    takes the last, and numbers such as 010 and 1:30, which it reads by base 8 and 60.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the mapping that begins here."""
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, key) is not key:
                raise ComposerError(
                    f"{key.value!r} is set here", first[key.value].start_mark, "and here again", key.start_mark
                )
        return node


def _plain_number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    if re.fullmatch(r"[-+]?0[0-9_]+|.*:.*", node.value):
        raise yaml.YAMLError(f"{node.value} is no plain number; write it in decimals, or in quotes if it is a name")
    whole = node.tag.endswith("int")
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


for _kind_of_number in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind_of_number}", _plain_number)


def _read_yaml(text: str) -> Any:
    """Return what a YAML text says. Raises YAMLError for everything that cannot be read, such as 2024-02-30."""
    try:
        return yaml.load(text, _Loader)
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(str(error)) from error


def load_study(profile: str, overrides: str | Sequence[str] = ()) -> Study:
    """Read a profile and return its validated settings.

    `profile` is a name in `configs/` or the path of a YAML file; `overrides` are `key=value` words, keys dotted
    (`joint.epochs=3`), values YAML; a string is split as a shell does. A value that is a path is taken literally,
    whatever its characters. A profile may say `extends: BASE`, the name of another in `configs/` or `configs/bases/` or
    the path of a YAML file from its own folder: it then states only what differs from that one, mapping by mapping. A
    list of names in the place of `variants` keeps those of the profile's. Relative paths count from the folder of the
    YAML file that holds them, those in overrides from the current folder; `~` is the home folder.

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
        raise ConfigError(explain(error, path, words)) from error


def described_study(profile: str, overrides: Sequence[str] = ()) -> Study:
    """Return `load_study` for what figures say of it: a study of real people is read without their pictures' folder."""
    try:
        return load_study(profile, overrides)
    except ConfigError:
        with suppress(ConfigError):
            return load_study(profile, [*overrides, "data_root=/not/given"])
        raise


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
    if key in PATHS and equals and value not in (*NO_PATH, *PATHS[key]):
        return f"{key}={placed(value, Path.cwd())}"
    inner = {path.removeprefix(f"{key}."): names for path, names in PATHS.items() if path.startswith(f"{key}.")}
    try:
        section = _read_yaml(value) if inner else None
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
    stated = {name: value for name, value in given.items() if value is not None}
    shipped = Study.model_validate({**_extended(path, _read_tree(path)), **stated})
    theirs, ours = (dict(_flat(each.model_dump(mode="json"))) for each in (shipped, study))
    left_out = tuple(f"variants.{name}." for name in shipped.variants.keys() - study.variants.keys())  # fewer trainings
    changed = [
        key
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key) and not FREE.fullmatch(key) and not key.startswith(left_out)
    ]
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
        tree = _read_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); save it anew in UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not readable YAML: {error}") from error
    if tree is None:
        raise ConfigError(
            f"{path} states no setting, as a file that was cut off; a profile states at least `extends: NAME` or `{{}}`"
        )
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; expected `key: value` lines")
    place_paths(tree, PATHS, path.parent)
    return tree


def _extended(path: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's settings over those of the one that it extends, if any, under the profile's own name."""
    if "profile" not in tree and not re.fullmatch(NAME, path.stem):
        raise ConfigError(
            f"{path}: {path.stem!r}, the file's name, cannot name folders of runs and figures: letters, digits, _, . "
            "and -, beginning with a letter or digit. Rename the file, or state `profile: NAME` in it"
        )
    return _over_base({"profile": path.stem, **tree}, [path])


def _over_base(tree: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    """Return settings over those that they extend; `files` end with the one that states them, each extends the next."""
    if "extends" not in tree:
        return tree
    path, name = files[-1], tree["extends"]
    known = {found.stem: found for folder in (BASES, PROFILES) for found in sorted(folder.glob("*.yaml"))}
    by_path = is_file_of_settings(str(name))
    base = Path(placed(str(name), path.parent)) if by_path else known.get(str(name))
    if base is None or not base.is_file():
        raise ConfigError(
            f"{path}: extends {name!r}, which is not there; expected one of {', '.join(sorted(known))}, or the path of "
            f"a YAML file from {path.parent}"
        )
    if any(map(base.samefile, files)):
        raise ConfigError(
            f"{path}: extends {name!r}, which is this file or one that extends it; give the profile below them"
        )
    below = _over_base(_read_tree(base), [*files, base])
    above = {key: value for key, value in tree.items() if key != "extends"}
    if isinstance(only := above.get("variants"), list):
        del above["variants"]
        _keep_variants(below, only, str(path))
    return _merged(below, above)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `above` over `below`; where both hold a mapping, so are its keys, unless it is another kind of network."""
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict) and not _another_kind(key, value, below[key])
    }
    return {**below, **above, **both}


def _another_kind(key: str, above: dict[str, Any], below: dict[str, Any]) -> bool:
    """Return whether a section states that its network is of another `kind`, whose settings have other names."""
    field = Study.model_fields.get(key)
    default = None if field is None else getattr(field.default, "kind", None)
    return default is not None and above.get("kind", default) != below.get("kind", default) and "kind" in above


def _variants(tree: dict[str, Any]) -> Any:
    """Return the variants of settings; of those that name none, the ones that every study has."""
    own = {name: each.model_dump(exclude_unset=True) for name, each in VARIANTS.items()}
    return tree.setdefault("variants", own)


def _keep_variants(tree: dict[str, Any], names: list[Any], where: str) -> None:
    """Keep those of the variants that are named, in their own order, and of `evaluation.fid_variants` likewise."""
    own, evaluation = _variants(tree), tree.setdefault("evaluation", {})
    if not isinstance(own, dict) or not isinstance(evaluation, dict):
        return  # what is wrong with them is told when they are read
    if unknown := [str(name) for name in names if name not in list(own)]:
        raise ConfigError(f"{where}: there is no variant {', '.join(unknown)} to keep, only {', '.join(own)}")
    shown = evaluation.get("fid_variants", EvaluationSettings.model_fields["fid_variants"].default)
    tree["variants"] = {name: each for name, each in own.items() if name in names}
    if isinstance(shown, list | tuple):
        evaluation["fid_variants"] = [name for name in shown if name in names or name not in list(own)]


def _override(tree: dict[str, Any], word: str) -> None:
    key, separator, value = word.partition("=")
    if not separator or not key:
        raise ConfigError(
            f"override {word!r} is not of the form key=value, as in joint.epochs=3, without blanks; a value that has "
            "blanks stands in quotes"
        )
    if key.startswith("variants."):  # of a profile that names none, one of those that every study has
        variants, (_, name, *inner) = _variants(tree), key.split(".")
        if inner not in ([], ["view"]) and isinstance(variants, dict) and name not in variants:
            raise ConfigError(
                f"override {word!r}: there is no variant {name!r}, only {', '.join(variants)}; a new one begins with "
                f"its view, as in variants.{name}.view=drawn, and its other settings come after"
            )
    if key in PATHS:
        return set_dotted(tree, key, None if value in NO_PATH else value)
    try:
        given = _read_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {word!r}: {value!r} is not readable YAML ({error})") from error
    if key == "variants" and isinstance(given, list):
        _keep_variants(tree, given, f"override {word!r}")
    else:
        set_dotted(tree, key, given)
