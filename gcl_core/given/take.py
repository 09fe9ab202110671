"""A study that takes given weights: run folders whose manifest says `given`, made without training."""

import json
from pathlib import Path

import torch

from gcl_core.data.person_set import load_person_set
from gcl_core.files import RunError, read_json, write_text
from gcl_core.given.folder import check_given, checked_files, read_manifest, shown
from gcl_core.layout import Layout
from gcl_core.models.packed import unpack_file
from gcl_core.models.weights import load_encoder, load_weights
from gcl_core.run_folder import RunFolder
from gcl_core.training.learners import Drawing

CPU = torch.device("cpu")
GIVEN = "given"  # of a run's manifest: the folder of weights that it was made of, their hashes, who trained them


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
    facts, files = known["runs"][stage], checked_files(source, known, stage)
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
