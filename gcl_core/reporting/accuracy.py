"""Retrieval accuracy: ours at each stage beside published numbers, transcriptions marked and kept apart."""

from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.reporting.artifacts import ACCURACIES, last_epochs, numbers, spread, where
from gcl_core.reporting.published import DATASETS, published_accuracy

THIRD_PARTY_MARK = "†"


def accuracy_table(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return mAP and CMC in %: ours (start, baseline, TDA control, GCL; mean over seeds), then published.

    `records` are those of the baseline, `tda` and `gcl`. Published rows read in their source come first; rows that are
    transcriptions on somebody else's page stand last and are marked †.
    """
    start = "random initialisation" if study.identity_encoder.weights is None else "ImageNet initialisation"
    last = last_epochs(records)
    ours = {
        start: where(records, stage="baseline", epoch=0),
        "baseline (stage 1)": where(last, stage="baseline"),
        study.variants["tda"].title: where(last, stage="tda"),
        study.variants["gcl"].title: where(last, stage="gcl"),
    }
    rows: list[dict[str, Any]] = []
    for method, lines in ours.items():
        row = {"source": "ours", "method": method, "data": study.dataset, "seeds": len(lines)}
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
    columns = ["source", "method", "data", *ACCURACIES.values(), "± mAP", "seeds", "read in"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"})


def accuracy_reading(study: Study, records: pd.DataFrame) -> str:
    """Return a paragraph that reads the accuracies: what was learned from the start on, and how far to compare."""
    last = last_epochs(records)
    start = 100 * numbers(where(records, stage="baseline", epoch=0), "map").mean()
    ends = {stage: 100 * numbers(where(last, stage=stage), "map").mean() for stage in ("baseline", "gcl", "tda")}
    sentences = [
        f"From {start:.1f} mAP at the start the baseline reaches {ends['baseline']:.1f} "
        f"({ends['baseline'] / start:.1f} times as much); joint training ends at {ends['gcl']:.1f} and its control at "
        f"{ends['tda']:.1f}."
    ]
    if study.dataset not in DATASETS:
        ours = "synthetic people" if study.dataset == "synthetic" else "a set of one's own"
        sentences.append(
            f"Ours are on {ours}: the published rows stand beside them for orientation, the numbers are not comparable."
        )
    sentences.append(
        f"Rows marked {THIRD_PARTY_MARK} are transcriptions on somebody else's page, not read in their source."
    )
    return " ".join(sentences)
