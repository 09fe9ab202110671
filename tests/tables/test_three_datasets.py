"""Tables of the three datasets: published values as read, ours only where a finished run is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.three_datasets import dataset_accuracy_figure
from gcl_core.files import RunError, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.found_runs import found_runs, runs_of_the_datasets
from gcl_core.measure.three_datasets import dataset_fid, dataset_runs
from gcl_core.records import RECORDS
from gcl_core.tables.three_datasets import dataset_accuracy_reading, dataset_accuracy_table
from gcl_core.tables.three_datasets_fid import dataset_fid_reading, dataset_fid_table, dataset_orderings
from gcl_core.typed_frames import typed
from tests.fits import assert_fits

NOVEL = (45, 90, 135, 180, 225, 270, 315)


@pytest.fixture
def market(layout: Layout) -> Callable[..., Path]:
    """Write a finished run of a profile as training does: manifest, records."""

    def write(
        stage: str, seed: int, maps: list[float], *, profile: str = "market1501", source: bool = False, **facts: Any
    ) -> Path:
        folder = layout.root / "runs" / profile / stage / f"seed{seed}"
        settings: dict[str, Any] = {"picture": {"height": 256, "width": 128}}
        if stage == "baseline":
            settings["baseline"] = {"method": "jvtc"}
        inputs = {"data": "d", **({"source": "s"} if source else {})}
        whole = {"settings": settings, "inputs": inputs, "finished": "now", "kept_epoch": len(maps) - 1, **facts}
        write_json(folder / "manifest.json", whole)
        lines = [{"epoch": epoch, "map": value, "rank1": value + 0.1} for epoch, value in enumerate(maps)]
        write_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return write


def recorded(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as the record of that name keeps it."""
    return typed(frame, RECORDS[name][1])


def accuracy_table(layout: Layout) -> pd.DataFrame:
    return dataset_accuracy_table(layout.study, recorded("dataset_runs", dataset_runs(layout)))


def cells(table: pd.DataFrame, **equal: str) -> list[dict[str, Any]]:
    lines = table.to_dict("records")
    return [line for line in lines if all(line[key] == value for key, value in equal.items())]  # pyright: ignore[reportReturnType]


def test_without_runs_ours_say_not_run_and_published_rows_are_as_read(layout: Layout):
    table = accuracy_table(layout)
    ours = cells(table, source="ours", setting="fully unsupervised")
    assert [line["method"] for line in ours] == ["baseline (stage 1)", "TDA control", "GCL"]
    columns = [f"{name} {key}" for name in ("Market-1501", "DukeMTMC-reID", "MSMT17") for key in ("mAP", "rank-1")]
    assert all(line[column] == "not run" for line in ours for column in columns)
    (jvtc,) = cells(table, method="JVTC", setting="fully unsupervised")
    assert (jvtc["source"], jvtc["Market-1501 mAP"], jvtc["DukeMTMC-reID rank-1"]) == (
        "published, verified",
        41.8,
        67.6,
    )
    assert pd.isna(jvtc["MSMT17 mAP"])  # not recovered: blank
    (gcl,) = cells(table, method="GCL †")
    assert (gcl["source"], gcl["MSMT17 mAP"]) == ("published, third-party", 21.3)
    reading = dataset_accuracy_reading(layout.study, table)
    assert "Not run yet: Market-1501 (`./run_all.sh market1501`)" in reading
    assert "nothing of ours has been run" in reading


def test_third_party_rows_stand_apart_after_the_verified_ones(layout: Layout):
    sources = [line["source"] for line in cells(accuracy_table(layout), setting="fully unsupervised")]
    assert sources == sorted(sources, key=["published, verified", "published, third-party", "ours"].index)


def test_finished_runs_fill_their_dataset_with_the_mean_over_seeds(layout: Layout, market: Callable[..., Path]):
    for seed, value in ((0, 0.4), (1, 0.5)):
        market("baseline", seed, [0.1, value], jvtc_plus={"map": 0.6, "rank1": 0.7, "rank5": 0.8, "rank10": 0.9})
        market("gcl", seed, [0.3, value + 0.2])
    table = accuracy_table(layout)
    (baseline,) = cells(table, method="baseline (stage 1: JVTC)")
    assert baseline["Market-1501 mAP"] == pytest.approx(45)
    assert baseline["MSMT17 mAP"] == "not run"
    assert baseline["runs"] == "Market-1501: 256x128, 2 seeds"
    (gcl,) = cells(table, method="GCL", setting="fully unsupervised")
    assert gcl["Market-1501 mAP"] == pytest.approx(65)
    assert gcl["runs"] == "Market-1501: 256x128, 2 seeds, from JVTC"
    (plus,) = cells(table, method="JVTC+ (looks and time stamps)", source="ours")
    assert plus["Market-1501 rank-1"] == pytest.approx(70)
    assert "On Market-1501 GCL has 65.0 mAP" in dataset_accuracy_reading(layout.study, table)
    assert len(runs_of_the_datasets(layout)) == 4


def test_repeats_of_a_seed_are_averaged(layout: Layout, market: Callable[..., Path]):
    market("baseline", 0, [0.1, 0.4])
    market("gcl", 0, [0.3, 0.5])
    for repeat, value in ((1, 0.6), (2, 0.7)):
        market("gcl", 0, [0.3, value]).rename(layout.root / "runs" / "market1501" / "gcl" / f"seed0_repeat{repeat}")
    market("gcl", 0, [0.3, 0.5])
    other = {"settings": {"picture": {"height": 128, "width": 64}}}
    market("gcl", 0, [0.3, 0.9], **other).rename(layout.root / "runs" / "market1501" / "gcl" / "seed0_repeat3")
    market("gcl", 0, [0.3, 0.5])
    (gcl,) = cells(accuracy_table(layout), method="GCL", setting="fully unsupervised")
    assert gcl["Market-1501 mAP"] == pytest.approx(60)
    assert gcl["runs"] == "Market-1501: 256x128, 1 seed, from JVTC"
    assert len(runs_of_the_datasets(layout)) == 4


def test_the_kept_epoch_is_the_one_shown(layout: Layout, market: Callable[..., Path]):
    """D15: with the best epoch on test kept, the row is of that epoch."""
    market("baseline", 0, [0.1, 0.2])
    market("gcl", 0, [0.3, 0.9, 0.5], kept_epoch=1)
    (gcl,) = cells(accuracy_table(layout), method="GCL", setting="fully unsupervised")
    assert gcl["Market-1501 mAP"] == pytest.approx(90)


def test_unfinished_and_foreign_runs_do_not_count(layout: Layout, market: Callable[..., Path]):
    market("baseline", 0, [0.1])
    folder = market("gcl", 0, [0.3])
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["finished"]
    write_json(folder / "manifest.json", manifest)
    assert found_runs(layout, "gcl", ("market1501", None)) == []
    write_json(folder / "manifest.json", {**manifest, "finished": "now"})
    assert found_runs(layout, "gcl", ("market1501", None)) == [folder]
    write_json(layout.root / "runs/market1501/data/store.json", {"settings": {"dataset": "synthetic"}})
    assert found_runs(layout, "gcl", ("market1501", None)) == []  # synthetic people under that name


def test_runs_with_a_source_set_fill_the_section_of_domain_adaptation_alone(
    layout: Layout, market: Callable[..., Path]
):
    market("baseline", 0, [0.4], profile="duke2market", source=True)
    market("gcl", 0, [0.7], profile="duke2market", source=True)
    market("baseline", 0, [0.4], source=True)  # under the name of a profile without labels: not shown there
    market("gcl", 0, [0.7], source=True)
    table = accuracy_table(layout)
    (without,) = cells(table, method="GCL", setting="fully unsupervised")
    (adapted,) = cells(table, method="GCL", setting="UDA from DukeMTMC-reID")
    assert (without["Market-1501 mAP"], adapted["Market-1501 mAP"]) == ("not run", pytest.approx(70))


def test_records_that_are_missing_are_told(layout: Layout, market: Callable[..., Path]):
    market("baseline", 0, [0.4])
    (market("gcl", 0, [0.7]) / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl has no epoch; copy it again"):
        accuracy_table(layout)


def test_a_profile_of_one_of_the_datasets_fills_its_own_column(layout: Layout, market: Callable[..., Path]):
    market("baseline", 0, [0.4], profile="mine")
    market("gcl", 0, [0.7], profile="mine")
    words = ["profile=mine", "dataset=market1501", "data_root=nowhere"]
    mine = Layout(load_study("smoke", words), root=layout.root)
    (row,) = cells(accuracy_table(mine), method="GCL", setting="fully unsupervised")
    assert row["Market-1501 mAP"] == pytest.approx(70)


def test_fid_on_the_three_datasets_in_both_encodings_with_floor_and_orderings(
    layout: Layout, market: Callable[..., Path]
):
    market("baseline", 0, [0.1])
    run = market("gcl", 0, [0.3])
    order = {45: 55.0, 90: 75.0, 135: 62.0, 180: 51.0, 225: 63.0, 270: 71.0, 315: 54.0, 0: 40.0}
    views = {str(yaw): {"fid": value, "kid": 0.0, "kid_std": 0.0} for yaw, value in order.items()}
    jpeg = {yaw: {**entry, "fid": entry["fid"] - 1} for yaw, entry in views.items()}
    kept = {"pictures": 4096, "reference": 12936, "network": "n", "views": views, "views_jpeg75": jpeg}
    write_json(run / "fid.json", {"identity": "i", **kept})
    floor = {kind: {"fid": 9.0, "pictures": 6468, "reference": 6468} for kind in ("halves", "gallery")}
    write_json(layout.root / "runs/market1501/data/fid.json", {"identity": "i", "views": floor})
    fid = dataset_fid(layout)
    table, orderings = (
        dataset_fid_table(layout.study, recorded("dataset_runs", dataset_runs(layout)), recorded("dataset_fid", fid)),
        dataset_orderings(recorded("dataset_fid", fid)),
    )
    png, released = cells(table, source="ours", data="Market-1501", method="GCL")
    assert (png["encoding"], png["90°"], png["pictures"]) == ("PNG", 75.0, 4096)
    assert png["mean"] - released["mean"] == pytest.approx(1)
    (halves,) = cells(table, data="Market-1501", method="real against other real")
    assert halves["mean"] == 9.0
    assert all(line["90°"] == "not run" for line in cells(table, source="ours", data="MSMT17", method="GCL"))
    (line, _) = cells(orderings, source="ours", data="Market-1501")
    assert line["best three are 45°, 180°, 315°"] is True
    assert line["best to worst"] == "180° 315° 45° 135° 225° 270° 90°"
    assert cells(orderings, source="ours", data="MSMT17")[0]["worst is 90°"] == "not run"
    reading = dataset_fid_reading(table, orderings)
    assert "All 4 orderings hold in 3 of the 3 published rows." in reading
    assert "JPEG - PNG: -1.00." in reading
    assert "Not measured yet: DukeMTMC-reID, MSMT17." in reading


def test_the_figure_marks_every_value_and_says_what_was_not_run(layout: Layout, market: Callable[..., Path]):
    market("baseline", 0, [0.4])
    market("gcl", 0, [0.7])
    figure = dataset_accuracy_figure(accuracy_table(layout))
    market1501, _, msmt17 = figure.axes
    names = [text.get_text() for text in market1501.get_yticklabels()]
    assert names[:4] == ["JVTC", "JVTC+", "MMCL", "SpCL"]
    gcl, told = names.index("GCL"), names.index("GCL †")
    marks = {float(line.get_ydata()[0]): line for line in market1501.lines}  # pyright: ignore[reportIndexIssue, reportArgumentType]
    assert marks[gcl].get_xdata() == pytest.approx([70])
    assert marks[told].get_xdata() == pytest.approx([66.8])
    assert (marks[told].get_markerfacecolor(), marks[gcl].get_markerfacecolor()) == ("white", marks[gcl].get_color())
    assert [text.get_text() for text in msmt17.texts if text.get_text() == "not run"] == ["not run"] * 3
    assert_fits(figure)
