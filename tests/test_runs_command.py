"""`runs` shows what lies there and removes nothing but what is named."""

from pathlib import Path

import pytest

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
    assert sorted(path.name for path in folders.glob("*/*")) == ["seed0", "seed1"]
    with pytest.raises(SystemExit) as stopped:
        main(["runs", "--remove", "runs/mini/gcl/seed0", "runs/mini/gcl"])
    assert stopped.value.code == 2
    assert "no run folder runs/mini/gcl;" in capsys.readouterr().err
    assert (folders / "gcl" / "seed0").is_dir()  # one name is wrong: nothing is removed
