"""What earlier notebooks left behind: finished run folders and their records, or an error that says who makes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from gcl_core.config import Study
from gcl_core.data.index import DataError
from gcl_core.data.person_set import PersonSet, load_person_set, stored_fingerprint
from gcl_core.data.source_set import source_layout
from gcl_core.data.sources import describe_source, list_source
from gcl_core.data.truth import load_truth
from gcl_core.files import RunError, hash_file, known_hash, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.outputs import seed_suffix
from gcl_core.provenance import code_of_stage, fingerprint, measuring_of
from gcl_core.records import RECORDS
from gcl_core.run_folder import kept_line, lacking, read_metrics, run_facts
from gcl_core.seeding import training_draws
from gcl_core.typed_frames import typed

MAKERS = {"source": "01_baseline", "baseline": "01_baseline", "warm_up": "03_generator_warm_up"}
NETWORKS = {"baseline": "encoder", "warm_up": "generator", "source": "encoder"}  # of a stage, that others start from
INPUTS = {  # of a run, when they are others now
    "data": "made of other data than are prepared now",
    **{name: f"trained from another {name} than lies there now" for name in (*NETWORKS, "checkpoint")},
    "weights": "trained from another file of weights than lies there now",
    "camera_styles": "trained on other camera styles than lie there now",
    "bodies": "trained on views of other bodies than lie there now",
    "true_views": "trained on other true views than lie there now",
}
ACCURACIES = {"map": "mAP", "rank1": "rank-1", "rank5": "rank-5", "rank10": "rank-10"}


def repeats_of(study: Study, stage: str) -> range:
    """Return the places of a stage's or variant's trainings on one seed; the stages before the variants have one."""
    return study.repeats_of(stage) if stage in study.variants else range(1)


def maker(stage: str, seed: int) -> str:
    """Return which notebook, with which parameters, makes the run folder of a stage or variant."""
    if stage in MAKERS:
        return f"notebooks/{MAKERS[stage]}.ipynb with seed={seed}"
    return f'notebooks/04_joint_training.ipynb with variant="{stage}" and seed={seed}'


def finished_run(layout: Layout, stage: str, seed: int, repeat: int = 0) -> Path:
    """Return the run folder of a stage or variant that ran to its end with today's settings, code and inputs.

    Raises RunError that says which notebook to run when it is missing, unfinished or made of anything else.
    """
    folder = layout.stage(stage, seed, repeat)
    if problem := run_problem(layout, stage, seed, repeat):
        raise RunError(f"{folder} {problem}")
    return folder


def run_problem(layout: Layout, stage: str, seed: int, repeat: int = 0) -> str | None:
    """Return why the run of a stage or variant cannot be used, with what to run, or None when it can.

    This decides for every reader of runs, and for the DAG, as a run folder's fingerprint decides for a training.
    """
    folder = layout.stage(stage, seed, repeat)
    if not (folder / "manifest.json").is_file():
        return f"is not there; it is made by {maker(stage, seed)}. Run that first, with the same profile"
    facts, again = run_facts(folder), f"run {maker(stage, seed)} again"
    if "finished" not in facts:
        return f"has not run to its end; {again}, it goes on where it stopped"
    if gone := lacking(folder, facts):
        return f"lacks {', '.join(gone)}; {again}, it goes on from the checkpoint that is left, or restore the file"
    if other := other_settings(layout.study, stage, facts["settings"]):
        return f"was made with other settings of {', '.join(other)}; {again}"
    if "imported" in facts:  # weights from elsewhere: no code of ours trained them
        return None
    if ("given" in facts) != (layout.study.given_weights is not None):
        holds, takes = ("given weights", "trains") if "given" in facts else ("a training", "takes given weights")
        return f"holds {holds}, and this study {takes}; give one of them a name of its own by profile=NAME"
    if "given" in facts:
        return _given_problem(layout.study, facts["given"], again)
    if facts["seed"] != training_draws(layout.study.training_seed, seed, repeat):
        return f"was made with other training draws (training_seed); {again}"
    before, now = facts.get("code", {}), code_of_stage(layout.study, stage)
    changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"was made with other code ({', '.join(changed[:3])}{more} changed since); {again}"
    for name, recorded in facts["inputs"].items():
        if _input_now(layout, stage, seed, name) not in (recorded, None):
            return f"was {INPUTS[name]}; {again}"
    start = layout.stage("source", seed)
    if stage == "baseline" and layout.study.source is not None and start.is_dir():  # else it lies on another machine
        problem = run_problem(layout, "source", seed)
        return problem and f"started from {start}, which {problem}"
    return None


def other_settings(study: Study, stage: str, recorded: dict[str, Any]) -> list[str]:
    """Return which sections of a study's settings differ from those that a run of a stage or variant recorded."""
    now = study.of_stage(stage).model_dump(mode="json")
    return sorted(key for key in recorded if key in now and _differ(recorded[key], now[key]))


def _input_now(layout: Layout, stage: str, seed: int, name: str) -> str | None:
    """Return the hash of an input as a training that began now would record it; None where it cannot be read here."""
    study, own = layout.study, source_layout(layout) if stage == "source" else layout.of_seed(seed)
    try:
        match name:
            case "data":
                return stored_fingerprint(read_json(own.store / "store.json"))
            case "camera_styles":
                styles = study.baseline.jvtc.camera_styles
                return None if styles is None else describe_source(list_source(styles))["sha256"]
            case "weights":
                from gcl_core.models.timm_trunk import weights_file  # here, as it takes torch

                path = weights_file(str(study.identity_encoder.weights))
            case "checkpoint":
                path = study.baseline.checkpoint
            case "bodies":
                path = own.bodies
            case "true_views":
                truth = load_truth(own)
                return truth and truth.fingerprint
            case _:
                path = layout.stage(name, seed) / f"{NETWORKS[name]}.safetensors"
        return None if path is None else known_hash(path)
    except (DataError, RunError):  # as on another machine
        return None


def _given_problem(study: Study, given: dict[str, Any], again: str) -> str | None:
    """Return why a run of given weights is not of those that lie in the study's folder of weights now."""
    assert study.given_weights is not None
    for name, digest in given["files"].items():
        path = study.given_weights / name
        if not path.is_file() or known_hash(path) != digest:
            return f"was made of another {path} than lies there now; {again}"
    return None


def _differ(recorded: Any, now: Any) -> bool:
    """Whether what a run recorded differs from the settings now; of a section it records what it used."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return any(key not in now or _differ(value, now[key]) for key, value in recorded.items())
    return recorded != now


def finished_runs(layout: Layout, stages: Sequence[str]) -> list[Path]:
    """Return the finished run folders of stages or variants for every seed of the study, repeats among them."""
    seeds = range(layout.study.seeds)
    return [
        finished_run(layout, stage, seed, repeat)
        for stage in stages
        for seed in seeds
        for repeat in repeats_of(layout.study, stage)
    ]


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

    All seeds of the study unless `seeds` are given. Numbers of a variant that was trained several times on a seed are
    means over its repeats. It has the types of the record `epochs`: what a stage does not record is NaN, a text that is
    not there is blank. Raises RunError as `finished_run` does.
    """
    lines: list[dict[str, Any]] = []
    for stage in stages:
        for seed in range(layout.study.seeds) if seeds is None else seeds:
            repeats = [
                measured_today(layout, seed, finished_run(layout, stage, seed, repeat))
                for repeat in repeats_of(layout.study, stage)
            ]
            lines += [{"stage": stage, "seed": seed, **line} for line in map(_mean, zip(*repeats, strict=True))]
    return typed(pd.DataFrame(lines), RECORDS["epochs"][1])


def _mean(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one epoch's line, its numbers as means over the repeats: what one of them lacks is left out."""
    if len(lines) == 1:
        return lines[0]
    known = [key for key in lines[0] if all(line.get(key) is not None for line in lines)]
    return {
        key: float(np.mean([line[key] for line in lines])) if isinstance(lines[0][key], float | int) else lines[0][key]
        for key in known
    } | {"epoch": lines[0]["epoch"]}


def repeated(layout: Layout) -> pd.DataFrame:
    """Return the record `repeats`: what each training of each variant ends with, one line per variant, seed and repeat.

    Raises RunError as `finished_run` does.
    """
    study, lines = layout.study, []
    for variant in study.variants:
        for seed in range(study.seeds):
            for repeat in study.repeats_of(variant):
                run = finished_run(layout, variant, seed, repeat)
                kept = kept_line(run, measured_today(layout, seed, run))
                facts = {"variant": variant, "seed": seed, "repeat": repeat}
                lines.append(facts | {name: kept.get(name) for name in ("map", "rank1", "clusters", "ari")})
    return typed(pd.DataFrame(lines), RECORDS["repeats"][1])


def measured_today(layout: Layout, seed: int, run: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics with accuracies as today's evaluation measures them.

    Where the evaluation changed since the run was trained, the kept epoch is measured anew from its weights, which is
    remembered in `accuracy.json`. Weights of other epochs are not kept: their accuracies are left out.
    """
    lines, facts = read_metrics(run), read_json(run / "manifest.json")
    measuring = measuring_of(layout.study)
    if facts.get("measured_by") in (measuring, None) or not lines:
        return lines
    own = layout.of_seed(seed)
    people, kept = load_person_set(own), run / "accuracy.json"
    identity = fingerprint([measuring, hash_file(run / "encoder.safetensors"), people.fingerprint])
    again = read_json(kept) if kept.is_file() else {}
    if again.get("identity") != identity:
        # here, as they take torch, and planning a study does without
        from gcl_core.device import resolve_device
        from gcl_core.evaluation.accuracy import accuracy_record
        from gcl_core.models.weights import load_encoder

        encoder = load_encoder(layout.study, run, resolve_device(layout.study.device))
        again = {"identity": identity, "accuracy": accuracy_record(encoder, people, layout.study.evaluation)}
        write_json(kept, again)
    epoch = facts.get("kept_epoch", lines[-1]["epoch"])
    bare = [{name: value for name, value in line.items() if name not in ACCURACIES} for line in lines]
    return [line | again["accuracy"] if line["epoch"] == epoch else line for line in bare]


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

    With `best_on_test` that is the first epoch of the best test mAP, never the start; with repeats, of their mean mAP.
    Baseline and warm-up have no such choice.
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


def start_of_stage_one(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the baselines' lines before their first epoch, with their accuracies; none where these are not known.

    A checkpoint taken over has no start of its own; that of a given baseline, or of one whose evaluation changed since,
    was not measured.
    """
    baseline = where(frame, stage="baseline")
    start = where(baseline, epoch=0)
    whole = numbers(baseline, "epoch").max(initial=0) > 0 and bool(np.isfinite(numbers(start, "map")).all())
    return start if whole else start.iloc[:0]


def start_of_training(frame: pd.DataFrame) -> pd.DataFrame:
    """Return TDA's first epoch of every seed: its clusters are those of the finished baseline, like any variant's.

    A baseline's own last clustering is that of its encoder one epoch before the end.
    """
    return where(frame, stage="tda", epoch=1)


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
    return name + seed_suffix(seed)


def promised(folder: Path, *names: str) -> str:
    """Return a sentence that the named files in `folder` exist and are not empty; RunError for one that is not.

    A name may be a pattern such as `figure2*`, which stands for all files that match and for at least one.
    """
    if not names:
        return "This profile keeps no file of this notebook."
    found: list[Path] = []
    for name in names:
        matches = sorted(folder.glob(name))
        if not matches or any(path.stat().st_size == 0 for path in matches):
            raise RunError(f"this notebook promised {name} in {folder}, but it is missing or empty")
        found += matches
    return f"In {folder.parent.name}/{folder.name}: {', '.join(path.name for path in found)}"
