"""Supplement Table 1 on the three datasets: published FID per view, and ours where it has been measured (§7.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.measure.found_runs import describe, found_runs, profile_folder
from gcl_core.measure.published import DATASETS, published_fid
from gcl_core.measure.view_fid import kept_fid
from gcl_core.tables.fid import ENCODINGS, VIEW_COLUMNS, mean_by_yaw, order_cells, view_cells
from gcl_core.tables.formats import NOT_RUN

FLOORS = {"halves": "real against other real", "gallery": "real gallery against real"}


def dataset_fid_table(layout: Layout) -> pd.DataFrame:
    """Return FID of GCL's drawn views per yaw on the three datasets: published, then ours in both encodings.

    Ours are means over the seeds found in the profiles of the three datasets under this root, with what real pictures
    get against real ones. `not run` stands where ours has not been measured; the paper gives neither encoding nor 0°.
    """
    rows: list[dict[str, Any]] = [
        {"source": "published", "method": "GCL", "data": name, **view_cells(values)}
        for name, values in published_fid().items()
    ]
    for dataset, name in DATASETS.items():
        facts, measured = _measured(layout, dataset)
        for encoding, title in ENCODINGS.items():
            values = measured.get(encoding)
            cells = dict.fromkeys(VIEW_COLUMNS, NOT_RUN) if values is None else view_cells(values)
            row = {"source": "ours", "method": layout.study.variants["gcl"].title, "data": name, "encoding": title}
            rows.append({**row, **(facts if values is not None else {}), **cells})
        floor = _floor(layout, dataset)
        for kind, title in FLOORS.items():
            found = floor.get(kind)
            cells = {"mean": NOT_RUN} if found is None else {"mean": found["fid"], "pictures": found["pictures"]}
            rows.append({"source": "ours", "method": title, "data": name, **cells})
    columns = ["source", "method", "data", "encoding", "pictures", "runs", *VIEW_COLUMNS]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pictures": "Int64"})


def dataset_orderings(layout: Layout) -> pd.DataFrame:
    """Return which orderings of the views hold in each published row and in ours, where measured, and the orders."""
    rows: list[dict[str, Any]] = [
        {"source": "published", "data": name, **order_cells(values)} for name, values in published_fid().items()
    ]
    checks = list(rows[0])[2:]
    for dataset, name in DATASETS.items():
        _, measured = _measured(layout, dataset)
        for encoding, title in ENCODINGS.items():
            values = measured.get(encoding)
            cells = dict.fromkeys(checks, NOT_RUN) if values is None else order_cells(values)
            rows.append({"source": "ours", "data": name, "encoding": title, **cells})
    return pd.DataFrame(rows).reindex(columns=["source", "data", "encoding", *checks])


def _measured(layout: Layout, dataset: str) -> tuple[dict[str, Any], Mapping[str, Mapping[int, float]]]:
    """Return how GCL's FID was measured on a dataset, and encoding → yaw → FID; empty where it was not."""
    runs = found_runs(layout, "gcl", (dataset, None))
    kept = {run: result for run in runs if (result := kept_fid(run)) is not None}
    if not kept:
        return {}, {}
    pictures = next(iter(kept.values()))["pictures"]
    alike = {run: result for run, result in kept.items() if result["pictures"] == pictures}
    seeds: Sequence[dict[str, Any]] = list(alike.values())
    measured = {name: mean_by_yaw(seeds, name) for name in ENCODINGS if all(name in each["views"] for each in seeds)}
    return {"pictures": pictures, "runs": describe(list(alike))}, measured


def _floor(layout: Layout, dataset: str) -> Mapping[str, Any]:
    """Return what the data store keeps of `real_floor`; empty where GCL's FID was not measured."""
    path = profile_folder(layout, (dataset, None)) / "data" / "fid.json"
    return read_json(path)["views"] if path.is_file() and _measured(layout, dataset)[1] else {}


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
