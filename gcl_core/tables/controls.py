"""What every variant reaches beside random weights and the baseline."""

from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.measure.artifacts import headline_epochs, numbers, spread, start_of_stage_one, start_of_training, where
from gcl_core.tables.repeats import COUNTED, SPREAD, repeat_columns

BASELINE = "baseline (and E_id frozen in stage 3, by construction)"


def controls_table(study: Study, records: pd.DataFrame, repeats: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy (%) and clusters of random weights, the baseline and every variant: means over seeds.

    `records` are those of the baseline and all variants; a variant's are means over its `repeats`, whose own spread
    stands beside mAP. `±` is half the range over seeds, blank for one. With E_id
    frozen in stage 3 accuracy is that of the baseline; its clusters are those of the finished baseline, with which
    every variant starts. There is no row of random weights where their accuracy is not known (`start_of_stage_one`).
    """
    heads, start = headline_epochs(study, records), start_of_stage_one(records)
    parts = {BASELINE: where(heads, stage="baseline"), **{name: where(heads, stage=name) for name in study.variants}}
    if len(start):
        parts = {str(start["note"].iloc[0]): start, **parts}
    accuracy, clusters = (
        {"map": ("mAP", 100), "rank1": ("rank-1", 100)},
        {"clusters": ("clusters", 1), "ari": ("ARI", 1)},
    )
    rows = []
    for name, lines in parts.items():
        trained = study.variants.get(name)
        row: dict[str, Any] = {"variant": trained.title if trained else name, "seeds": len(lines)}
        if trained:
            row |= repeat_columns(repeats, name)
        clustered = start_of_training(records) if name == BASELINE else lines
        for measured_on, columns in ((lines, accuracy), (clustered, clusters)):
            for column, (title, scale) in columns.items():
                values = scale * numbers(measured_on, column)
                row |= {title: values.mean(), f"± {title}": spread(values)}
        rows.append(row)
    columns = ["variant", "seeds", COUNTED, "mAP", SPREAD, "± mAP"]
    frame = pd.DataFrame(rows).astype({"seeds": "Int64", COUNTED: "Int64"})
    return frame.reindex(columns=[*columns, *(name for name in frame if name not in columns)])
