"""Writes the trained networks of a finished profile into a folder that a study can take in the place of training."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.files import RunError, hash_file, read_json, why, write_json, write_text
from gcl_core.given.card import model_card
from gcl_core.given.folder import MANIFEST, STUDY
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, measured_today
from gcl_core.models.packed import Bits, pack_file, unpack_file
from gcl_core.models.weights import load_encoder
from gcl_core.run_folder import kept_line

VARIANTS = ("gcl", "tda", "surface")  # whose networks are given, where a profile has them
SEED = 0
MOST = 10e6  # bytes, of all files together
BOUND = 0.1  # points by which mAP may move when weights are kept in fewer bits
FID_PICTURES = 16  # a view, so that a study with given weights takes minutes; the tables say so
ORIGIN = ("fingerprint", "git_revision", "python", "packages", "processor", "kernels", "device", "threads", "finished")
BITS: tuple[Bits, ...] = (8, 16)  # tried in this order
CPU = torch.device("cpu")


def give_weights(layout: Layout, out: Path) -> list[Path]:
    """Write the networks of a finished study, seed 0, into `out` and return the files, the manifest last.

    These are the encoder of the baseline and of each of VARIANTS, and the generators of the warm-up and of GCL, in 8
    bits, or in 16 where mAP would move by more than BOUND points. `manifest.json` has the SHA-256 of every file, and of
    each run its settings, epochs and versions; `study.yaml` is the profile that takes the weights; README.md the model
    card. Raises RunError as `finished_run` does, where there is something already that is no empty folder, and when it
    takes more than MOST bytes or mAP moves too far: nothing is left there then.
    """
    out = out.resolve()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"{out} is no empty folder and stays as it is; remove it, or give another folder to --out")
    stages = ["baseline", "warm_up", *(name for name in VARIANTS if name in layout.study.variants)]
    own = layout.of_seed(SEED)
    people = load_person_set(own)
    with tempfile.TemporaryDirectory(dir=_parent(out)) as folder:
        made = Path(folder) / out.name
        runs = {stage: _run(own, people, stage, made) for stage in stages}
        write_text(made / STUDY, described(given_study(layout.study, stages)))
        files = {path.relative_to(made).as_posix(): hash_file(path) for path in sorted(made.glob("*/*.safetensors"))}
        left_out = [name for name in layout.study.variants if name not in stages]
        facts = {"profile": layout.study.profile, "seed": SEED, "data": people.fingerprint, "without": left_out}
        write_json(made / MANIFEST, {**facts, "files": files, "runs": runs})
        write_text(made / "README.md", model_card(layout.study, read_json(made / MANIFEST), _sizes(made)))
        size = sum(_sizes(made).values())
        if size > MOST:
            raise RunError(f"the weights take {size / 1e6:.1f} MB, at most {MOST / 1e6:.0f} MB are allowed: give fewer")
        try:
            if out.is_dir():
                out.rmdir()
            made.rename(out)
        except OSError as error:
            raise RunError(
                f"cannot write {out}: {error.strerror}; if another call wrote it meanwhile, it stays as it is"
            ) from error
    return [*(out / name for name in files), out / STUDY, out / "README.md", out / MANIFEST]


def described(study: Study) -> str:
    """Return the profile that takes weights as YAML, without the places of this machine where the pictures lie."""
    places = {"data_root": True, "mesh_root": True, "source": {"data_root": True}}
    return yaml.safe_dump(study.model_dump(mode="json", exclude=places) | {"given_weights": "."}, sort_keys=False)


def given_study(study: Study, stages: list[str]) -> Study:
    """Return a study with the variants whose weights are given, one seed, under a name of its own."""
    evaluation = study.evaluation.model_copy(update={"fid_variants": ("gcl",), "fid_pictures": FID_PICTURES})
    variants = {
        name: each.model_copy(update={"repeats": None}) for name, each in study.variants.items() if name in stages
    }
    return study.model_copy(
        update={
            **{"profile": f"{study.profile}_given", "seeds": 1, "repeats": 1},
            **{"variants": variants, "evaluation": evaluation},
        }
    )


def _parent(out: Path) -> Path:
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write in {out.parent}: {why(error, out.absolute().parent)}") from error
    return out.absolute().parent


def _sizes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def _run(layout: Layout, people: PersonSet, stage: str, made: Path) -> dict[str, Any]:
    """Pack a run's networks and return what the manifest says of it."""
    run = finished_run(layout, stage, SEED)
    manifest, epochs = read_json(run / "manifest.json"), measured_today(layout, SEED, run)
    facts: dict[str, Any] = {"settings": manifest["settings"], "seed": manifest["seed"]}
    facts |= {"kept_epoch": manifest.get("kept_epoch"), "epochs": epochs}
    facts["trained"] = {name: manifest.get(name) for name in ORIGIN}
    if stage != "warm_up":
        facts["encoder"] = _encoder(layout, people, run, made / stage, 100 * kept_line(run, epochs)["map"])
    for name in _drawing_networks(layout.study, stage):
        pack_file(run / f"{name}.safetensors", made / stage / f"{name}.safetensors", 8)
    return facts


def _encoder(layout: Layout, people: PersonSet, run: Path, made: Path, trained: float) -> dict[str, Any]:
    """Pack E_id in as few bits as keep its mAP; return how many, and mAP and rank-1 in percent."""
    name, moved = "encoder.safetensors", list[float]()
    for bits in BITS:
        with tempfile.TemporaryDirectory() as folder:
            pack_file(run / name, made / name, bits)
            unpack_file(made / name, Path(folder) / name)
            accuracy = accuracy_record(load_encoder(layout.study, Path(folder), CPU), people, layout.study.evaluation)
        moved.append(100 * accuracy["map"] - trained)
        if abs(moved[-1]) <= BOUND:
            return {
                "bits": bits,
                "map_trained": trained,
                "map": 100 * accuracy["map"],
                "rank1": 100 * accuracy["rank1"],
            }
    raise RunError(
        f"{run}: in fewer bits its encoder's mAP moves by {', '.join(f'{each:+.2f}' for each in moved)} points; at "
        f"most {BOUND} are allowed"
    )


def _drawing_networks(study: Study, stage: str) -> Iterator[str]:
    if stage == "warm_up" or (stage in study.variants and study.variants[stage].view == "drawn"):
        yield "generator"
    if stage == "warm_up":
        yield "discriminator"  # the notebook that takes one step by hand starts from it
