"""Accuracy and FID on Market-1501, DukeMTMC-reID and MSMT17: published values, and ours where they have been run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.measure.artifacts import ACCURACIES, numbers, where
from gcl_core.measure.found_runs import Pair, adaptations
from gcl_core.measure.published import DATASETS, UNSUPERVISED, published_values
from gcl_core.measure.three_datasets import PLUS, STAGES, describe
from gcl_core.tables.accuracy import JOINT, THIRD_PARTY_MARK, baseline_title
from gcl_core.tables.formats import NOT_RUN

ADAPTATION = "UDA from "  # and the source set's name, as paper_values.csv has it
SHOWN = {"map": ACCURACIES["map"], "rank1": ACCURACIES["rank1"]}  # of three datasets side by side no more has room
CELLS = {(data, key): f"{name} {title}" for data, name in DATASETS.items() for key, title in SHOWN.items()}
Row = dict[str, Any]


def dataset_accuracy_table(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Return mAP and rank-1 in % on the three datasets, one row per setting and method: published, then ours.

    First without labels, then with a labelled source set. Values read in their source come first, transcriptions on
    somebody else's page apart and marked †. Ours are means over the seeds in `runs`, the record `dataset_runs`; the
    column `runs` tells how they were made. A cell is blank where nothing was published, and says `not run` where ours
    is not there. Source of the published values: METHOD.md §10.
    """
    unlabelled: list[Pair] = [(dataset, None) for dataset in DATASETS]
    rows, pairs = [*_published(UNSUPERVISED), *_ours(study, runs, unlabelled)], adaptations(study)
    sources = dict.fromkeys(source for _, source in pairs)
    rows += [row for source in sources for row in _published(ADAPTATION + DATASETS[source])]
    rows += [row for dataset, source in pairs for row in _ours(study, runs, [(dataset, source)])]
    columns = ["setting", "source", "method", *CELLS.values(), "runs", "read in"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _published(setting: str) -> Iterator[Row]:
    """Yield the published rows of a setting: verified ones, then transcriptions."""
    values = [line for line in published_values().to_dict("records") if line["setting"] == setting]
    names = {name: dataset for dataset, name in DATASETS.items()}
    for status, mark in (("verified", ""), ("third-party", f" {THIRD_PARTY_MARK}")):
        for method in dict.fromkeys(line["method"] for line in values if line["status"] == status):
            lines = [line for line in values if (line["method"], line["status"]) == (method, status)]
            row: Row = {"setting": setting, "source": f"published, {status}", "method": f"{method}{mark}"}
            for line in lines:
                key = {"mAP": "map"}.get(line["metric"], line["metric"])
                if key in SHOWN:
                    row[CELLS[names[line["dataset"]], key]] = line["value"]
            yield {**row, "read in": "; ".join(dict.fromkeys(line["source"] for line in lines))}


def _ours(study: Study, lines: pd.DataFrame, pairs: list[Pair]) -> list[Row]:
    """Return our rows of a setting: baselines by method, JVTC+ where measured, TDA control, GCL."""
    found = {
        stage: {pair: where(lines, stage=stage, dataset=pair[0], source=pair[1] or "") for pair in pairs}
        for stage in (*STAGES, PLUS)
    }
    methods: dict[str, dict[Pair, pd.DataFrame]] = {}
    for pair, runs in found["baseline"].items():
        if len(runs):
            methods.setdefault(baseline_title(runs["stage_one"].iloc[0]), {})[pair] = runs
    rows = [_row(pairs, title, runs) for title, runs in (methods or {"baseline (stage 1)": {}}).items()]
    if any(map(len, found[PLUS].values())):
        rows.append(_row(pairs, JOINT, found[PLUS]))
    return rows + [_row(pairs, study.variants[name].title, found[name]) for name in ("tda", "gcl")]


def _row(pairs: list[Pair], method: str, runs: Mapping[Pair, pd.DataFrame]) -> Row:
    source = pairs[0][1]
    row: Row = {"setting": UNSUPERVISED if source is None else ADAPTATION + DATASETS[source], "source": "ours"}
    told = []
    for pair in pairs:
        lines = runs.get(pair, pd.DataFrame())
        for key in SHOWN:
            row[CELLS[pair[0], key]] = float(np.mean(100 * numbers(lines, key))) if len(lines) else NOT_RUN
        if len(lines):
            told.append(f"{DATASETS[pair[0]]}: {describe(lines)}")
    return {**row, "method": method, "runs": "; ".join(told)}


def dataset_accuracy_reading(study: Study, table: pd.DataFrame) -> str:
    """Return a paragraph that reads `dataset_accuracy_table`: ours beside published GCL, and what is not run."""
    titles = {name: study.variants[name].title for name in ("tda", "gcl")}
    sentences, missing = [], []
    for dataset, name in DATASETS.items():
        column = CELLS[dataset, "map"]
        ours = where(table, setting=UNSUPERVISED, source="ours")
        maps = {line["method"]: line[column] for line in ours.to_dict("records") if line[column] != NOT_RUN}
        if titles["gcl"] not in maps:
            missing.append(f"{name} (`./run_all.sh {dataset}`)")
            continue
        others = ", ".join(f"{method} {value:.1f}" for method, value in maps.items() if method != titles["gcl"])
        told = where(table, setting=UNSUPERVISED, method=f"GCL {THIRD_PARTY_MARK}")[column].iloc[0]
        sentences.append(
            f"On {name} GCL has {maps[titles['gcl']]:.1f} mAP ({others}); published {told:.1f} {THIRD_PARTY_MARK}."
        )
    if missing:
        sentences.append(f"Not run yet: {', '.join(missing)}. Their cells say so and hold no number.")
    adapted = where(table, source="ours").iloc[np.flatnonzero(where(table, source="ours")["setting"] != UNSUPERVISED)]
    ran = {line["setting"] for line in adapted.to_dict("records") if any(map(_is_number, line.values()))}
    adapted_words = f"ours has been run as {', '.join(sorted(ran))}" if ran else "nothing of ours has been run"
    sentences.append(f"With a labelled source set {adapted_words}.")
    return " ".join(sentences)


def _is_number(cell: object) -> bool:
    return isinstance(cell, float) and bool(np.isfinite(cell))
