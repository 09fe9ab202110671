"""`compare` as people run it: their own run beside the reference, in words, and nothing written."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.cli import main
from gcl_core.figure_manifest import read_manifest, write_manifest
from gcl_core.files import RunError, hash_file
from gcl_core.report.compared import comparison
from gcl_core.tables.formats import read_table

REFERENCE = Path(__file__).resolve().parents[2] / "figures" / "reference" / "mini"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A run of `mini` that came out like the reference, but for GCL and for what it was made on."""
    folder = tmp_path / "mini"
    shutil.copytree(REFERENCE, folder, ignore=shutil.ignore_patterns("*.pdf", "*.png"))
    return folder


def changed(folder: Path, name: str, column: str, value: object, **where: object) -> None:
    frame = read_table(folder / name)
    ((key, wanted),) = where.items()
    frame.loc[frame[key] == wanted, column] = value
    frame.to_csv(folder / name, index=False)
    entries = read_manifest(folder)
    entries[name]["sha256"] = hash_file(folder / name)
    write_manifest(folder, "mini", entries)


def test_a_run_that_came_out_alike_is_said_to(ours: Path):
    text = comparison(ours, REFERENCE)
    count = len(pd.read_csv(REFERENCE / "controls.csv"))
    assert f"mAP of {count} trainings:\n- {count} same" in text
    assert "all 7 as in the reference" in text
    assert "Not the same" not in text
    assert "The same commit, settings" in text


def test_what_differs_is_told_training_by_training_with_its_verdict_and_origin(ours: Path):
    gcl = float(pd.read_csv(REFERENCE / "controls.csv").set_index("variant").loc["GCL", "mAP"])
    changed(ours, "controls.csv", "mAP", gcl + 0.5, variant="GCL")
    changed(ours, "controls.csv", "mAP", 1.0, variant="TDA control")
    changed(ours, "claims.csv", "verdict", "reproduced", claim="C2")
    entries = read_manifest(ours)
    for entry in entries.values():
        entry["git_revision"] = "f" * 40
        for run in entry["runs"]:
            run["processor"], run["kernels"] = "A Chip (model 1)", "torch AVX2, MKL 2024.2"
    write_manifest(ours, "mini", entries)
    text = comparison(ours, REFERENCE)
    assert f"| GCL | {gcl + 0.5:.1f} (+0.5, within)" in text
    assert "- 1 outside (further off; from the same baseline 1 in 20 is, by chance alone): TDA control" in text
    assert "C2 is 'reproduced' here and" in text
    assert "Not the same commit: ffffffffff here" in text
    assert "A Chip (model 1) here" in text
    assert f"{len(entries) - 2} of {len(entries)} are equal to the byte" in text


def test_a_file_that_was_changed_by_hand_is_not_called_equal(ours: Path):
    entries = read_manifest(ours)
    (ours / "controls.csv").write_text((ours / "controls.csv").read_text() + "\n")
    text = comparison(ours, REFERENCE)
    assert f"{len(entries) - 1} of {len(entries)} are equal to the byte" in text
    assert f"Changed after they were made: controls.csv in {ours}" in text


def test_a_profile_without_committed_numbers_is_told_apart_from_one_that_was_not_run(tmp_path: Path):
    with pytest.raises(RunError, match="no numbers of this profile were committed"):
        comparison(REFERENCE, tmp_path / "reference" / "folder")


def test_the_command_names_the_run_that_is_missing(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["compare", "smoke", "profile=never_run"])
    assert ended.value.code == 1
    assert "figures/never_run/controls.csv is not there" in capsys.readouterr().err
