"""From folders to a prepared set; what is said, left out and listed when a picture or mesh is not as it must be."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from gcl_core.config import load_study
from gcl_core.data import preparation, store
from gcl_core.data.index import DataError
from gcl_core.data.person_set import load_person_set
from gcl_core.data.pictures import BadPictureError
from gcl_core.data.preparation import prepare_data
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS, projection_folder
from tests.data.small_market import PEOPLE, assert_rows_belong_together, grey, mesh, train_mesh, write_meshes


def test_rows_of_index_pictures_and_meshes_belong_together(market: Callable[..., Layout]):
    people = prepare_data(market(), workers=2)
    assert people.pictures.shape == (5, 64, 32, 3)
    assert people.projections.shape == (5, 8, 64, 32)
    assert list(people.index.columns) == ["file", "pid", "camid", "split", "mesh"]
    assert_rows_belong_together(people)
    assert list(people.with_mesh(np.arange(5))) == list(people.rows("train")) == [0, 1, 2]
    assert sorted(path.name for path in market().store.iterdir() if path.name[0] != ".") == [
        "index.csv",
        "pictures.npy",
        "projections.npy",
        "store.json",
        "without_mesh.csv",
    ]


def test_prepared_once_and_again_after_a_change(market: Callable[..., Layout]):
    first = prepare_data(market())
    stamp = (market().store / "pictures.npy").stat().st_mtime_ns
    assert prepare_data(market()).fingerprint == first.fingerprint
    assert (market().store / "pictures.npy").stat().st_mtime_ns == stamp
    grey(200).save(market().data_root / "query" / PEOPLE["query"][0])
    changed = prepare_data(market())
    assert changed.fingerprint != first.fingerprint
    assert changed.pictures[changed.rows("query")[0]].mean() > 190


def test_a_table_of_ones_own_is_prepared(market: Callable[..., Layout]):
    by_name, root = prepare_data(market("dataset=folder", "profile=names")), market().data_root
    table = root / "pictures.csv"
    by_name.index.drop(columns="mesh").to_csv(table, index=False)
    layout = market("dataset=folder", "profile=table")
    people = prepare_data(layout)
    assert people.fingerprint == by_name.fingerprint
    assert_rows_belong_together(people)
    table.write_text(table.read_text().replace("3,2,gallery", "3,5,gallery"))
    with pytest.raises(DataError, match=r"tables in .* say of the pictures was changed; run notebook"):
        load_person_set(layout)
    assert prepare_data(layout).index["camid"].tolist() == [1, 1, 2, 1, 5]


@pytest.mark.parametrize("name", ["index.csv", "pictures.npy", "projections.npy", "store.json"])
def test_a_damaged_store_is_found_and_made_anew(
    market: Callable[..., Layout], name: str, capsys: pytest.CaptureFixture[str]
):
    fingerprint = prepare_data(market()).fingerprint
    path = market().store / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert prepare_data(market()).fingerprint == fingerprint
    assert path.read_bytes() == content
    if name != "store.json":
        assert f"{name} missing or damaged" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [b"", b"no picture at all", "truncate"])
def test_an_unusable_picture_stops_and_is_named(market: Callable[..., Layout], spoil: bytes | str):
    path = market().data_root / "bounding_box_train" / PEOPLE["train"][2]
    path.write_bytes(path.read_bytes()[:300] if isinstance(spoil, str) else spoil)
    with pytest.raises(BadPictureError, match=r"0002_c2s1_000002_00\.jpg .*1 of 5 pictures cannot be used.*=skip"):
        prepare_data(market())
    with pytest.raises(DataError, match="holds no prepared data"):
        load_person_set(market())


def test_unusable_pictures_are_left_out_and_listed_when_asked_for(
    market: Callable[..., Layout], capsys: pytest.CaptureFixture[str]
):
    layout = market("on_bad_picture=skip")
    (layout.data_root / "bounding_box_train" / PEOPLE["train"][0]).write_bytes(b"no picture")
    grey(80).save(layout.data_root / "query" / "0003_c3s1_000008_00.jpg")
    (layout.data_root / "query" / PEOPLE["query"][0]).write_bytes(b"")
    people = prepare_data(layout)
    assert_rows_belong_together(people)
    assert [Path(file).name[:4] for file in people.index["file"]] == ["0002", "0002", "0003", "0003"]
    assert list(people.with_mesh(people.rows("train"))) == [0, 1]
    listed = pd.read_csv(layout.store / "quarantine.csv")
    assert listed[["file", "split"]].to_numpy().tolist() == [
        [f"bounding_box_train/{PEOPLE['train'][0]}", "train"],
        [f"query/{PEOPLE['query'][0]}", "query"],
    ]
    assert "is empty" in listed["reason"].tolist()[1]
    assert "1 training and 1 test pictures cannot be used and are left out; see" in capsys.readouterr().out
    prepare_data(layout)
    assert "1 training and 1 test pictures cannot be used" in capsys.readouterr().out  # told whenever it is prepared
    grey(10).save(layout.data_root / "bounding_box_train" / PEOPLE["train"][0], quality=100)
    (layout.data_root / "query" / PEOPLE["query"][0]).unlink()
    assert len(prepare_data(layout).index) == 5
    assert not (layout.store / "quarantine.csv").exists()


def test_a_split_without_any_usable_picture_is_an_error(market: Callable[..., Layout]):
    (market().data_root / "query" / PEOPLE["query"][0]).write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture of query can be used \(.*is empty"):
        prepare_data(market("on_bad_picture=skip"))


def spoil_meshes(layout: Layout) -> None:
    """Take one projection of training picture 0 away and render one of picture 2 as HMR does."""
    train_mesh(layout, 0, 225).unlink()
    Image.new("RGB", (224, 224), (140, 165, 190)).save(train_mesh(layout, 2, 45))


def test_pictures_without_usable_meshes_stay_but_nothing_is_drawn_of_them(
    market: Callable[..., Layout], capsys: pytest.CaptureFixture[str]
):
    spoil_meshes(market())
    people = prepare_data(market())
    assert_rows_belong_together(people)
    assert people.index["mesh"].tolist() == [False, True, False, False, False]
    assert list(people.with_mesh(people.rows("train"))) == [1]
    listed = pd.read_csv(market().store / "without_mesh.csv")
    assert listed["file"].tolist() == people.index["file"][[0, 2, 3, 4]].tolist()
    reasons = listed["reason"].tolist()
    assert reasons[0] == "missing in train/render_225"
    assert "224 x 224 pixels" in reasons[1]
    assert reasons[2:] == ["no projection of it"] * 2
    assert "2 training and 2 test pictures have no usable projections" in capsys.readouterr().out


@pytest.mark.parametrize("spoilt", ["missing", "invalid", "test"])
def test_a_mesh_that_must_be_there_stops_when_asked_for(market: Callable[..., Layout], spoilt: str):
    layout = market("on_missing_mesh=stop")
    if spoilt == "test":
        write_meshes(layout, "query", PEOPLE["query"][0])
        (projection_folder(layout.mesh_root, "test", 90) / PEOPLE["query"][0]).unlink()
    elif spoilt == "missing":
        train_mesh(layout, 0, 225).unlink()
    else:
        mesh(99, (224, 224)).save(train_mesh(layout, 0, 225))
    told = {"missing": r"0001_c1.*: missing in train/render_225", "invalid": "224 x 224", "test": "test/render_90"}
    with pytest.raises(DataError, match=rf"1 pictures have no usable projections \(.*{told[spoilt]}.*=leave_out"):
        prepare_data(layout)


def test_test_pictures_may_have_no_meshes_at_all(market: Callable[..., Layout]):
    assert prepare_data(market("on_missing_mesh=stop")).index["mesh"].tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("policy", ["leave_out", "stop"])
@pytest.mark.parametrize("how", ["none", "invalid"])
def test_no_usable_training_mesh_at_all_is_an_error(market: Callable[..., Layout], policy: str, how: str):
    for number in range(3):
        if how == "invalid":
            mesh(99, (224, 224)).save(train_mesh(market(), number, 225))
    if how == "none":
        shutil.rmtree(market().mesh_root)
    told = r"no training picture has its eight projections \(.*0001_c1.*meshes/train.*python -m gcl_core fit-bodies"
    with pytest.raises(DataError, match=told):
        prepare_data(market(f"on_missing_mesh={policy}"))


def test_a_killed_preparation_goes_on_to_the_same_bytes(
    market: Callable[..., Layout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Killed while projections are decoded, then while the arrays are put in place, a picture left out before."""
    (market().data_root / "bounding_box_train" / PEOPLE["train"][0]).write_bytes(b"no picture")
    whole, broken = market("on_bad_picture=skip", runs=tmp_path / "whole"), market("on_bad_picture=skip")
    prepare_data(whole)
    monkeypatch.setattr(store, "CHUNK_BYTES", 1)  # a chunk a row
    decoded: list[str] = []
    read, read_mesh, place = preparation.read_picture, preparation.read_projection, preparation.place_array

    def counted(path: Path, height: int, width: int) -> np.ndarray:
        decoded.append(path.name)
        return read(path, height, width)

    def killed(*_: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "read_picture", counted)
    monkeypatch.setattr(
        preparation,
        "read_projection",
        lambda path, *size: killed() if PEOPLE["train"][2] in path.name else read_mesh(path, *size),
    )
    with pytest.raises(KeyboardInterrupt):
        prepare_data(broken)
    assert len(decoded) == 5
    monkeypatch.setattr(preparation, "read_projection", read_mesh)
    monkeypatch.setattr(preparation, "place_array", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_data(broken)
    monkeypatch.setattr(preparation, "place_array", place)
    monkeypatch.setattr(preparation, "read_projection", killed)  # all is decoded already
    prepare_data(broken)
    assert len(decoded) == 5
    names = [path.name for path in whole.store.iterdir() if path.name not in (".lock", "store.json")]
    assert len(names) == 5
    for name in names:
        assert (broken.store / name).read_bytes() == (whole.store / name).read_bytes(), name


def test_what_a_kill_left_half_written_is_removed(market: Callable[..., Layout]):
    prepare_data(market())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    scrap = market().store / f".index.csv.{ended.pid}.tmp"
    scrap.write_text("half")
    prepare_data(market())
    assert not scrap.exists()


@pytest.mark.parametrize(("name", "told"), [("own", RunError), ("other", OSError)])
def test_only_an_error_of_the_store_is_told_as_one(
    market: Callable[..., Layout], name: str, told: type[Exception], monkeypatch: pytest.MonkeyPatch
):
    places = {"own": market().store / "pictures.npy", "other": market().data_root / "somewhere"}

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(places[name]))

    monkeypatch.setattr(preparation, "place_array", broken)
    with pytest.raises(told, match="cannot write in .*data: Input" if name == "own" else r"Input.*somewhere"):
        prepare_data(market())


def test_one_preparation_at_a_time(market: Callable[..., Layout]):
    market().store.mkdir(parents=True)
    with FileLock(market().store / ".lock"), pytest.raises(RunError, match="another process is preparing"):
        prepare_data(market())


@pytest.mark.parametrize("whole", [False, True])
def test_meshes_of_one_base_name_are_told_apart_by_their_path(tmp_path: Path, whole: bool):
    """Two people's 1.jpg in two folders; 2.jpg is the only one of its name, and lies there with or without its path."""
    root, files = tmp_path / "set", {"hall/1.jpg": 30, "yard/1.jpg": 60, "yard/2.jpg": 90}
    settings = f"data_root={root} dataset=folder picture.height=64 picture.width=32 generator.dilations=[1,2,3]"
    layout = Layout(load_study("market1501", settings.split()), root=tmp_path)
    lines = ["file,pid,camid,split", "q/1.jpg,9,1,query", "g/1.jpg,9,2,gallery"]
    for number, (file, value) in enumerate({**files, "q/1.jpg": 5, "g/1.jpg": 6}.items()):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        grey(value).save(root / file)
        if file in files:
            lines.append(f"{file},{number + 1},1,train")
            name = "2.jpg" if file == "yard/2.jpg" and not whole else file
            for yaw in YAWS:
                path = projection_folder(root / "meshes", "train", yaw) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                mesh(value).save(path, quality=100)
    write_meshes(layout, "train", "1.jpg")  # whose it is nobody can say
    (root / "pictures.csv").write_text("\n".join(lines))
    people = prepare_data(layout, workers=1)
    rows = people.index["file"].tolist()
    assert people.with_mesh(people.rows("train")).tolist() == [rows.index(file) for file in files]
    for file, value in files.items():
        row = rows.index(file)
        assert people.pictures[row].mean() == pytest.approx(value, abs=2)
        assert people.projections[row, :, 32, 16].astype(int).tolist() == pytest.approx([value] * 8, abs=3)
