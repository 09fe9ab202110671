"""A folder of given weights: what it says of itself, and whether a study may take them."""

from pathlib import Path
from typing import Any

from gcl_core.config import ConfigError, Study, load_study
from gcl_core.files import RunError, hash_file, read_json
from gcl_core.measure.artifacts import other_settings

MANIFEST, STUDY = "manifest.json", "study.yaml"  # of a folder of weights


def check_given(study: Study) -> None:
    """Raise ConfigError where a study takes given weights that were trained on other people or seeds, or otherwise.

    Their runs keep the records of their training, whose clusters would be compared with other people. Raises RunError
    for a folder without weights.
    """
    if study.given_weights is None:
        return
    runs = read_manifest(study.given_weights)["runs"]
    own = {name: getattr(study, name) for name in ("data_root", "mesh_root")}  # where the taker has the pictures
    own |= {"source.data_root": study.source.data_root} if study.source else {}
    places = [f"{name}={path}" for name, path in own.items() if path is not None]
    known = load_study(str(study.given_weights / STUDY), places)
    others = {"dataset", "people", "seeds", "training_seed"}
    if changed := sorted(name for name in others if getattr(study, name) != getattr(known, name)):
        raise ConfigError(
            f"{', '.join(changed)}: the weights of {shown(study.given_weights)} come with the record of a training on "
            "other data or seeds. Leave these settings as they are, train the profile without given weights, or "
            "measure an encoder on other people by `python -m gcl_core evaluate`"
        )
    if without := [name for name in study.variants if name not in runs]:
        raise ConfigError(
            f"variants: {shown(study.given_weights)} holds no weights of {', '.join(without)}; leave them out, or "
            "train the profile without given weights"
        )
    for stage in ("baseline", "warm_up", *study.variants):
        if stage in runs and (other := other_settings(study, stage, runs[stage]["settings"])):
            raise ConfigError(
                f"{', '.join(other)}: the weights of {stage} in {shown(study.given_weights)} were trained with other "
                "settings there. Leave them as they are, or train the profile without given weights"
            )


def holds_given(folder: Path) -> bool:
    """Whether a folder is one stage's of given weights, as weights/mini/gcl."""
    manifest = folder.parent / MANIFEST
    return manifest.is_file() and folder.name in read_json(manifest).get("runs", {})


def encoder_facts(folder: Path) -> dict[str, Any]:
    """Return what the manifest of given weights says of the training of a stage's E_id, whose file is there.

    Raises RunError: the stage has none, or the file does not have its SHA-256.
    """
    known = read_manifest(folder.parent)
    if "encoder" not in (facts := known["runs"][folder.name]):
        raise RunError(f"{folder} holds no identity encoder, as a warm-up does not: give that of a baseline or variant")
    checked_files(folder.parent, known, folder.name)
    return facts["trained"] | facts


def read_manifest(source: Path) -> dict[str, Any]:
    """Return what a folder of weights says of itself. Raises RunError for a folder that is none."""
    if not (source / MANIFEST).is_file():
        raise RunError(f"{source} holds no weights: expected {MANIFEST} there, which `give-weights` writes")
    return read_json(source / MANIFEST)


def told(source: Path) -> str:
    """Return in words whose weights a folder gives, and which variants of the profile have none."""
    known = read_manifest(source)
    without = f"; there are none of {', '.join(known['without'])}: their rows are left out" if known["without"] else ""
    return f"given weights: {', '.join(known['runs'])} of profile {known['profile']}, seed {known['seed']}{without}"


def shown(source: Path) -> str:
    """Return how a folder of weights is named in figures and manifests: by its last two names."""
    return "/".join(source.parts[-2:])


def checked_files(source: Path, known: dict[str, Any], stage: str) -> dict[str, str]:
    """Return the files of a stage with their SHA-256. Raises RunError where one is not as the manifest says."""
    files = {name: digest for name, digest in known["files"].items() if name.partition("/")[0] == stage}
    for name, digest in files.items():
        path = source / name
        if not path.is_file() or hash_file(path) != digest:
            raise RunError(
                f"{path} is missing or is not the file of {source / MANIFEST}: restore it, as by git checkout"
            )
    return files
