"""`runs` shows what lies there and removes nothing but what is named."""

from pathlib import Path

import pytest
from filelock import FileLock

from gcl_core.cli import main, runs
from gcl_core.files import write_json


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a finished run, one at work and one set aside."""
    monkeypatch.setattr(runs, "REPOSITORY", tmp_path)
    names = {"gcl/seed0": {"finished": "2026-01-01"}, "gcl/seed0.superseded-ab": {"finished": "x"}, "tda/seed1": {}}
    for name, facts in names.items():
        write_json(tmp_path / "runs" / "mini" / name / "manifest.json", facts)
    return tmp_path / "runs" / "mini"


def test_every_run_is_listed_with_its_state(folders: Path, capsys: pytest.CaptureFixture[str]):
    main(["runs"])
    lines = capsys.readouterr().out.splitlines()
    states = [("set aside" in line, "unfinished" in line) for line in lines]
    assert states == [(False, False), (True, False), (False, True)]


def test_only_what_is_named_is_removed(folders: Path, capsys: pytest.CaptureFixture[str]):
    main(["runs", "--remove", "runs/mini/gcl/seed0.superseded-ab"])
    assert sorted(path.name for path in folders.glob("*/seed*")) == ["seed0", "seed1"]
    with pytest.raises(SystemExit) as stopped:
        main(["runs", "--remove", "runs/mini/gcl/seed0", "runs/mini/gcl"])
    assert stopped.value.code == 2
    assert "no run folder runs/mini/gcl;" in capsys.readouterr().err
    assert (folders / "gcl" / "seed0").is_dir()  # one name is wrong: nothing is removed


@pytest.mark.parametrize("name", ["seed0", "seed0.superseded-ab"])
def test_a_run_at_work_is_not_removed_and_no_other_with_it(
    name: str, folders: Path, capsys: pytest.CaptureFixture[str]
):
    with FileLock(folders / "gcl" / ".seed0.lock"), pytest.raises(SystemExit) as stopped:
        main(["runs", "--remove", "runs/mini/tda/seed1", f"runs/mini/gcl/{name}"])
    assert stopped.value.code == 1
    assert "another run is at work in" in capsys.readouterr().err
    assert len(list(folders.glob("*/seed*"))) == 3


def test_a_folder_named_twice_counts_once(folders: Path, capsys: pytest.CaptureFixture[str]):
    main(
        ["runs", "--remove", *["runs/mini/gcl/seed0"] * 2, "runs/mini/gcl/seed0/", "runs/mini/gcl/seed0.superseded-ab"]
    )
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert [path.name for path in folders.glob("*/seed*")] == ["seed1"]


def test_a_link_to_a_run_is_named_and_nothing_is_removed(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (folders / "gcl" / "seed1").symlink_to(tmp_path / "elsewhere")
    write_json(tmp_path / "elsewhere" / "manifest.json", {})
    with pytest.raises(SystemExit) as stopped:
        main(["runs", "--remove", "runs/mini/gcl/seed0", "runs/mini/gcl/seed1"])
    assert stopped.value.code == 2
    assert f"runs/mini/gcl/seed1 is a link to {tmp_path / 'elsewhere'}" in capsys.readouterr().err
    assert len(list(folders.glob("*/seed*"))) == 4
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_manifest_is_listed_beside_all_others(
    content: bytes, folders: Path, capsys: pytest.CaptureFixture[str]
):
    (folders / "gcl" / "seed0" / "manifest.json").write_bytes(content)
    main(["runs"])
    first, *others = capsys.readouterr().out.splitlines()
    assert "runs/mini/gcl/seed0  (its manifest.json is unreadable)" in first
    assert len(others) == 2
    main(["runs", "--remove", "runs/mini/gcl/seed0"])
    assert not (folders / "gcl" / "seed0").exists()
