"""How far rounding alone moves a result: one variant trained again from baselines that differ in the sixth digit."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from gcl_core.files import RunError, why
from gcl_core.layout import Layout
from gcl_core.models.weights import load_encoder, save_weights
from gcl_core.run_folder import SUPERSEDED, kept_line, read_metrics
from gcl_core.seeding import rng
from gcl_core.training.joint import train_jointly

TABLE = "repeats.csv"  # in the folder of the repeats
LINKED = ("data", "people", "warm_up")  # of the study, the same for every repeat
RELATIVE = 1e-6  # standard deviation of the change of a weight, as a share of it: about ten float32 roundings
SHOWN = {"map": ("mAP", 100), "rank1": ("rank-1", 100), "clusters": ("clusters", 1), "ari": ("ARI", 1)}


def train_repeats(layout: Layout, variant: str, seed: int, times: int, out: Path) -> pd.DataFrame:
    """Train a variant `times` times, each from the finished baseline of `seed` with its weights slightly changed.

    Every weight of the baseline's E_id is multiplied by 1 + RELATIVE z, z standard normal and drawn anew for each
    repeat; data, warm-up, and all that training draws stay the same. Each repeat has a root of its own, `out`/repeatN,
    so the study's own runs are not touched; a call that was stopped goes on.

    Returns one line per repeat (mAP and rank-1 in percent, clusters and ARI of the kept epoch, NaN where none is),
    then their mean and standard deviation. Raises RunError for fewer than two repeats, a folder `out` that is the
    study's own, holds other repeats or cannot be written, a missing baseline or warm-up, else as `train_jointly`. As
    there, whether those are of today's settings is for the caller to see (`required_runs`).
    """
    if times < 2:
        raise RunError(f"{times} repeat has no spread; ask for two or more, better five")
    _check_place(layout, variant, seed, out)
    frame = pd.DataFrame([_repeat(layout, variant, seed, place, out) for place in range(1, times + 1)])
    summary = pd.DataFrame([frame.mean(), frame.std()])
    names = [*(f"repeat {place}" for place in range(1, times + 1)), "mean", "standard deviation"]
    table = pd.concat([frame, summary], ignore_index=True)
    table.insert(0, variant, names)
    return table


def _check_place(layout: Layout, variant: str, seed: int, out: Path) -> None:
    """Raise RunError where repeats must not be written: among the study's own files, beside others, or no folder."""
    root, place = layout.root.resolve(), out.resolve()
    if place == root or any(place.is_relative_to(root / name) for name in ("runs", "figures")):
        raise RunError(f"{out} is where the study's own runs and figures lie; name another folder for the repeats")
    if others := _other_repeats(layout, variant, seed, out):
        raise RunError(f"{out} holds repeats of something else, {others[0]}; name another folder by --out")
    try:
        (out / "repeat1").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write repeats into {out}: {why(error, out)}; name another folder by --out") from error


def _other_repeats(layout: Layout, variant: str, seed: int, out: Path) -> list[Path]:
    """Return what a folder holds of repeats of another profile, variant or seed."""
    runs = [path for path in sorted(out.glob("repeat*/runs/*/*/seed*")) if path.parent.name not in LINKED]
    own = [(layout.study.profile, stage, f"seed{seed}") for stage in ("baseline", variant)]
    others = [path for path in runs if (*path.parts[-3:-1], path.name.partition(SUPERSEDED)[0]) not in own]
    table = out / TABLE
    if table.is_file() and table.read_text(encoding="utf-8", errors="replace").partition(",")[0] != variant:
        others.append(table)
    return others


def _repeat(layout: Layout, variant: str, seed: int, place: int, out: Path) -> dict[str, float]:
    own = replace(layout, root=out.resolve() / f"repeat{place}")
    for name in LINKED:
        if (layout.runs / name).is_dir():
            _link(own.runs / name, layout.runs / name)
    study = layout.of_seed(seed).study
    encoder = load_encoder(study, layout.stage("baseline", seed), torch.device("cpu"))
    draw = rng(seed, "perturbed start", place)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.mul_(1 + RELATIVE * torch.randn(weight.shape, generator=draw))
    save_weights(encoder, own.stage("baseline", seed) / "encoder.safetensors")
    run = train_jointly(own, variant, seed)
    line = kept_line(run, read_metrics(run))
    found = {key: float("nan") if line.get(key) is None else float(line[key]) for key in SHOWN}
    return {title: scale * found[key] for key, (title, scale) in SHOWN.items()}


def _link(path: Path, target: Path) -> None:
    """Make `path` a link to a folder of the study; a link to somewhere else, as of a moved checkout, is replaced."""
    if path.is_symlink():
        if path.resolve() == target.resolve():
            return
        path.unlink()
    elif path.exists():
        raise RunError(f"{path} is no link to {target}, as repeats need it; remove it, or name another folder by --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target.resolve(), target_is_directory=True)
