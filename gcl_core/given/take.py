"""A study that takes given weights: run folders whose manifest says `given`, made without training."""

import json
from pathlib import Path
from typing import Any

import torch

from gcl_core.config import ConfigError, Study, load_study
from gcl_core.data.person_set import load_person_set
from gcl_core.files import RunError, hash_file, read_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import other_settings
from gcl_core.models.packed import unpack_file
from gcl_core.models.weights import load_encoder, load_weights
from gcl_core.run_folder import RunFolder
from gcl_core.training.learners import Drawing

CPU = torch.device("cpu")
MANIFEST, STUDY = "manifest.json", "study.yaml"  # of a folder of weights
GIVEN = "given"  # of a run's manifest: the folder of weights that it was made of, their hashes, who trained them


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
    for stage, facts in runs.items():
        if stage in {"baseline", "warm_up", *study.variants} and (
            other := other_settings(study, stage, facts["settings"])
        ):
            raise ConfigError(
                f"{', '.join(other)}: the weights of {stage} in {shown(study.given_weights)} were trained with other "
                "settings there. Leave them as they are, or train the profile without given weights"
            )


def given_run(layout: Layout, stage: str, seed: int) -> Path | None:
    """Return the run folder of a stage or variant made of given weights; None where the study trains by itself.

    It holds the networks in float32, and the records of the epochs of the training that the weights come from, whose
    accuracies are measured anew. The optimisers of a warm-up are as at its start, since their moments are not given. A
    folder of other weights is set aside; a training is never replaced. Where the prepared pictures are others, to the
    bit, than those of the training, it says so.

    Raises ConfigError as `check_given` does. Raises RunError: no weights are given of this stage and seed, a file does
    not have its SHA-256, or the folder holds a training.
    """
    check_given(layout.study)
    source = layout.study.given_weights
    if source is None:
        return None
    known = read_manifest(source)
    if stage not in known["runs"] or seed != known["seed"]:
        raise RunError(
            f"{source} holds no weights of {stage}, seed {seed}; there are those of {', '.join(known['runs'])}, seed "
            f"{known['seed']}. Leave that variant out, or train the profile without given weights"
        )
    facts, files = known["runs"][stage], _checked(source, known, stage)
    folder = layout.stage(stage, seed)
    _leave_trainings_alone(folder, source)
    with RunFolder(
        folder,
        settings=facts["settings"],
        inputs=files,
        code={GIVEN: shown(source)},
        seed=facts["seed"],
        device=CPU,
        measured_by=None if stage == "warm_up" else GIVEN,  # by no evaluation of today: accuracies are measured anew
    ) as run:
        if not run.finished:
            for name in files:
                unpack_file(source / name, run.path / Path(name).name)
            if stage == "warm_up":
                _add_optimizers(layout, seed, run)
            write_text(run.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in facts["epochs"]))
            kept = {} if facts["kept_epoch"] is None else {"kept_epoch": facts["kept_epoch"]}
            run.finish(given={"weights": shown(source), "files": files, "trained": facts["trained"]}, **kept)
            print(f"{run.path}: weights given by {shown(source)}, nothing was trained", flush=True)
            if (here := load_person_set(layout).fingerprint) != known["data"]:
                print(
                    f"the pictures here (data {here}) are not to the bit those of that training (data {known['data']}),"
                    " as with other versions of libraries, another processor or another copy of the set. Accuracies "
                    "are measured on those here; the recorded clusters are of the others",
                    flush=True,
                )
    return run.path


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
    _checked(folder.parent, known, folder.name)
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


def _checked(source: Path, known: dict[str, Any], stage: str) -> dict[str, str]:
    files = {name: digest for name, digest in known["files"].items() if name.partition("/")[0] == stage}
    for name, digest in files.items():
        path = source / name
        if not path.is_file() or hash_file(path) != digest:
            raise RunError(
                f"{path} is missing or is not the file of {source / MANIFEST}: restore it, as by git checkout"
            )
    return files


def _leave_trainings_alone(folder: Path, source: Path) -> None:
    manifest = folder / "manifest.json"
    if manifest.is_file() and GIVEN not in read_json(manifest)["code"]:
        raise RunError(
            f"{folder} holds a training, and this study takes the weights of {source}; nothing there changed. Give "
            "this study a name of its own by profile=NAME"
        )


def _add_optimizers(layout: Layout, seed: int, run: RunFolder) -> None:
    study = layout.study
    encoder = load_encoder(study, layout.stage("baseline", seed), CPU)
    drawing = Drawing.start(study, study.warm_up, encoder.code_dim, run.seed, CPU)
    load_weights(drawing.generator, run.path / "generator.safetensors", CPU)
    load_weights(drawing.discriminator, run.path / "discriminator.safetensors", CPU)
    drawing.save(run.path)
