"""Records come back with the values and types that they were written with, and what they do not allow is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.figure_manifest import read_manifest
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.records import PARQUET, RECORDS, read_record, record_path, save_record
from gcl_core.typed_frames import OTHERS, typed

VALUES = {
    "str": ["01", "", 'a, "b"\nc'],
    "int64": [0, -3, 12],
    "Int64": [1, None, 2**40],
    "float64": [0.1 + 0.2, float("nan"), float("inf")],
    "bool": [True, False, True],
}


def example(name: str) -> pd.DataFrame:
    """Return three lines with every kind of value that the record's columns allow."""
    columns = {name: kind for name, kind in RECORDS[name][1].items() if name != OTHERS}
    if OTHERS in RECORDS[name][1]:
        columns["a loss of one's own"] = RECORDS[name][1][OTHERS]
    frame = pd.DataFrame({column: pd.Series(VALUES[kind], dtype=kind) for column, kind in columns.items()})
    return frame


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_written_is_read(name: str, layout: Layout, write_run: Callable[..., Path]):
    run = write_run(layout, "gcl", 1, [])
    frame = example(name)
    pd.testing.assert_frame_equal(save_record(frame, layout, name, runs=[run], suffix="_seed1"), frame)
    pd.testing.assert_frame_equal(read_record(layout.figures, name, "_seed1"), frame)
    path = record_path(layout.figures, name, "_seed1")
    first = path.read_bytes()
    save_record(read_record(layout.figures, name, "_seed1"), layout, name, runs=[run], suffix="_seed1")
    assert path.read_bytes() == first
    entry = read_manifest(layout.figures)[f"records/{path.name}"]
    assert RECORDS[name][0] in entry["caption"]
    assert [known["folder"] for known in entry["runs"]] == ["runs/smoke/gcl/seed1"]


@pytest.mark.parametrize("name", RECORDS)
def test_an_empty_record_has_its_columns_and_types(name: str, layout: Layout):
    empty = save_record(pd.DataFrame(), layout, name, runs=[])
    kinds = {column: kind for column, kind in RECORDS[name][1].items() if column != OTHERS}
    assert {column: str(kind) for column, kind in empty.dtypes.items()} == kinds


def test_columns_of_blanks_keep_their_types(layout: Layout):
    blank = example("queries").assign(average_precision=np.nan, nearest="", nearest_pid=pd.NA)
    back = save_record(blank, layout, "queries", runs=[])
    assert {name: str(kind) for name, kind in back.dtypes.items()} == dict(RECORDS["queries"][1])


def test_columns_that_are_not_there_are_blank_and_others_are_refused(layout: Layout):
    frame = typed(pd.DataFrame({"seed": [0], "variant": ["gcl"], "pid": [1], "ap": [0.5]}), RECORDS["precision"][1])
    assert frame[["rank1", "ap_near", "ap_far"]].isna().to_numpy().all()
    with pytest.raises(ValueError, match=r"columns \['mood'\] are not declared; known: seed, variant"):
        save_record(frame.assign(mood=1), layout, "precision", runs=[])
    with pytest.raises(ValueError, match="half"):
        save_record(frame.assign(ap="half"), layout, "precision", runs=[])
    assert not record_path(layout.figures, "precision").exists()


def test_a_record_that_is_gone_or_broken_is_named(layout: Layout):
    with pytest.raises(RunError, match=r"cannot read .*epochs\.csv.*run the notebook that writes it"):
        read_record(layout.figures, "epochs")
    save_record(example("fid"), layout, "fid", runs=[])
    path = record_path(layout.figures, "fid")
    write_text(path, path.read_text(encoding="utf-8").replace("-3", "three"))
    with pytest.raises(RunError, match=r"cannot read .*fid\.csv.*three"):
        read_record(layout.figures, "fid")


def test_large_records_are_parquet_alone():
    assert set(PARQUET) <= set(RECORDS)
    assert {record_path(Path(), name).suffix for name in RECORDS if name not in PARQUET} == {".csv"}
