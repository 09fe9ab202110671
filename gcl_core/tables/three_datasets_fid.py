"""Supplement Table 1 on the three datasets: published FID per view, and ours where it has been measured (§7.1)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.measure.artifacts import numbers, where
from gcl_core.measure.published import DATASETS, published_fid
from gcl_core.measure.three_datasets import describe
from gcl_core.tables.fid import ENCODINGS, VIEW_COLUMNS, order_cells, view_cells
from gcl_core.tables.formats import NOT_RUN

FLOORS = {"halves": "real against other real", "gallery": "real gallery against real"}


def dataset_fid_table(study: Study, runs: pd.DataFrame, fid: pd.DataFrame) -> pd.DataFrame:
    """Return FID of GCL's drawn views per yaw on the three datasets: published, then ours in both encodings.

    `runs` and `fid` are the records `dataset_runs` and `dataset_fid`. Ours are means over seeds, with what real
    pictures get against real ones. `not run` stands where ours has not been measured; the paper gives neither encoding
    nor 0°.
    """
    rows: list[dict[str, Any]] = [
        {"source": "published", "method": "GCL", "data": name, **view_cells(values)}
        for name, values in published_fid().items()
    ]
    for dataset, name in DATASETS.items():
        lines, measured = where(fid, dataset=dataset), _measured(fid, dataset)
        for encoding, title in ENCODINGS.items():
            row = {"source": "ours", "method": study.variants["gcl"].title, "data": name, "encoding": title}
            row |= dict.fromkeys(VIEW_COLUMNS, NOT_RUN)
            if encoding in measured:
                made = where(runs, dataset=dataset, source="", stage="gcl")
                made = made.iloc[np.flatnonzero(np.isin(made["seed"], list(lines["seed"].dropna())))]
                row |= {"pictures": lines["pictures"].iloc[0], "runs": describe(made), **view_cells(measured[encoding])}
            rows.append(row)
        for kind, title in FLOORS.items():
            found = where(lines, kind=kind).to_dict("records")
            cells = {"mean": found[0]["fid"], "pictures": found[0]["pictures"]} if found else {"mean": NOT_RUN}
            rows.append({"source": "ours", "method": title, "data": name, **cells})
    columns = ["source", "method", "data", "encoding", "pictures", "runs", *VIEW_COLUMNS]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pictures": "Int64"})


def dataset_orderings(fid: pd.DataFrame) -> pd.DataFrame:
    """Return which orderings of the views hold in each published row and in ours, where measured, and the orders."""
    rows: list[dict[str, Any]] = [
        {"source": "published", "data": name, **order_cells(values)} for name, values in published_fid().items()
    ]
    checks = list(rows[0])[2:]
    for dataset, name in DATASETS.items():
        measured = _measured(fid, dataset)
        for encoding, title in ENCODINGS.items():
            values = measured.get(encoding)
            cells = dict.fromkeys(checks, NOT_RUN) if values is None else order_cells(values)
            rows.append({"source": "ours", "data": name, "encoding": title, **cells})
    return pd.DataFrame(rows).reindex(columns=["source", "data", "encoding", *checks])


def _measured(fid: pd.DataFrame, dataset: str) -> Mapping[str, Mapping[int, float]]:
    """Return encoding → yaw → FID of GCL's views, means over seeds; an encoding that some seed lacks is left out."""
    lines = where(fid, dataset=dataset)
    lines = lines.iloc[np.flatnonzero(lines["yaw"].notna())]
    measured = {}
    for kind in ENCODINGS:
        own = where(lines, kind=kind)
        if len(own) and set(own["seed"]) == set(lines["seed"]):
            measured[kind] = {
                int(yaw): float(numbers(where(own, yaw=yaw), "fid").mean()) for yaw in sorted(set(own["yaw"]))
            }
    return measured


def dataset_fid_reading(table: pd.DataFrame, orderings: pd.DataFrame) -> str:
    """Return a paragraph that reads the tables of FID and its orderings: what holds where, and what JPEG does."""
    checks = [name for name in orderings.columns if name not in ("source", "data", "encoding", "best to worst")]
    published = where(orderings, source="published")
    held = int(published[checks].to_numpy(dtype=bool).all(axis=1).sum())
    sentences = [f"All {len(checks)} orderings hold in {held} of the {len(published)} published rows."]
    missing = []
    for name in DATASETS.values():
        ours = {line["encoding"]: line for line in where(table, source="ours", data=name).to_dict("records")}
        means = {title: ours[title]["mean"] for title in ENCODINGS.values() if ours[title]["mean"] != NOT_RUN}
        if not means:
            missing.append(name)
            continue
        paper = where(table, source="published", data=name)["mean"].iloc[0]
        told = [f"{value:.1f} in {title}" for title, value in means.items()]
        for title in means:
            line = where(orderings, source="ours", data=name, encoding=title).iloc[0]
            told.append(f"{sum(map(bool, line[checks]))} of {len(checks)} orderings in {title}")
        sentences.append(f"On {name} GCL's mean FID is {', '.join(told)}; published {paper:.1f}.")
        if len(means) == len(ENCODINGS):
            png, jpeg = means.values()
            sentences.append(f"JPEG - PNG: {jpeg - png:+.2f}.")
    if missing:
        sentences.append(f"Not measured yet: {', '.join(missing)}.")
    return " ".join(sentences)
