"""Records: what tables and plots are made of, tidy and typed, in `figures/<profile>/records/`; they outlive the runs.

Notebooks measure, save records, and make tables and plots of what they saved; `redraw` makes the same ones of the same
records without any run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from gcl_core.figure_manifest import record_files
from gcl_core.layout import Layout
from gcl_core.typed_frames import OTHERS, Schema, read_typed, typed, write_typed

FOLDER = "records"
_ACCURACY = {"map": "float64", "rank1": "float64", "rank5": "float64", "rank10": "float64"}  # in [0, 1]
_FID = {"fid": "float64", "fid_matched": "float64", "kid": "float64", "kid_std": "float64"}
RECORDS: Mapping[str, tuple[str, Schema]] = {  # name → what a line is, and the types of the columns
    "epochs": (
        "One line per epoch of every stage and variant and per seed: accuracies in [0, 1], pseudo labels, losses; "
        "means over repeats",
        {"stage": "str", "seed": "int64", "epoch": "int64", "note": "str", "labels": "str", OTHERS: "float64"},
    ),
    "repeats": (
        "One line per variant, seed and repeat: what that training ends with, accuracies in [0, 1]",
        {
            **{"variant": "str", "seed": "int64", "repeat": "int64", "map": "float64", "rank1": "float64"},
            **{"clusters": "float64", "ari": "float64"},
        },
    ),
    "jvtc_plus": (
        "One line per seed whose JVTC baseline was measured by looks and time stamps together: accuracies in [0, 1]",
        {"seed": "int64", **_ACCURACY, OTHERS: "float64"},
    ),
    "protocols": (
        "One line per encoder, seed and protocol of retrieval: accuracies in [0, 1], queries that have a match",
        {
            **{"stage": "str", "seed": "int64", "protocol": "str", "map": "float64", "rank1": "float64"},
            **{"queries": "int64"},
        },
    ),
    "evidence": (
        "One line per seed and variant, means over repeats: true people, what the variant is for, how far the number "
        "of clusters is off (% of the people), ARI, distance of drawn views as a share of that to others, PSNR of the "
        "views given (dB), FID per yaw",
        {
            **{"seed": "int64", "variant": "str", "people": "int64", "purpose": "str", "changes": "str"},
            **{"clusters_off": "float64", "ari": "float64"},
            **{"distance": "float64", "psnr": "float64"},
            **{f"fid_{yaw}": "float64" for yaw in range(45, 360, 45)},
        },
    ),
    "precision": (
        "One line per seed, variant and query: average precision, that of near and far views, whether rank 1 is right",
        {
            **{"seed": "int64", "variant": "str", "pid": "int64"},
            **{"ap": "float64", "rank1": "float64", "ap_near": "float64", "ap_far": "float64"},
        },
    ),
    "fid": (
        "One line per variant, seed, encoding and yaw: FID and KID of drawn views",
        {
            **{"variant": "str", "seed": "int64", "encoding": "str", "yaw": "int64", **_FID},
            **{"pictures": "int64", "reference": "int64", "network": "str"},
        },
    ),
    "fid_floor": (
        "FID and KID of real pictures against others",
        {"kind": "str", **_FID, "pictures": "int64", "reference": "int64"},
    ),
    "view_quality": (
        "One line per variant, split and yaw: drawn views against true ones, and distances in E_id's features",
        {
            **{"variant": "str", "split": "str", "pictures": "int64", "distance_others": "float64", "yaw": "int64"},
            **{"distance": "float64", "psnr": "float64", "ssim": "float64", "distance_true": "float64"},
        },
    ),
    "view_ways": (
        "One line per way of view and yaw: PSNR on the person and over all pixels and SSIM against true views, percent "
        "of views that show the angle and the person asked for, FID",
        {
            **{"way": "str", "yaw": "int64", "pictures": "int64"},
            **{"psnr_person": "float64", "psnr": "float64", "ssim": "float64"},
            **{"turned": "float64", "recognised": "float64", "fid": "float64"},
        },
    ),
    "queries": (
        "One line per query of the baseline, the TDA control and GCL: its average precision and whom it finds first",
        {
            **{"stage": "str", "file": "str", "pid": "int64", "camid": "int64", "average_precision": "float64"},
            **{"first_match": "int64", "matches": "int64", "nearest": "str", "nearest_pid": "Int64"},
        },
    ),
    "test_time_views": (
        "One line per encoder and kind of views whose features are averaged with a picture's own: accuracies in "
        "[0, 1], share of the pictures that have views",
        {"stage": "str", "views": "str", "viewed": "float64", **_ACCURACY},
    ),
    "clustered_pictures": (
        "One line per training picture at the start of joint training: person, pseudo label, place on a map, and what "
        "each clusterer takes it for (-1: outlier)",
        {"pid": "int64", "label": "int64", "x": "float64", "y": "float64", "coloured": "bool", OTHERS: "int64"},
    ),
    "clustered_distances": (
        "Pairs of training pictures by Jaccard distance, those of one person and of two apart",
        {"kind": "str", "low": "float64", "pairs": "int64"},
    ),
    "clustered_split": (
        "How often two pictures of one person share a cluster, by how they differ",
        {"by": "str", "difference": "str", "pairs": "int64", "together": "float64"},
    ),
    "dataset_runs": (
        "One line per finished run of the three datasets: how it was made, its accuracies in [0, 1], and the results "
        "file that it was handed in by, if it was",
        {
            **{"dataset": "str", "source": "str", "stage": "str", "seed": "int64", "size": "str", "stage_one": "str"},
            **{"picked_on_test": "bool", **_ACCURACY, "handed_in": "str"},
        },
    ),
    "dataset_fid": (
        "One line per dataset, seed, encoding (kind) and yaw: FID of GCL's views; of real pictures one per kind",
        {
            **{"dataset": "str", "seed": "Int64", "kind": "str", "yaw": "Int64", "fid": "float64"},
            **{"pictures": "int64"},
        },
    ),
}
PARQUET = ("precision", "clustered_pictures")  # a line per query and variant, or per picture: larger as text


def record_path(folder: Path, name: str, suffix: str = "") -> Path:
    """Return where a record lies under a profile's figures; `suffix` is that of a seed's own, as `_seed1`."""
    return folder / FOLDER / f"{name}{suffix}.{'parquet' if name in PARQUET else 'csv'}"


def save_record(
    frame: pd.DataFrame, layout: Layout, name: str, *, runs: Sequence[Path], suffix: str = ""
) -> pd.DataFrame:
    """Write a record whole or not at all, enter it into the manifest, and return it as it is read back.

    Raises ValueError for columns or values that its schema in RECORDS does not allow.
    """
    path, (caption, schema) = record_path(layout.figures, name, suffix), RECORDS[name]
    write_typed(path, schema, frame)
    record_files(layout, [path], runs=runs, caption=f"{caption}.")
    return read_typed(path, schema)


def as_record(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a frame as `save_record` would, with the columns and types of a record, without writing it."""
    return typed(frame, RECORDS[name][1])


def read_record(folder: Path, name: str, suffix: str = "") -> pd.DataFrame:
    """Return a record of a profile's figures; raises RunError where it is not there or not of its schema."""
    return read_typed(record_path(folder, name, suffix), RECORDS[name][1])
