"""What finished runs of the three datasets' profiles hold, as records: accuracies and FID, and how runs were made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.evaluation.encoding import Encoding
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.found_runs import (
    Pair,
    adaptations,
    found_runs,
    headline_today,
    manifest,
    profile_folder,
    stage_one,
)
from gcl_core.measure.published import DATASETS
from gcl_core.measure.view_fid import kept_fid

STAGES = ("baseline", "tda", "gcl")
PLUS = "jvtc_plus"  # the baseline again, by looks and time stamps
ENCODED: tuple[Encoding, ...] = ("png", "jpeg75")
FLOOR = ("halves", "gallery")


def dataset_runs(layout: Layout) -> pd.DataFrame:
    """Return the record `dataset_runs`: one line per finished run, its accuracies in [0, 1] and how it was made."""
    pairs: list[Pair] = [*((dataset, None) for dataset in DATASETS), *adaptations(layout.study)]
    return pd.DataFrame([line for pair in pairs for stage in STAGES for line in _run_lines(layout, pair, stage)])


def _run_lines(layout: Layout, pair: Pair, stage: str) -> Iterator[dict[str, Any]]:
    for run in found_runs(layout, stage, pair):
        facts = manifest(run)
        size, joint = facts["settings"]["picture"], facts["settings"].get("joint", {})
        line = {
            **{"dataset": pair[0], "source": pair[1] or "", "stage": stage, "seed": int(run.name.removeprefix("seed"))},
            **{"size": f"{size['height']}x{size['width']}", "stage_one": stage_one(run)},
            "picked_on_test": joint.get("keep") == "best_on_test",
        }
        yield {**line, **_accuracy(headline_today(layout, run))}
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
    return ", ".join(words)


def dataset_fid(layout: Layout) -> pd.DataFrame:
    """Return the record `dataset_fid`: FID of GCL's views per dataset, seed, encoding (`kind`) and yaw.

    Seeds measured with another number of pictures than the first are left out. Where GCL was measured, also what real
    pictures get, without seed and yaw.
    """
    lines: list[dict[str, Any]] = []
    for dataset in DATASETS:
        found = [(run, result) for run in found_runs(layout, "gcl", (dataset, None)) if (result := kept_fid(run))]
        alike = [(run, result) for run, result in found if result["pictures"] == found[0][1]["pictures"]]
        for run, result in alike:
            facts = {"dataset": dataset, "seed": int(run.name.removeprefix("seed")), "pictures": result["pictures"]}
            for kind, views in result["views"].items():
                lines += [{**facts, "kind": kind, "yaw": int(yaw), "fid": each["fid"]} for yaw, each in views.items()]
        floor = profile_folder(layout, (dataset, None)) / "data" / "fid.json"
        if alike and floor.is_file():
            lines += _floor_lines(dataset, floor)
    return pd.DataFrame(lines)


def _floor_lines(dataset: str, path: Path) -> Iterator[dict[str, Any]]:
    for kind, found in read_json(path)["views"].items():
        yield {"dataset": dataset, "kind": kind, "fid": found["fid"], "pictures": found["pictures"]}
