"""What a prepared set was made from: which changes make it stale, for readers, plan and run alike."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gcl_core.data.index import DataError, list_pictures
from gcl_core.data.person_set import load_person_set
from gcl_core.data.preparation import prepare_data
from gcl_core.data.report import report_data
from gcl_core.data.sources import list_meshes, source_state
from gcl_core.files import write_text
from gcl_core.layout import Layout
from gcl_core.workflow.study import stale_steps
from tests.data.small_market import PEOPLE, grey, mesh, train_mesh, write_meshes


def test_a_set_not_prepared_is_named(market: Callable[..., Layout]):
    with pytest.raises(
        DataError, match="holds no prepared data; run notebook 00_data_preparation with the same profile and overrides"
    ):
        load_person_set(market())


# what is done to a prepared set → what is told of it
OF_THE_STORE = ("shortened array", "changed array", "lost index")  # the data are as they were
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
    "changed array": (
        lambda layout: (layout.store / "pictures.npy").write_bytes(
            (layout.store / "pictures.npy").read_bytes()[:-9] + bytes(9)
        ),
        r"pictures\.npy was changed since it was prepared",
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
    with pytest.raises(
        DataError, match=rf"{told}.*run notebook 00_data_preparation with the same profile and overrides again"
    ):
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
        assert report_data("market1501", layout.data_root).errors == []


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
            assert report_data("market1501", market().data_root).errors == []

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
