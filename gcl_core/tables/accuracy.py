"""Retrieval accuracy: ours at each stage beside published numbers, transcriptions marked and kept apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import (
    ACCURACIES,
    finished_run,
    headline_epochs,
    headline_words,
    numbers,
    spread,
    start_of_stage_one,
    where,
)
from gcl_core.measure.found_runs import METHODS
from gcl_core.measure.published import DATASETS, published_accuracy

THIRD_PARTY_MARK = "†"
JointAccuracies = Sequence[Mapping[str, Any]]  # of the seeds: map, rank1, rank5, rank10 in [0, 1]
JOINT = "JVTC+ (looks and time stamps)"


def joint_accuracies(layout: Layout) -> JointAccuracies:
    """Return what JVTC baselines measured by looks and time together, per seed (`jvtc_plus` of their manifests).

    Empty when no baseline of the study did: another method, or file names without a time.
    """
    folders = [finished_run(layout, "baseline", seed) for seed in range(layout.study.seeds)]
    found = [read_json(folder / "manifest.json").get("jvtc_plus") for folder in folders]
    return [accuracy for accuracy in found if accuracy]


def joint_lines(joint: JointAccuracies) -> pd.DataFrame:
    """Return the record `jvtc_plus` of `joint_accuracies`."""
    return pd.DataFrame([{"seed": seed, **accuracy} for seed, accuracy in enumerate(joint)])


def recorded_joint(lines: pd.DataFrame) -> JointAccuracies:
    """Return the accuracies that the record `jvtc_plus` was made of."""
    return [{str(name): value for name, value in line.items()} for line in lines.to_dict("records")]


def accuracy_table(study: Study, records: pd.DataFrame, joint: JointAccuracies = ()) -> pd.DataFrame:
    """Return mAP and CMC in %: ours (start, baseline, TDA control, GCL; mean over seeds), then published.

    `records` are those of the baseline, `tda` and `gcl`, `joint` those of `joint_accuracies`. `epoch` says which epoch
    a row is of. Published rows read in their source come first; rows that are transcriptions on somebody else's page
    stand last and are marked †.
    """
    heads, start = headline_epochs(study, records), start_of_stage_one(records)
    ours = [(str(start["note"].iloc[0]), "start", start)] if len(start) else []  # the note says where it comes from
    ours.append((baseline_title(METHODS[study.baseline.method]), "last epoch", where(heads, stage="baseline")))
    if joint:
        ours.append((JOINT, "last epoch", pd.DataFrame([dict(accuracy) for accuracy in joint])))
    ours += [
        (study.variants[name].title, headline_words(study, name), where(heads, stage=name)) for name in ("tda", "gcl")
    ]
    rows: list[dict[str, Any]] = []
    for method, epoch, lines in ours:
        row = {"source": "ours", "method": method, "data": study.dataset, "epoch": epoch, "seeds": len(lines)}
        means = {title: 100 * numbers(lines, key).mean() for key, title in ACCURACIES.items()}
        rows.append({**row, **means, "± mAP": 100 * spread(numbers(lines, "map"))})
    for line in published_accuracy(study.dataset).to_dict("records"):
        third = line["status"] == "third-party"
        rows.append(
            {
                "source": "published, third-party" if third else "published, verified",
                "method": f"{line['method']} {THIRD_PARTY_MARK}" if third else line["method"],
                "data": line["dataset"],
                **{title: line["mAP" if key == "map" else key] for key, title in ACCURACIES.items()},
                "read in": line["source"],
            }
        )
    columns = ["source", "method", "data", "epoch", *ACCURACIES.values(), "± mAP", "seeds", "read in"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"})


def baseline_title(words: str) -> str:
    """Return a baseline's name in tables, by its method in words."""
    return f"baseline (stage 1: {words})"


def accuracy_reading(study: Study, records: pd.DataFrame, joint: JointAccuracies = ()) -> str:
    """Return a paragraph that reads the accuracies: what was learned from the start on, and how far to compare."""
    heads, start = headline_epochs(study, records), 100 * numbers(start_of_stage_one(records), "map")
    ends = {stage: 100 * numbers(where(heads, stage=stage), "map").mean() for stage in ("baseline", "gcl", "tda")}
    first = f"The baseline stands at {ends['baseline']:.1f} mAP"
    if len(start):
        first = (
            f"From {start.mean():.1f} mAP at the start the baseline reaches {ends['baseline']:.1f} "
            f"({ends['baseline'] / start.mean():.1f} times as much)"
        )
    epochs = list(dict.fromkeys(headline_words(study, name) for name in ("gcl", "tda")))
    sentences = [
        f"{first}; joint training has {ends['gcl']:.1f} and its control {ends['tda']:.1f} ({' and '.join(epochs)})."
    ]
    if joint:
        plus = 100 * float(np.mean([accuracy["map"] for accuracy in joint]))
        sentences.append(
            f"With time stamps beside looks the same baseline has {plus:.1f} mAP; no other row of ours uses them."
        )
    if study.dataset not in DATASETS:
        ours = "synthetic people" if study.dataset == "synthetic" else "a set of one's own"
        sentences.append(
            f"Ours are on {ours}: the published rows stand beside them for orientation, the numbers are not comparable."
        )
    sentences.append(
        f"Rows marked {THIRD_PARTY_MARK} are transcriptions on somebody else's page, not read in their source."
    )
    return " ".join(sentences)
