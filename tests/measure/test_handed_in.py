"""Results handed in as one file: packed by a command, checked when read, shown where no run of one's own is there."""

import json
import shutil
import zipfile
from functools import partial
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.cli import figures as commands
from gcl_core.cli import main
from gcl_core.config import load_study
from gcl_core.files import RunError, hash_file, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.measure.handed_in import FACTS, SUMS, handed_in, pack_results, read_handed_in, unpacked
from gcl_core.measure.three_datasets import dataset_fid, dataset_runs
from gcl_core.mesh.projection import YAWS
from gcl_core.records import RECORDS, save_record
from gcl_core.seeding import numpy_rng
from gcl_core.tables.formats import save_table
from gcl_core.tables.three_datasets import dataset_accuracy_reading, dataset_accuracy_table
from gcl_core.tables.three_datasets_fid import dataset_fid_table
from gcl_core.typed_frames import typed

FRAMES = {"dataset_runs": dataset_runs, "dataset_fid": dataset_fid}


def trained(layout: Layout, profile: str, stage: str, map_: float) -> Path:
    """Write a finished run of a full-size profile as training does."""
    folder = layout.root / "runs" / profile / stage / "seed0"
    settings = {"picture": {"height": 256, "width": 128}, "baseline": {"method": "jvtc"}}
    facts = {"settings": settings, "inputs": {"data": "d"}, "finished": "now", "kept_epoch": 0, "fingerprint": stage}
    write_json(folder / "manifest.json", {**facts, "seed": 0})
    write_text(folder / "metrics.jsonl", json.dumps({"epoch": 0, "map": map_, "rank1": map_ + 0.2}) + "\n")
    return folder


def accuracies(layout: Layout) -> pd.DataFrame:
    return dataset_accuracy_table(layout.study, typed(dataset_runs(layout), RECORDS["dataset_runs"][1]))


@pytest.fixture
def theirs(tmp_path: Path) -> Layout:
    """A checkout where Market-1501 was run: its runs, and what notebook 09 wrote there."""
    study = load_study("market1501", [f"data_root={tmp_path}"])
    layout = Layout(study, root=tmp_path / "theirs")
    runs = [trained(layout, "market1501", stage, value) for stage, value in (("baseline", 0.4), ("gcl", 0.66))]
    views = {str(yaw): {"fid": 20.0 + yaw / 45, "fid_matched": 0, "kid": 0, "kid_std": 0} for yaw in YAWS}
    write_json(
        runs[1] / "fid.json", {"pictures": 9, "reference": 9, "network": "n", "views": views, "views_jpeg75": views}
    )
    save_record(dataset_runs(layout), layout, "dataset_runs", runs=runs)
    save_record(dataset_fid(layout), layout, "dataset_fid", runs=runs)
    save_table(accuracies(layout), layout, "accuracy", runs=runs, caption="Ours")
    (layout.figures / "people.png").write_bytes(b"a picture of somebody")
    return layout


@pytest.fixture
def ours(tmp_path: Path) -> Layout:
    """A checkout without any run of the three datasets, and its folder for what is handed in."""
    layout = Layout(load_study("smoke"), root=tmp_path / "ours")
    (layout.root / "results").mkdir(parents=True)
    return layout


def repacked(path: Path, out: Path, **changes: bytes | None) -> Path:
    """Write a results file anew, some of its files changed, added or, where None, left out; the sums stay."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        files = {name: old.read(name) for name in old.namelist()} | changes
        for name, content in files.items():
            if content is not None:
                new.writestr(name, content)
    return out


def test_what_one_packs_by_a_command_another_reads_and_shows(
    theirs: Layout, ours: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As the guide in results/ says: run, pack, put the file there, run notebook 09."""
    before = accuracies(ours)
    assert "Market-1501" in dataset_accuracy_reading(ours.study, before).partition("Not run yet")[2]
    monkeypatch.setattr(commands, "Layout", partial(Layout, root=theirs.root))
    out = ours.root / "results" / "market1501.zip"
    main(["results", "market1501", f"data_root={theirs.root}", "--out", str(out)])
    assert hash_file(out) in capsys.readouterr().out
    table = accuracies(ours)
    own = where(table, source="ours", setting="fully unsupervised").to_dict("records")
    gcl = next(line for line in own if line["method"] == "GCL")
    assert (gcl["Market-1501 mAP"], gcl["DukeMTMC-reID mAP"]) == (pytest.approx(66.0), "not run")
    assert gcl["runs"] == "Market-1501: 256x128, 1 seed, from JVTC, handed in as market1501.zip"
    runs, fid = (typed(frame(ours), RECORDS[name][1]) for name, frame in FRAMES.items())
    table = dataset_fid_table(ours.study, runs, fid)
    (line,) = where(table, source="ours", method="GCL", data="Market-1501", encoding="PNG").to_dict("records")
    assert line["45°"] == 21.0


def test_the_same_results_are_the_same_bytes_without_pictures_or_places_of_the_machine(theirs: Layout, tmp_path: Path):
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    pack_results(theirs.study, theirs.figures, first)
    shutil.copytree(theirs.figures, tmp_path / "copy")
    assert pack_results(theirs.study, tmp_path / "copy", second) == sorted(unpacked(second) | {SUMS: b""})
    assert first.read_bytes() == second.read_bytes()
    files = unpacked(first)
    assert {"accuracy.csv", "accuracy.tex", "manifest.json", "records/dataset_runs.csv", "records/runs.csv"} < set(
        files
    )
    assert not [name for name in files if name.endswith((".png", ".pdf"))]
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content]


def test_results_of_a_set_that_no_table_has_a_row_for_are_not_packed(theirs: Layout, tmp_path: Path):
    with pytest.raises(RunError, match="mini is of dataset synthetic: results are handed in of market1501, dukemtmc"):
        pack_results(load_study("mini"), theirs.figures, tmp_path / "mini.zip")
    assert not (tmp_path / "mini.zip").exists()


def test_a_table_that_was_changed_by_hand_is_not_packed(theirs: Layout, tmp_path: Path):
    (theirs.figures / "accuracy.csv").write_text("mAP\n99\n")
    (theirs.figures / "accuracy.tex").unlink()
    with pytest.raises(RunError, match=r"accuracy\.tex is gone; accuracy\.csv was changed after it was made"):
        pack_results(theirs.study, theirs.figures, tmp_path / "out.zip")
    with pytest.raises(RunError, match="holds no figures"):
        pack_results(theirs.study, tmp_path / "nowhere", tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_nothing_but_a_results_file_is_replaced(theirs: Layout, tmp_path: Path):
    place = tmp_path / "out.zip"
    pack_results(theirs.study, theirs.figures, place)
    pack_results(theirs.study, theirs.figures, place)
    table, others = theirs.figures / "accuracy.csv", tmp_path / "others.zip"
    with zipfile.ZipFile(others, "w") as archive:
        archive.writestr("photo.jpg", b"somebody")
    shutil.copy(table, tmp_path / "table.zip")
    (tmp_path / "linked").symlink_to(theirs.figures)
    (tmp_path / "folder.zip").mkdir()
    for out, told in (
        (table, "no name for a results file"),
        (theirs.figures / "new.zip", "lies in .*figures/market1501, which is what is packed"),
        (tmp_path / "linked" / "new.zip", "which is what is packed"),
        (others, r"others\.zip is there and no results file"),
        (tmp_path / "table.zip", r"table\.zip is there and no results file"),
        (tmp_path / "folder.zip", r"folder\.zip is there and no results file"),
    ):
        before = out.read_bytes() if out.is_file() else None
        with pytest.raises(RunError, match=told):
            pack_results(theirs.study, theirs.figures, out)
        assert (out.read_bytes() if out.is_file() else None) == before


def test_a_damaged_file_is_named_with_what_is_wrong(theirs: Layout, ours: Layout, tmp_path: Path):
    whole, place = tmp_path / "whole.zip", ours.root / "results" / "market1501.zip"
    pack_results(theirs.study, theirs.figures, whole)
    record = unpacked(whole)["records/dataset_runs.csv"]
    for changes, told in (
        ({"records/dataset_runs.csv": record.replace(b"0.66", b"0.96")}, r"records/dataset_runs\.csv changed"),
        ({"accuracy.csv": None}, r"accuracy\.csv lost"),
        ({"more.csv": b"x"}, r"more\.csv added"),
        ({SUMS: None}, "no results file, its SHA256SUMS is missing"),
        ({SUMS: b"\xff"}, "no results file, its SHA256SUMS is missing or unreadable"),
        ({"more.csv": bytes(65 * 2**20)}, "would unpack to"),
    ):
        repacked(whole, place, **changes)
        with pytest.raises(RunError, match=rf"market1501\.zip.*{told}"):
            dataset_runs(ours)
    data = whole.read_bytes()
    for damaged in (data[: len(data) // 2], data[:-1], b"", data.replace(b"0.66", b"0.96", 1)):
        place.write_bytes(damaged)
        with pytest.raises(RunError, match=r"market1501\.zip"):
            dataset_fid(ours)
    place.write_bytes(data)
    assert len(dataset_runs(ours)) == 2


def test_any_changed_byte_is_refused_or_touches_no_content(theirs: Layout, tmp_path: Path):
    whole, place = tmp_path / "whole.zip", tmp_path / "changed.zip"
    pack_results(theirs.study, theirs.figures, whole)
    data, files = whole.read_bytes(), unpacked(whole)
    places = numpy_rng(0, "changed bytes").choice(len(data), 400, replace=False)
    refused = 0
    for at in places:
        place.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            assert unpacked(place) == files
        except RunError:
            refused += 1
    assert refused > 200


def test_what_no_study_of_today_packed_is_told(theirs: Layout, tmp_path: Path):
    whole = tmp_path / "whole.zip"
    pack_results(theirs.study, theirs.figures, whole)
    for content in (b"{}", b"no json", b'{"format": 99, "dataset": "market1501", "source": null}'):
        facts = sha256(unpacked(whole)[FACTS]).hexdigest().encode()
        with zipfile.ZipFile(whole) as archive:
            sums = archive.read(SUMS).replace(facts, sha256(content).hexdigest().encode())
        other = repacked(whole, tmp_path / "other.zip", **{FACTS: content, SUMS: sums})
        with pytest.raises(RunError, match=r"other\.zip: cannot read its results\.json"):
            read_handed_in(other)


def test_own_runs_come_first_and_two_files_of_one_dataset_are_refused(theirs: Layout, ours: Layout):
    place = ours.root / "results" / "market1501.zip"
    pack_results(theirs.study, theirs.figures, place)
    assert set(handed_in(ours)) == {("market1501", None)}
    for stage, value in (("baseline", 0.1), ("gcl", 0.2)):
        trained(ours, "market1501", stage, value)
    runs = typed(dataset_runs(ours), RECORDS["dataset_runs"][1])
    assert (runs["map"].tolist(), set(runs["handed_in"])) == ([0.1, 0.2], {""})
    assert len(dataset_fid(ours)) == 0  # not of theirs beside the accuracy of ours
    shutil.copy(place, place.with_name("again.zip"))
    with pytest.raises(RunError, match=r"again\.zip and .*market1501\.zip both hold results of market1501; keep one"):
        dataset_runs(ours)
