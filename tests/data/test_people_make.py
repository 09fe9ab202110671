"""A small set of synthetic people on disk: layout, the same bytes however made, and what is said of bad folders."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from loky.backend.process import LokyProcess
from PIL import Image

from gcl_core.cli.ending import heeding_sigterm
from gcl_core.config import PeopleSettings
from gcl_core.data.index import DataError
from gcl_core.data.people import make
from gcl_core.data.people.make import make_people
from gcl_core.data.people.plan import FOLDERS, count_files, plan_people
from gcl_core.files import RunError
from gcl_core.mesh.projection import YAWS, projection_folder

SETTINGS = PeopleSettings(
    train_identities=2, test_identities=2, cameras=3, pictures_per_identity=5, distractors=1, junk=1, seed=7
)
HEIGHT, WIDTH = 64, 32


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """22 pictures, made by this process alone."""
    return make_people(
        tmp_path_factory.mktemp("people") / "set", SETTINGS, height=HEIGHT, width=WIDTH, workers=1, progress=False
    )


@pytest.fixture
def copy(people, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(people, tmp_path / "set"))


def _contents(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".people.lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_layout_is_that_of_market_1501_with_meshes_and_true_views(people):
    shots = [shot for shots in plan_people(SETTINGS) for shot in shots]
    for split, folder in FOLDERS.items():
        assert {path.name for path in (people / folder).iterdir()} == {s.name for s in shots if s.split == split}
    train = {shot.name for shot in shots if shot.split == "train"}
    for yaw in YAWS:
        beside = {path.name for path in projection_folder(people / "meshes", "train", yaw).iterdir()}
        assert beside == train
        beside = {path.name for path in projection_folder(people / "meshes", "test", yaw).iterdir()}
        assert beside == {shot.name for shot in shots} - train
    for yaw in YAWS[1:]:
        stems = {path.stem for path in (people / "true_views" / str(yaw)).glob("*.png")}
        assert stems == {Path(shot.name).stem for shot in shots}
    assert not (people / "true_views" / "0").exists()


def test_pictures_are_colour_projections_grey_on_white(people):
    picture = Image.open(next((people / "query").iterdir()))
    assert (picture.size, picture.mode, picture.format) == ((32, 64), "RGB", "JPEG")
    for path in (people / "meshes" / "train" / "render_90").iterdir():
        mesh = Image.open(path)
        assert (mesh.size, mesh.mode) == ((32, 64), "L")
        grey = np.array(mesh)
        corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners >= 253).all()
        assert np.median(grey) >= 254
        assert 0.1 < np.mean(grey < 240) < 0.5


def test_the_table_tells_what_is_known_of_every_picture(people):
    table = pd.read_csv(people / "people.csv")
    assert len(table) == sum(count_files(SETTINGS).values())
    assert all((people / file).is_file() for file in table["file"])
    assert sorted(table["pid"].unique()) == [-1, 0, 1, 2, 3, 4]
    assert table["yaw"].between(0, 360, inclusive="left").all()
    looks = table.assign(looks=table["looks"].map(json.loads))
    assert all(looks.groupby("person")["height"].nunique() == 1)
    assert {"upper", "top", "carried"} <= set(looks["looks"][0])


def test_two_processes_of_a_plain_script_write_the_same_bytes(people, tmp_path):
    """A script without `if __name__ == "__main__"`, as people write them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from gcl_core.config import PeopleSettings\n"
        "from gcl_core.data.people.make import make_people\n"
        f"settings = PeopleSettings(**{SETTINGS.model_dump()!r})\n"
        f"make_people({str(tmp_path / 'set')!r}, settings, height={HEIGHT}, width={WIDTH}, workers=2, progress=False)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(make.__file__).parents[3])}
    subprocess.run([sys.executable, script], env=environment, cwd=tmp_path, check=True, timeout=300)
    assert _contents(tmp_path / "set") == _contents(people)


def test_a_process_ended_from_outside_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "_photograph_here", _end_this_process)
    with pytest.raises(RunError, match=r"was ended from outside.*kept.*run this again"):
        make_people(tmp_path / "set", SETTINGS, height=HEIGHT, width=WIDTH, workers=2, progress=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_its_processes_start_leaves_none_of_them(number, tmp_path, monkeypatch):
    def start(self: LokyProcess) -> None:
        begin(self)
        os.kill(os.getpid(), number)

    begin = LokyProcess.start
    monkeypatch.setattr(LokyProcess, "start", start)
    with heeding_sigterm(), pytest.raises(KeyboardInterrupt):
        make_people(tmp_path / "set", SETTINGS, height=HEIGHT, width=WIDTH, workers=2, progress=False)
    started = multiprocessing.active_children()
    for process in started:
        process.join(10)
    left = [process.name for process in started if process.is_alive()]
    for process in started:
        process.terminate()  # they would be waited for at the end of the tests
    assert left == []


def _end_this_process(*_: object) -> None:
    os._exit(9)


def test_a_set_that_lost_files_is_completed_to_the_same_bytes(people, copy):
    for path in [*(copy / "query").iterdir(), *(copy / "true_views" / "45").iterdir()]:
        path.unlink()
    shutil.rmtree(copy / "meshes" / "test")
    (copy / "query" / ".0003_c1s1_000001_00.jpg.1.tmp").write_bytes(b"half")  # a killed run's
    kept = next((copy / FOLDERS["train"]).iterdir())
    stamp = kept.stat().st_mtime_ns
    make_people(copy, SETTINGS, height=HEIGHT, width=WIDTH, workers=1, progress=False)
    assert _contents(copy) == _contents(people)
    assert kept.stat().st_mtime_ns == stamp


def test_an_interrupted_set_goes_on_where_it_stopped(people, tmp_path, monkeypatch):
    save, left = make._save_jpeg, iter(range(50))

    def stop_after_fifty(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(make, "_save_jpeg", stop_after_fifty)
    with pytest.raises(KeyboardInterrupt):
        make_people(tmp_path / "set", SETTINGS, height=HEIGHT, width=WIDTH, workers=1, progress=False)
    assert not json.loads((tmp_path / "set" / "people.json").read_text())["complete"]
    monkeypatch.undo()
    make_people(tmp_path / "set", SETTINGS, height=HEIGHT, width=WIDTH, workers=1, progress=False)
    assert _contents(tmp_path / "set") == _contents(people)


def test_a_finished_set_is_left_alone(people, monkeypatch):
    monkeypatch.setattr(make, "_make_missing", lambda *_: pytest.fail("made again"))
    assert make_people(people, SETTINGS, height=HEIGHT, width=WIDTH) == people


def test_other_settings_are_refused_by_name(people):
    with pytest.raises(DataError, match=r"seed is 7 there and 8 asked for.*another folder or delete"):
        make_people(people, SETTINGS.model_copy(update={"seed": 8}), height=HEIGHT, width=WIDTH)
    with pytest.raises(DataError, match="height is 64 there and 128 asked for"):
        make_people(people, SETTINGS, height=128, width=64)


def test_worn_clothes_are_told_in_the_table_and_other_clothes_are_refused(people, tmp_path):
    worn = SETTINGS.model_copy(update={"clothes": "worn", "surroundings": "moving", "true_views": False, "junk": 0})
    small = worn.model_copy(update={"train_identities": 2, "pictures_per_identity": 4, "distractors": 0})
    root = make_people(tmp_path / "worn", small, height=HEIGHT, width=WIDTH, workers=1, progress=False)
    looks = json.loads(pd.read_csv(root / "people.csv")["looks"].tolist()[0])
    assert {"side", "outer", "cut", "on_one_shoulder", "upper"} <= set(looks)
    before = json.loads(pd.read_csv(people / "people.csv")["looks"].tolist()[0])
    assert "side" not in before
    with pytest.raises(DataError, match="clothes is worn there and painted asked for"):
        make_people(root, SETTINGS, height=HEIGHT, width=WIDTH)


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        make_people(tmp_path / "file", SETTINGS, height=HEIGHT, width=WIDTH)
    with pytest.raises(DataError, match="is a file"):
        make_people(tmp_path / "file" / "below", SETTINGS, height=HEIGHT, width=WIDTH)
    (tmp_path / "market" / "query").mkdir(parents=True)
    with pytest.raises(DataError, match="not made here"):
        make_people(tmp_path / "market", SETTINGS, height=HEIGHT, width=WIDTH)
    assert [path.name for path in (tmp_path / "market").iterdir()] == ["query"]


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"settings": 3}', '{"settings": []}'])
def test_a_people_json_of_something_else_is_named_and_kept(content, tmp_path):
    (tmp_path / "people.json").write_text(content)
    with pytest.raises((DataError, RunError), match=r"people\.json is (none of a set|.*no JSON object).*move"):
        make_people(tmp_path, SETTINGS, height=HEIGHT, width=WIDTH, progress=False)
    assert (tmp_path / "people.json").read_text() == content


def test_two_at_once_on_one_folder_are_refused(copy):
    next((copy / "query").iterdir()).unlink()
    with FileLock(copy / ".people.lock"), pytest.raises(DataError, match="another process"):
        make_people(copy, SETTINGS, height=HEIGHT, width=WIDTH, progress=False)


def test_without_true_views_none_are_written(tmp_path):
    bare = SETTINGS.model_copy(update={"true_views": False, "distractors": 0, "junk": 0, "pictures_per_identity": 4})
    root = make_people(tmp_path / "bare", bare, height=HEIGHT, width=WIDTH, workers=1, progress=False)
    assert not (root / "true_views").exists()
    assert len(list((root / "meshes").rglob("*.jpg"))) == 8 * 16


def test_names_do_not_depend_on_whether_there_are_distractors():
    without = [shot for shots in plan_people(SETTINGS.model_copy(update={"distractors": 0})) for shot in shots]
    with_some = [shot for shots in plan_people(SETTINGS) for shot in shots if shot.person.kind != "distractor"]
    assert without == with_some
    assert replace(without[0], index=1).name != without[0].name
