"""From folders to a prepared set; what is said, left out and listed when a picture or mesh is not as it must be."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from gcl_core.config import load_study
from gcl_core.data import preparation, store
from gcl_core.data.index import MARKET_FOLDERS, DataError, list_pictures
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.data.pictures import BadPictureError
from gcl_core.data.preparation import prepare_data
from gcl_core.data.report import report_data
from gcl_core.data.sources import list_meshes, source_state
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS, projection_folder
from gcl_core.workflow.study import stale_steps

PEOPLE = {
    "train": ["0001_c1s1_000001_00.jpg", "0002_c1s1_000006_00.jpg", "0002_c2s1_000002_00.jpg"],
    "query": ["0003_c1s1_000003_00.jpg"],
    "gallery": ["-1_c1s1_000005_00.jpg", "0003_c2s1_000004_00.jpg"],
}


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (40, 90), (value, value, value))


def mesh(value: int, size: tuple[int, int] = (40, 80)) -> Image.Image:
    """Return a box in grey, half as high and wide as the picture, on white."""
    picture = Image.new("L", size, 255)
    picture.paste(value, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    return picture


def write_meshes(layout: Layout, split: str, name: str) -> None:
    for yaw in YAWS:
        path = projection_folder(layout.mesh_root, "train" if split == "train" else "test", yaw) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mesh(20 + yaw // 2).save(path, quality=100)


def train_mesh(layout: Layout, number: int, yaw: int) -> Path:
    return projection_folder(layout.mesh_root, "train", yaw) / PEOPLE["train"][number]


@pytest.fixture
def market(tmp_path: Path) -> Callable[..., Layout]:
    """Make six grey pictures (10 × frame number) in Market's layout, meshes (20 + yaw / 2) for training alone."""
    root = tmp_path / "market"
    size = "picture.height=64 picture.width=32 generator.dilations=[1,2,3]"

    def make(*overrides: str, runs: Path = tmp_path) -> Layout:
        return Layout(load_study("market1501", [f"data_root={root}", *size.split(), *overrides]), root=runs)

    for split, names in PEOPLE.items():
        for name in names:
            path = root / MARKET_FOLDERS[split] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            grey(10 * int(name.split("_")[2])).save(path, quality=100)
            if split == "train":
                write_meshes(make(), split, name)
    return make


def assert_rows_belong_together(people: PersonSet) -> None:
    assert len(people.index) == len(people.pictures) == len(people.projections)
    meshes = people.index["mesh"].tolist()
    for row, file in enumerate(people.index["file"]):
        assert abs(int(people.pictures[row].mean()) - 10 * int(Path(file).name.split("_")[2])) <= 1
        figures = [int(projection[32, 16]) for projection in people.projections[row]]
        assert figures == ([20 + yaw // 2 for yaw in YAWS] if meshes[row] else [0] * 8)


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


def test_a_set_not_prepared_is_named(market: Callable[..., Layout]):
    with pytest.raises(DataError, match="holds no prepared data; run notebook 00_data_preparation with profile"):
        load_person_set(market())


# what is done to a prepared set → what is told of it
OF_THE_STORE = ("shortened array", "lost index")  # the data are as they were
STALE: dict[str, tuple[Callable[[Layout], object], str]] = {
    "replaced picture": (
        lambda layout: grey(77).save(layout.data_root / "query" / PEOPLE["query"][0], quality=90),
        r"files in .*market/query were replaced or renamed",
    ),
    "touched picture": (
        lambda layout: os.utime(layout.data_root / "query" / PEOPLE["query"][0], ns=(1, 1)),
        r"files in .*market/query were replaced or renamed",
    ),
    "new picture": (
        lambda layout: grey(70).save(layout.data_root / "query" / "0003_c1s1_000007_00.jpg"),
        r"market/query held 1 files, now 2",
    ),
    "renamed picture": (
        lambda layout: (layout.data_root / "query" / PEOPLE["query"][0]).rename(
            layout.data_root / "query" / "4_c1.jpg"
        ),
        r"files in .*market/query were replaced or renamed",
    ),
    "replaced mesh": (
        lambda layout: mesh(99).save(train_mesh(layout, 1, 90), quality=90),
        r"files in .*meshes/train/render_90 were replaced",
    ),
    "removed mesh": (lambda layout: train_mesh(layout, 1, 0).unlink(), r"meshes/train/render held 3 files, now 2"),
    "new meshes": (
        lambda layout: write_meshes(layout, "query", PEOPLE["query"][0]),
        r"meshes/test/render was not there, now holds 1 files",
    ),
    "shortened array": (
        lambda layout: os.truncate(layout.store / "pictures.npy", 1000),
        r"pictures\.npy has 1000 bytes, prepared were 30848",
    ),
    "other camera": (
        lambda layout: (layout.data_root / "query" / PEOPLE["query"][0]).rename(
            layout.data_root / "query" / PEOPLE["query"][0].replace("_c1", "_c3")
        ),
        r"files in .*market/query were replaced or renamed",
    ),
    "picture taken out": (
        lambda layout: (layout.data_root / "bounding_box_train" / PEOPLE["train"][1]).unlink(),
        r"bounding_box_train held 3 files, now 2",
    ),
    "lost index": (lambda layout: (layout.store / "index.csv").unlink(), r"index\.csv has 0 bytes"),
}


@pytest.mark.parametrize("change", STALE)
def test_a_stale_set_is_refused_with_the_reason_and_prepared_again(market: Callable[..., Layout], change: str):
    """By what reads it and by the DAG alike: the step is stale, and its parameter is another."""
    prepare_data(market())
    load_person_set(market())
    mark, before = market().runs / "steps" / "00_data_preparation.done", source_state(market())
    write_text(mark, "done")
    assert stale_steps(market()) == []
    alter, told = STALE[change]
    alter(market())
    with pytest.raises(DataError, match=rf"{told}.*run notebook 00_data_preparation with profile 'market1501' again"):
        load_person_set(market())
    assert stale_steps(market()) == ["00_data_preparation"]
    assert (source_state(market()) != before) is (change not in OF_THE_STORE)
    prepare_data(market())
    assert stale_steps(market()) == []


LEFT_ALONE: dict[str, Callable[[Layout], object]] = {  # what file managers, network disks and people add
    "thumbnails": lambda layout: write_text(layout.data_root / "query" / "@eaDir" / "0003_c1.jpg" / "S.jpg", "x"),
    "Thumbs.db": lambda layout: write_text(layout.data_root / "query" / "Thumbs.db", "x"),
    "a Mac's other half": lambda layout: write_text(layout.data_root / "query" / "._0003_c1s1_000003_00.jpg", "x"),
    "another folder of pictures": lambda layout: grey(9).save(layout.data_root / "new.jpg"),
    "junk": lambda layout: grey(9).save(layout.data_root / "bounding_box_test" / "-1_c1s1_000009_00.jpg"),
    "a link to itself": lambda layout: (layout.data_root / "query" / "self").symlink_to("."),
    "a link that leads nowhere": lambda layout: (layout.data_root / "query" / "gone").symlink_to("nowhere"),
    "folders among meshes": lambda layout: write_text(layout.mesh_root / "train" / "render" / "@eaDir" / "a.jpg", "x"),
    "meshes of nobody": lambda layout: mesh(9).save(layout.mesh_root / "train" / "render" / "9999_c1.jpg"),
    "the folder's own time": lambda layout: os.utime(layout.data_root / "query", (1, 1)),
    "the folder is not there": lambda layout: layout.data_root.rename(layout.data_root.with_name("elsewhere")),
    "the meshes are not there": lambda layout: layout.mesh_root.rename(layout.data_root / "elsewhere"),
    "an empty place for it": lambda layout: (
        layout.data_root.rename(layout.data_root.with_name("elsewhere")),
        layout.data_root.mkdir(),
    ),
}


@pytest.mark.parametrize("change", LEFT_ALONE)
def test_what_the_index_does_not_name_changes_nothing(market: Callable[..., Layout], change: str):
    layout = market()
    prepare_data(layout)
    write_text(layout.runs / "steps" / "00_data_preparation.done", "done")
    before = source_state(layout)
    LEFT_ALONE[change](layout)
    load_person_set(layout)
    assert source_state(layout) == before
    assert stale_steps(layout) == []
    if (layout.data_root / "query").is_dir():
        assert report_data("market1501", layout.data_root, workers=1).errors == []


class TestRights:
    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """A folder that everybody reaches, also who gave up root's rights."""
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    def test_a_folder_inside_that_may_not_be_read_is_not_read(self, market: Callable[..., Layout], unprivileged):
        prepare_data(market())
        before = source_state(market())
        for folder in (market().data_root / "query", market().mesh_root / "train" / "render"):
            (folder / "lost+found").mkdir(mode=0)
        with unprivileged():
            load_person_set(market())
            assert source_state(market()) == before
            assert report_data("market1501", market().data_root, workers=1).errors == []

    def test_meshes_that_may_not_be_read_are_told_alike(self, market: Callable[..., Layout], unprivileged):
        prepare_data(market())
        (market().mesh_root / "train" / "render_45").chmod(0)
        told = r"render_45 cannot be read \(Permission denied\); give yourself the right"
        with unprivileged():
            for read in (report_data, list_and_stamp):
                with pytest.raises(DataError, match=told):
                    read("market1501", market().data_root)
            with pytest.raises(DataError, match=told):
                load_person_set(market())

    def test_a_store_of_another_user_is_told(self, market: Callable[..., Layout], unprivileged):
        prepare_data(market())
        market().store.chmod(0)
        with unprivileged(), pytest.raises(DataError, match=r"store\.json cannot be read \(Permission denied\)"):
            load_person_set(market())


def list_and_stamp(dataset: str, root: Path) -> None:
    """List what preparing would read."""
    list_meshes(root / "meshes", list_pictures(dataset, root))


def test_a_folder_that_is_not_as_it_must_be_is_told_alike(market: Callable[..., Layout]):
    """By the report, by what reads the prepared set and by preparing; the DAG prepares it again."""
    prepare_data(market())
    before = source_state(market())
    grey(9).save(market().data_root / "query" / "holiday.jpg")
    for read in (
        lambda: report_data("market1501", market().data_root),
        lambda: load_person_set(market()),
        lambda: prepare_data(market()),
    ):
        with pytest.raises(DataError, match=r"holiday\.jpg: the name does not begin like 0002_c1"):
            read()
    assert source_state(market()) != before


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("picture.height=128", r"picture was {'height': 64, 'width': 32}, is now {'height': 128, 'width': 32}"),
        ("dataset=folder", "dataset was market1501, is now folder"),
        ("mesh_root=/elsewhere", "mesh_root was None, is now /elsewhere"),
        ("on_bad_picture=skip", "on_bad_picture was stop, is now skip"),
    ],
)
def test_a_set_prepared_with_other_settings_is_refused(market: Callable[..., Layout], override: str, told: str):
    prepare_data(market())
    with pytest.raises(DataError, match=rf"is not up to date: {told}; run notebook 00_data_preparation"):
        load_person_set(market(override))


def test_a_set_whose_sources_are_not_at_hand_is_not_stale(market: Callable[..., Layout]):
    fingerprint = prepare_data(market()).fingerprint
    market().data_root.rename(market().data_root.with_name("taken away"))
    assert load_person_set(market()).fingerprint == fingerprint


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
