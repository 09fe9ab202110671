"""What finished runs of the three datasets' profiles hold, as records: accuracies and FID, and how runs were made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.found_runs import (
    Pair,
    adaptations,
    found_runs,
    headline_today,
    manifest,
    profile_folder,
    repeats_beside,
    stage_one,
)
from gcl_core.measure.handed_in import handed_in
from gcl_core.measure.published import DATASETS
from gcl_core.measure.view_fid import kept_fid
from gcl_core.run_folder import run_picture

STAGES = ("baseline", "tda", "gcl")
PLUS = "jvtc_plus"  # the baseline again, by looks and time stamps


def dataset_runs(layout: Layout) -> pd.DataFrame:
    """Return the record `dataset_runs`: one line per seed, its accuracies in [0, 1] and how it was made.

    Accuracies are means over the seed's repeats, where there are any.
    What was handed in (`results/`) stands for a dataset, or a pair of source and dataset, that has no run here.
    """
    pairs: list[Pair] = [*((dataset, None) for dataset in DATASETS), *adaptations(layout.study)]
    others = handed_in(layout)
    parts = [
        pd.DataFrame([line for stage in STAGES for line in _run_lines(layout, pair, stage)])
        if _has_run_here(layout, pair)
        else others[pair].runs
        for pair in pairs
        if _has_run_here(layout, pair) or pair in others
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _has_run_here(layout: Layout, pair: Pair) -> bool:
    return any(found_runs(layout, stage, pair) for stage in STAGES)


def _run_lines(layout: Layout, pair: Pair, stage: str) -> Iterator[dict[str, Any]]:
    for run in found_runs(layout, stage, pair):
        facts = manifest(run)
        size, joint = run_picture(run, facts["settings"]), facts["settings"].get("joint", {})
        line = {
            **{"dataset": pair[0], "source": pair[1] or "", "stage": stage, "seed": int(run.name.removeprefix("seed"))},
            **{"size": f"{size.height}x{size.width}", "stage_one": stage_one(run)},
            "picked_on_test": joint.get("keep") == "best_on_test",
        }
        ends = pd.DataFrame([_accuracy(headline_today(layout, each)) for each in repeats_beside(run)], dtype=float)
        yield {**line, **ends.mean().to_dict()}
        if stage == "baseline" and facts.get(PLUS):
            yield {**line, "stage": PLUS, **_accuracy(facts[PLUS])}


def _accuracy(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record.get(name) for name in ("map", "rank1", "rank5", "rank10")}


def describe(lines: pd.DataFrame) -> str:
    """Return in words how runs were made: picture size, seeds, a variant's stage 1, and the kept epoch if chosen."""
    first, count = lines.to_dict("records")[0], len(lines)
    words = [first["size"], f"{count} seed{'s' if count > 1 else ''}"]
    if first["stage"] not in ("baseline", PLUS):
        words.append(f"from {first['stage_one']}")
    if first["picked_on_test"]:
        words.append("epoch of best mAP on test")
    if first["handed_in"]:
        words.append(f"handed in as {first['handed_in']}")
    return ", ".join(words)


def dataset_fid(layout: Layout) -> pd.DataFrame:
    """Return the record `dataset_fid`: FID of GCL's views per dataset, seed, encoding (`kind`) and yaw.

    Seeds measured with another number of pictures than the first are left out. Where GCL was measured, also what real
    pictures get, without seed and yaw. What was handed in stands for a dataset that has no run here.
    """
    others = handed_in(layout)
    parts = [
        others[dataset, None].fid
        if (dataset, None) in others and not _has_run_here(layout, (dataset, None))
        else pd.DataFrame(_fid_lines(layout, dataset))
        for dataset in DATASETS
    ]
    return pd.concat(parts, ignore_index=True)


def _fid_lines(layout: Layout, dataset: str) -> Iterator[dict[str, Any]]:
    found = [(run, result) for run in found_runs(layout, "gcl", (dataset, None)) if (result := kept_fid(run))]
    alike = [(run, result) for run, result in found if result["pictures"] == found[0][1]["pictures"]]
    for run, result in alike:
        facts = {"dataset": dataset, "seed": int(run.name.removeprefix("seed")), "pictures": result["pictures"]}
        for kind, views in result["views"].items():
            yield from ({**facts, "kind": kind, "yaw": int(yaw), "fid": each["fid"]} for yaw, each in views.items())
    floor = profile_folder(layout, (dataset, None)) / "data" / "fid.json"
    if alike and floor.is_file():
        yield from _floor_lines(dataset, floor)


def _floor_lines(dataset: str, path: Path) -> Iterator[dict[str, Any]]:
    for kind, found in read_json(path)["views"].items():
        yield {"dataset": dataset, "kind": kind, "fid": found["fid"], "pictures": found["pictures"]}
