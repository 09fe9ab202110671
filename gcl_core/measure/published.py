"""Published numbers beside which ours stand: `paper_values.csv`, its status column respected."""

import functools
from pathlib import Path

import pandas as pd

PAPER_VALUES = Path(__file__).with_name("paper_values.csv")
STATUS = ("verified", "third-party")  # read in its source; a transcription on somebody else's page
DATASETS = {"market1501": "Market-1501", "dukemtmc_reid": "DukeMTMC-reID", "msmt17": "MSMT17"}
UNSUPERVISED = "fully unsupervised"
FID_METRIC = "fid_yaw_"


@functools.cache
def published_values() -> pd.DataFrame:
    """Return the published numbers, tidy: method, dataset, setting, metric, value, source, status. Not to be changed.

    A test holds the file to what may be printed: each number finite, given once, and of a known status. Source:
    METHOD.md §10.
    """
    return pd.read_csv(PAPER_VALUES, dtype=str, keep_default_na=False).astype({"value": "float64"})


def published_value(method: str, metric: str) -> float:
    """Return one published number of Market-1501; KeyError when it is not in `paper_values.csv` or not the only one."""
    keys = zip(*(published_values()[name] for name in ("method", "dataset", "metric", "value")), strict=True)
    found = [value for *key, value in keys if key == [method, DATASETS["market1501"], metric]]
    if len(found) != 1:
        raise KeyError(f"{PAPER_VALUES.name} has {len(found)} values for {method}, {metric}; expected one")
    return float(found[0])


def published_fid() -> dict[str, dict[int, float]]:
    """Return the supplement's Table 1: dataset → yaw in degrees (45 ... 315) → FID."""
    values = published_values().to_dict("records")
    return {
        dataset: {
            int(line["metric"].removeprefix(FID_METRIC)): float(line["value"])
            for line in values
            if line["dataset"] == dataset and line["metric"].startswith(FID_METRIC)
        }
        for dataset in DATASETS.values()
    }


def published_accuracy(dataset: str) -> pd.DataFrame:
    """Return published unsupervised accuracies in %: method, dataset, source, status, mAP, rank1, rank5, rank10.

    `dataset` is a study's: `market1501` and so on; for a set on which nobody has published all three datasets are
    given. Verified rows come first, then third-party transcriptions. Numbers not known are NaN.
    """
    wanted = [DATASETS[dataset]] if dataset in DATASETS else list(DATASETS.values())
    rows: dict[tuple[int, int, str], dict[str, object]] = {}
    for line in published_values().to_dict("records"):
        if line["setting"] == UNSUPERVISED and line["dataset"] in wanted:
            key = (STATUS.index(line["status"]), wanted.index(line["dataset"]), str(line["method"]))
            row = rows.setdefault(key, {name: line[name] for name in ("method", "dataset", "source", "status")})
            row[line["metric"]] = line["value"]
    columns = ["method", "dataset", "source", "status", "mAP", "rank1", "rank5", "rank10"]
    return pd.DataFrame([rows[key] for key in sorted(rows)], columns=columns)
