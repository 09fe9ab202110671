"""Runs made of the authors' checkpoints, and checkpoints for the authors' code made of runs (METHOD.md §2, D3, D17)."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gcl_core.config import STAGES
from gcl_core.files import RunError, hash_file, read_json
from gcl_core.given.folder import encoder_facts, holds_given
from gcl_core.layout import Layout
from gcl_core.models.checkpoints import read_encoder_checkpoint
from gcl_core.models.generator import Generator
from gcl_core.models.network import TrainedGenerator
from gcl_core.models.released import (
    Imported,
    export_discriminator,
    export_encoder,
    export_generator,
    read_released_discriminator,
    read_released_generator,
)
from gcl_core.models.weights import (
    build_discriminator,
    build_generator,
    load_discriminator,
    load_encoder,
    load_generator,
    save_weights,
)
from gcl_core.provenance import code_of
from gcl_core.run_folder import RunFolder, read_metrics

CPU = torch.device("cpu")


def import_run(
    layout: Layout, name: str, seed: int, *, encoder: Path, generator: Path | None, discriminator: Path | None
) -> Path:
    """Make `name` a finished run that holds the weights of files, and return its folder; does nothing when it is there.

    Its manifest names each file, its SHA-256, its layout and what of it was ignored. Raises RunError: a file that does
    not fit the study, a name that is a stage's, a folder that holds something else. Nothing is written then.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in STAGES:
        raise RunError(
            f"an import cannot be named {name!r}: take a word of small letters, digits and _ that is none of "
            f"{', '.join(STAGES)}. To train on from an encoder set baseline.method=checkpoint baseline.checkpoint=FILE"
        )
    study, folder = layout.study, layout.stage(name, seed)
    networks, imported = _read(layout, encoder, generator, discriminator)
    sections = {"identity_encoder", "picture", *imported} - {"encoder"}
    settings = study.model_dump(mode="json", include=sections)
    inputs = {kind: facts["sha256"] for kind, facts in imported.items()}
    if folder.is_dir() and any(folder.iterdir()):  # a kill may leave an empty one
        earlier = read_json(folder / "manifest.json") if (folder / "manifest.json").is_file() else {}
        if (earlier.get("settings"), earlier.get("inputs")) != (settings, inputs):
            raise RunError(f"{folder} holds another run; nothing there changed. Import under another name, or move it")
        if "finished" in earlier:
            return folder
    code = code_of("gcl_core.models.checkpoints")
    with RunFolder(folder, settings=settings, inputs=inputs, code=code, seed=seed, device=CPU) as run:
        for kind, network in networks.items():
            save_weights(network, run.path / f"{kind}.safetensors")
        run.finish(imported=imported)
    return folder


def _read(
    layout: Layout, encoder: Path, generator: Path | None, discriminator: Path | None
) -> tuple[dict[str, nn.Module], dict[str, dict[str, Any]]]:
    study = layout.study
    identity_encoder, facts = read_encoder_checkpoint(encoder, study)
    networks: dict[str, nn.Module] = {"encoder": identity_encoder}
    imported = {"encoder": facts}
    if generator is not None:
        network = _of_gcl(build_generator(study, identity_encoder.code_dim, seed=0))
        found = read_released_generator(generator, network, code_layout=study.identity_encoder.code_layout)
        networks["generator"], imported["generator"] = network, _facts(generator, found)
    if discriminator is not None:
        network = build_discriminator(study, seed=0)
        found = read_released_discriminator(discriminator, network)
        networks["discriminator"], imported["discriminator"] = network, _facts(discriminator, found)
    return networks, imported


def _of_gcl(generator: TrainedGenerator) -> Generator:
    if not isinstance(generator, Generator):
        raise RunError(
            f"GCL's files hold the published generator, these settings ask for a {type(generator).__name__}: set "
            "generator.kind=adain, or exchange the encoder alone"
        )
    return generator


def _facts(path: Path, found: Imported) -> dict[str, Any]:
    return {"file": path.name, "sha256": hash_file(path), "layout": found.layout, "ignored": list(found.ignored)}


def export_run(layout: Layout, folder: Path, out: Path, *, encoder_only: bool = False) -> list[Path]:
    """Write a run's networks as id_*.pt, gen_*.pt and dis_*.pt into `out`; returns the paths. The number is the epoch.

    A run without drawn views has an encoder only. Raises RunError: a network is missing, belongs to other settings or,
    a generator, was trained with code_layout "part" (D3); a file is there already. Nothing is written then.
    """
    study = layout.study
    layout_of_code = study.identity_encoder.code_layout
    drawn = (folder / "generator.safetensors").is_file() and not encoder_only
    encoder = load_encoder(study, folder, CPU)
    generator = _of_gcl(load_generator(study, folder, CPU)) if drawn else None
    discriminator = load_discriminator(study, folder, CPU) if drawn and _has_discriminator(folder) else None
    written = {"gen": generator, "dis": discriminator, "id": encoder}
    paths = {kind: out / f"{kind}_{_epoch(folder):08d}.pt" for kind, network in written.items() if network is not None}
    there = [str(path) for path in paths.values() if path.exists()]
    if there:
        raise RunError(f"{', '.join(there)} exist already and stay as they are; give another folder to --out")
    if generator is not None and layout_of_code == "part":
        raise RunError(
            f"{folder}: its generator was trained with identity_encoder.code_layout: part, and the released code would "
            "feed it the appearance code in another order (D3). Use a run of a profile with `fidelity: [D3]`, or "
            "export the encoder alone by --encoder-only"
        )
    export_encoder(encoder, paths["id"])  # first: it refuses what the released code does not know
    if generator is not None:
        export_generator(generator, paths["gen"], code_layout=layout_of_code)
    if discriminator is not None:
        export_discriminator(discriminator, paths["dis"])
    return list(paths.values())


def _has_discriminator(folder: Path) -> bool:
    return (folder / "discriminator.safetensors").is_file()


def _epoch(folder: Path) -> int:
    """Return the epoch whose weights a run or given weights hold; 0 where they say none, as an import."""
    if holds_given(folder):
        facts = encoder_facts(folder)
        kept, lines = facts["kept_epoch"], facts["epochs"]
    else:
        manifest = folder / "manifest.json"
        kept = read_json(manifest).get("kept_epoch") if manifest.is_file() else None
        lines = read_metrics(folder)
    return kept if isinstance(kept, int) else lines[-1]["epoch"] if lines else 0
