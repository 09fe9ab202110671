"""Stage 1: warm up the identity encoder by the method that the study names, or take over a checkpoint (§5.1)."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.device import cpu_threads, resolve_device
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.models.checkpoints import read_encoder_checkpoint
from gcl_core.models.weights import save_weights
from gcl_core.parallel import on_devices, ranks
from gcl_core.provenance import code_of_stage, handed, measuring_of
from gcl_core.run_folder import RunFolder
from gcl_core.seeding import training_draws
from gcl_core.training.baselines.cluster_contrast.training import train_cluster_contrast
from gcl_core.training.baselines.jvtc.camera_styles import styles_fingerprint
from gcl_core.training.baselines.jvtc.training import train_jvtc
from gcl_core.training.baselines.source import pretrain_on_source
from gcl_core.training.baselines.tda import train_tda
from gcl_core.training.journal import Journal
from gcl_core.training.start import start_inputs

DECIDES = {  # the settings that each method learns by, besides its own
    "tda": {"clustering", "contrast", "augmentation", "devices"},
    "jvtc": {"augmentation"},
    "cluster_contrast": {"clustering", "augmentation"},
    "checkpoint": set[str](),
}
Method = Callable[[Layout, PersonSet, int, RunFolder, torch.device], dict[str, Any]]


@on_devices
def train_baseline(layout: Layout, seed: int) -> Path:
    """Warm up E_id and return the run folder; goes on where a killed run was, does nothing when done.

    With a source set, E_id learns that first (`pretrain_on_source`).
    Raises DataError without prepared data, ConfigError for more clusters than pictures, RunError for a folder in use or
    a broken checkpoint, TrainingError for a loss that is not finite.
    """
    layout = layout.of_seed(seed)
    people, whole, method = load_person_set(layout), layout, layout.study.baseline.method
    whole.study.check_pictures(len(people.rows("train")))
    if whole.study.source is not None:
        ranks.broadcast(lambda: pretrain_on_source(whole, seed))
    draws = training_draws(whole.study.training_seed, seed)
    sections = {"picture", "identity_encoder", "compute"} | DECIDES[method]
    own = {"baseline": {"method", method, "threads"}}
    trains = whole.study.of_stage("baseline")
    study, used = handed(trains, {**dict.fromkeys(sections, True), **own}, besides={"source"})
    layout, device = replace(layout, study=study), resolve_device(study.device)
    with (
        cpu_threads(study.baseline.threads),
        ranks.opened(
            RunFolder(
                layout.stage("baseline", seed),
                settings=used,
                inputs={"data": people.fingerprint, **start_inputs(layout, seed), **_read_besides(study)},
                code=code_of_stage(whole.study, "baseline"),
                seed=draws,
                device=device,
                measured_by=measuring_of(study),
            )
        ) as run,
    ):
        if not ranks.broadcast(lambda: run.finished):
            train = functools.partial(METHODS[method], layout, people, seed, run, device)
            facts = train() if method == "tda" else ranks.broadcast(train)  # the other methods train on one device
            if ranks.is_first:
                run.finish(**facts)
    return run.path


def take_over(layout: Layout, people: PersonSet, seed: int, run: RunFolder, device: torch.device) -> dict[str, Any]:
    """Make a given checkpoint the run's encoder; the manifest tells which and what of it was left out.

    Raises RunError for a file that is no checkpoint of the study's encoder.
    """
    study = layout.study
    assert study.baseline.checkpoint is not None  # the settings see to it
    encoder, facts = read_encoder_checkpoint(study.baseline.checkpoint, study)
    journal = Journal(run, f"baseline seed {seed}", 0, start=0)
    accuracy = accuracy_record(encoder.to(device), people, study.evaluation)
    journal.record(0, **accuracy, note=f"start: {study.baseline.checkpoint.name}")
    save_weights(encoder, run.path / "encoder.safetensors")
    journal.close()
    return {"checkpoint": facts}


def _read_besides(study: Study) -> dict[str, str]:
    """Return the hash of what a method reads beside the prepared data."""
    settings = study.baseline
    if settings.method == "jvtc" and settings.jvtc.camera_styles is not None:
        return {"camera_styles": styles_fingerprint(settings.jvtc.camera_styles)}
    if settings.method == "checkpoint" and settings.checkpoint is not None:
        return {"checkpoint": hash_file(settings.checkpoint) if settings.checkpoint.is_file() else "missing"}
    return {}


METHODS: dict[str, Method] = {
    "tda": train_tda,
    "jvtc": train_jvtc,
    "cluster_contrast": train_cluster_contrast,
    "checkpoint": take_over,
}
