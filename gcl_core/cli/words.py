"""What the words after a command mean: settings, the profile, and a run or stage by its name or folder."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcl_core.config import (
    REPOSITORY,
    ConfigError,
    Study,
    described_study,
    is_file_of_settings,
    known_profiles,
    load_study,
    settled,
)
from gcl_core.settings.paths import placed

if TYPE_CHECKING:
    from gcl_core.layout import Layout

Add = Callable[..., argparse.ArgumentParser]  # adds a command to the command line


def read_study(
    chosen: argparse.Namespace, words: Sequence[str], *, pictures: bool = True
) -> tuple[Study, str, list[str]]:
    """Return the validated settings, and the profile and overrides that give them in any folder.

    Who reads figures alone needs no `pictures`: a study of real people is then read without their folder.
    """
    names = [word for word in words if not is_setting(word)]
    if len(names) > 1:
        raise ConfigError(f"expected one profile and key=value words, got {' '.join(names)!r}")
    profile = names[0] if names else "mini"
    if getattr(chosen, "from_weights", False):
        profile = study_of_weights(profile)
    if is_file_of_settings(profile):
        profile = placed(profile, Path.cwd())
    overrides = [settled(word) for word in words if is_setting(word)]
    if getattr(chosen, "seeds", None):
        overrides.append(f"seeds={chosen.seeds}")
    study = load_study(profile, overrides) if pictures else described_study(profile, overrides)
    if study.given_weights is not None:
        from gcl_core.given.folder import check_given

        check_given(study)
    return study, profile, overrides


def is_setting(word: str) -> bool:
    """Return whether a word is `key=value`; the path of a YAML file may hold = as well."""
    key, equals, _ = word.partition("=")
    return bool(equals) and not (is_file_of_settings(word) and (os.sep in key or os.path.isfile(word)))


def split_name(words: Sequence[str], advice: str) -> tuple[str, list[str]]:
    """Return the last word that is no setting, such as a run's name, and all others, the profile among them.

    Raises ConfigError with `advice` when there is none.
    """
    names = [place for place, word in enumerate(words) if not is_setting(word)]
    if not names:
        raise ConfigError(advice)
    last = names[-1]
    return words[last], [*words[:last], *words[last + 1 :]]


def run_folder(layout: "Layout", name: str, seed: int | None) -> tuple[Path, int]:
    """Return the folder of a run and its seed: a word with / is a folder's path, any other a run's name in the profile.

    A folder's name says its seed, as in seed1 or seed1_repeat2; where none does it is `seed`, 0 if that is None. The
    manifest tells the draws of the training, which repeats and training_seed move. Raises ConfigError where the name
    says another seed than `seed`, and one that lists the known runs when there is no such run or folder.
    """
    if os.sep in name:
        if not os.path.isdir(name):
            raise ConfigError(f"no run folder {name}; give the path of one, as runs/mini/gcl/seed0, or a run's name")
        told = re.fullmatch(r"seed(\d+)([._].*)?", Path(name).resolve().name)
        own = int(told[1]) if told else seed or 0
        if seed not in (None, own):
            raise ConfigError(f"{name} is of seed {own}, --seed says {seed}: leave --seed out or give another folder")
        return Path(name), own
    study = layout.study
    made = {path.parent.parent.name for path in layout.runs.glob("*/seed*/manifest.json")}
    known = list(dict.fromkeys(["baseline", "warm_up", *study.variants, *sorted(made)]))
    if name in known:
        return layout.stage(name, seed or 0), seed or 0
    hint = f"; {name} is a profile: say the run as well" if name in known_profiles() else ""
    hint = f"; for the folder of that name in the current one write ./{name}" if os.path.isdir(name) else hint
    raise ConfigError(f"profile {study.profile} has no run {name!r}{hint}; known: {', '.join(known)}")


def study_of_weights(profile: str) -> str:
    """Return the path of the profile that takes the weights that come with another, `weights/PROFILE/study.yaml`.

    Raises ConfigError that lists the profiles with weights when there is none.
    """
    weights = REPOSITORY / "weights"
    path = weights / profile / "study.yaml"
    if is_file_of_settings(profile):
        raise ConfigError(f"--from-weights goes with the name of a profile, not with the file {profile}")
    if profile not in known_profiles():
        raise ConfigError(f"there is no profile {profile!r}; known: {', '.join(known_profiles())}")
    if not path.is_file():
        known = ", ".join(sorted(each.parent.name for each in weights.glob("*/study.yaml"))) or "none"
        raise ConfigError(f"no weights come with profile {profile}; profiles with weights in {weights}: {known}")
    return str(path)


def local_path(text: str) -> Path:
    """Read a path, `~` as the home folder: after = in --out=~/x no shell does that. Other names may begin with it."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text, as of a variable that is not set")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody of that name has a home
        return Path(text)


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def repetition(text: str) -> int:
    """Read the number of a seed, a whole one from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)
