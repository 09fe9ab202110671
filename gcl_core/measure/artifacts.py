"""What earlier notebooks left behind: finished run folders and their records, or an error that says who makes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.run_folder import read_metrics

MAKERS = {"baseline": "01_baseline", "warm_up": "03_generator_warm_up"}
ACCURACIES = {"map": "mAP", "rank1": "rank-1", "rank5": "rank-5", "rank10": "rank-10"}
TEXTS = ("stage", "note", "labels")  # the columns of a record that are no numbers


def require(path: Path, *, made_by: str) -> Path:
    """Return `path` if it exists; otherwise raise RunError that names the notebook (and parameters) that makes it."""
    if not path.exists():
        raise RunError(f"{path} is not there; it is made by {made_by}. Run that first, with the same profile")
    return path


def maker(stage: str, seed: int) -> str:
    """Return which notebook, with which parameters, makes the run folder of a stage or variant."""
    if stage in MAKERS:
        return f"notebooks/{MAKERS[stage]}.ipynb with seed={seed}"
    return f'notebooks/04_joint_training.ipynb with variant="{stage}" and seed={seed}'


def finished_run(layout: Layout, stage: str, seed: int) -> Path:
    """Return the run folder of a stage or variant that ran to its end with this study's settings.

    Raises RunError that says which notebook to run when it is missing, unfinished or made with other settings.
    """
    folder = layout.stage(stage, seed)
    facts = read_json(require(folder / "manifest.json", made_by=maker(stage, seed)))
    if "finished" not in facts:
        raise RunError(f"{folder} has not run to its end; run {maker(stage, seed)} again, it goes on where it stopped")
    ours, theirs = layout.study.of_variant(stage).model_dump(mode="json"), facts["settings"]
    other = sorted(key for key in theirs if key in ours and _differ(theirs[key], ours[key]))
    if other:
        raise RunError(f"{folder} was made with other settings of {', '.join(other)}; run {maker(stage, seed)} again")
    return folder


def _differ(recorded: Any, now: Any) -> bool:
    """Whether what a run recorded differs from the settings now; of a section it records what it used."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return any(key not in now or _differ(value, now[key]) for key, value in recorded.items())
    return recorded != now


def finished_runs(layout: Layout, stages: Sequence[str]) -> list[Path]:
    """Return the finished run folders of stages or variants for every seed of the study."""
    return [finished_run(layout, stage, seed) for stage in stages for seed in range(layout.study.seeds)]


def required_runs(layout: Layout, variant: str, seed: int) -> list[Path]:
    """Return the finished stages from which a variant starts: the baseline and, if it draws views, the warm-up.

    Raises RunError for an unknown variant, or as `finished_run` does.
    """
    variants = layout.study.variants
    if variant not in variants:
        raise RunError(f"no variant {variant!r} in profile {layout.study.profile!r}; known: {', '.join(variants)}")
    stages = ["baseline", "warm_up"] if variants[variant].needs_generator else ["baseline"]
    return [finished_run(layout, stage, seed) for stage in stages]


def records(layout: Layout, stages: Sequence[str], *, seeds: Iterable[int] | None = None) -> pd.DataFrame:
    """Return the epoch records of finished runs: columns stage, seed, epoch and what the stages record.

    All seeds of the study unless `seeds` are given. What a stage does not record is NaN. Raises RunError as
    `finished_run` does.
    """
    lines: list[dict[str, Any]] = []
    for stage in stages:
        for seed in range(layout.study.seeds) if seeds is None else seeds:
            metrics = read_metrics(finished_run(layout, stage, seed))
            lines += [{"stage": stage, "seed": seed, **line} for line in metrics]
    frame = pd.DataFrame(lines)
    return frame.astype({column: np.float64 for column in frame.columns if column not in TEXTS})


def where(frame: pd.DataFrame, **equal: object) -> pd.DataFrame:
    """Return the lines of a frame in which each named column has the given value."""
    mask = np.ones(len(frame), dtype=bool)
    for column, value in equal.items():
        mask &= frame[column].to_numpy() == value
    return frame.iloc[np.flatnonzero(mask)]


def numbers(frame: pd.DataFrame, column: str) -> Float64[np.ndarray, " n"]:
    """Return a column as numbers, NaN where there is none."""
    return np.asarray(frame[column], dtype=np.float64)


def last_epochs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's last epoch, for every stage and seed of `records`."""
    return _highest(frame, "epoch")


def headline_epochs(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Return each run's headline: its last epoch or, of a variant, the one whose weights its `joint.keep` keeps (D15).

    With `best_on_test` that is the first epoch of the best test mAP, never the start. Baseline and warm-up have no such
    choice.
    """
    variants = np.isin(frame["stage"].to_numpy().astype(str), picked_on_test(study))
    if not variants.any():
        return last_epochs(frame)
    measured = np.isfinite(numbers(frame, "map")) & (numbers(frame, "epoch") > 0)
    newest_first = frame.iloc[np.flatnonzero(variants & measured)].sort_values("epoch", ascending=False)
    others = last_epochs(frame.iloc[np.flatnonzero(~variants)])
    return pd.concat([others, _highest(newest_first, "map")]).sort_index()


def _highest(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return each run's line with the highest value of a column; of several, the one that stands last."""
    return frame.sort_values(column, kind="stable").drop_duplicates(["stage", "seed"], keep="last").sort_index()


def picked_on_test(study: Study) -> list[str]:
    """Return the variants whose headline is picked by the test set: by their own `changes`, else by the study."""
    return [name for name in study.variants if study.of_variant(name).joint.keep == "best_on_test"]


def headline_words(study: Study, variant: str | None = None) -> str:
    """Return in words which epoch is a variant's headline, or that of all variants, for tables and captions."""
    picked = picked_on_test(study)
    if variant is None and 0 < len(picked) < len(study.variants):
        return "last epoch or epoch of best mAP on test, as each variant says"
    return "epoch of best mAP on test" if (variant in picked if variant else picked) else "last epoch"


def spread(values: Float[np.ndarray, " n"]) -> float:
    """Return half the range over seeds; NaN for a single seed, about whose spread nothing is known."""
    return float(values.max() - values.min()) / 2 if len(values) > 1 else float("nan")


def training_identities(people: PersonSet) -> int:
    """Return the true number of people among the training pictures."""
    return int(people.index.loc[people.rows("train"), "pid"].nunique())


def named(name: str, seed: int) -> str:
    """Return a file's stem for a seed: seed 0 has the plain name, others carry theirs, so none overwrites another."""
    return name if seed == 0 else f"{name}_seed{seed}"


def promised(folder: Path, *names: str) -> str:
    """Return a sentence that the named files in `folder` exist and are not empty; RunError for one that is not.

    A name may be a pattern such as `figure2*`, which stands for all files that match and for at least one.
    """
    found: list[Path] = []
    for name in names:
        matches = sorted(folder.glob(name))
        if not matches or any(path.stat().st_size == 0 for path in matches):
            raise RunError(f"this notebook promised {name} in {folder}, but it is missing or empty")
        found += matches
    return f"In {folder.parent.name}/{folder.name}: {', '.join(path.name for path in found)}"
