"""Finished runs of the three datasets' profiles, read from their folders alone: their pictures need not be at hand."""

import re
from pathlib import Path
from typing import Any

from gcl_core.config import Study
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import measured_today
from gcl_core.measure.published import DATASETS
from gcl_core.run_folder import kept_line, read_metrics, run_facts

METHODS = {  # of stage 1, by its setting
    "tda": "TDA contrast",
    "jvtc": "JVTC",
    "cluster_contrast": "cluster-level memory",
    "checkpoint": "checkpoint",
}

Pair = tuple[str, str | None]  # dataset, and the labelled source set of domain adaptation
PROFILES: dict[Pair, str] = {
    **{(dataset, None): dataset for dataset in DATASETS},
    ("market1501", "dukemtmc_reid"): "duke2market",
    ("dukemtmc_reid", "market1501"): "market2duke",
}


def own_pair(study: Study) -> Pair:
    """Return the dataset and source set of a study."""
    return study.dataset, study.source.dataset if study.source else None


def adaptations(study: Study) -> list[tuple[str, str]]:
    """Return the pairs of dataset and source set to report: those published, and the study's own among the three."""
    pairs = [(dataset, source) for dataset, source in [*PROFILES, own_pair(study)] if source is not None]
    return [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(DATASETS)]


def profile_folder(layout: Layout, pair: Pair) -> Path:
    """Return where runs of a pair lie under this root: in the study's own profile if it is of that pair."""
    own = own_pair(layout.study) == pair
    return layout.root / "runs" / (layout.study.profile if own else PROFILES[pair])


def found_runs(layout: Layout, stage: str, pair: Pair) -> list[Path]:
    """Return the finished run folders of a stage or variant, a seed each and all with the settings of the first.

    Of the study's own profile the seeds of the study, of another whatever seeds are there. Empty when the profile's
    store says that it holds another dataset, or its baseline has a source set and none is meant, or the reverse.
    """
    folder = profile_folder(layout, pair)
    store = folder / "data" / "store.json"  # absent where only runs were copied to
    if store.is_file() and read_json(store)["settings"]["dataset"] != pair[0]:
        return []
    runs, settings = [], None
    for seed in _seeds(layout, folder / stage, own=own_pair(layout.study) == pair):
        run, baseline = folder / stage / f"seed{seed}", folder / "baseline" / f"seed{seed}"
        facts, start = manifest(run), manifest(baseline)
        if "finished" not in facts or "finished" not in start:
            continue
        if ("source" in start["inputs"]) != (pair[1] is not None):
            continue
        settings = settings or facts["settings"]
        if facts["settings"] == settings:
            runs.append(run)
    return runs


def repeats_beside(run: Path) -> list[Path]:
    """Return a seed's first training and its finished repeats of the same settings, which lie beside it."""
    wanted = manifest(run)["settings"]
    others = [(path, manifest(path)) for path in sorted(run.parent.glob(f"{run.name}_repeat*"))]
    named = re.compile(rf"{run.name}_repeat\d+")
    alike = [path for path, facts in others if "finished" in facts and facts["settings"] == wanted]
    return [run, *(path for path in alike if named.fullmatch(path.name))]


def runs_of_the_datasets(layout: Layout) -> list[Path]:
    """Return all finished baselines, controls and GCL runs that the tables of the three datasets are made from."""
    pairs: list[Pair] = [*((dataset, None) for dataset in DATASETS), *adaptations(layout.study)]
    seeds = [run for pair in pairs for stage in ("baseline", "tda", "gcl") for run in found_runs(layout, stage, pair)]
    return [run for seed in seeds for run in repeats_beside(seed)]


def _seeds(layout: Layout, folder: Path, *, own: bool) -> list[int]:
    """Return seeds in order; folders set aside as `seed0.superseded-...` are none."""
    found = [int(path.name[4:]) for path in folder.glob("seed*") if re.fullmatch(r"seed\d+", path.name)]
    return sorted(seed for seed in found if not own or seed < layout.study.seeds)


def manifest(run: Path) -> dict[str, Any]:
    """Return a run folder's manifest, empty where there is none."""
    return run_facts(run) if (run / "manifest.json").is_file() else {}


def headline(run: Path) -> dict[str, Any]:
    """Return the record of the epoch whose weights a finished run keeps: the last, or the best on test (D15).

    Raises RunError for a run whose records are missing.
    """
    return kept_line(run, read_metrics(run))


def headline_today(layout: Layout, run: Path) -> dict[str, Any]:
    """Return `headline` with accuracies as today's evaluation measures them, where the run is of this study's profile.

    Of another profile the pictures need not be here: there it is what the run recorded.
    """
    kept = headline(run)
    if not run.is_relative_to(layout.runs):
        return kept
    seed = int(run.name.removeprefix("seed").partition("_")[0])  # a repeat's folder is seed0_repeat1
    lines = measured_today(layout, seed, run)
    return next(line for line in lines if line["epoch"] == kept["epoch"])


def stage_one(run: Path) -> str:
    """Return by which method the baseline of a run's seed was trained, in words."""
    settings = manifest(run.parents[1] / "baseline" / run.name)["settings"]
    method = str(settings.get("baseline", {}).get("method", "unknown"))
    return METHODS.get(method, method)
