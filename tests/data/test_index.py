"""Listing datasets: protocol, and every folder that is not as it must be."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gcl_core.data.index import DATASETS, DataError, list_ignored, list_pictures, read_index, some_of

MARKET = {
    "bounding_box_train": ["0007_c2s1_000010_01.jpg", "0002_c1s1_000451_03.jpg"],
    "query": ["0003_c1s1_000001_00.jpg"],
    "bounding_box_test": ["0003_c2s1_000002_00.jpg", "-1_c1s1_000003_00.jpg", "0000_c4s1_000004_00.jpg", "Thumbs.db"],
}
MSMT = {
    "list_train.txt": "0001/0001_000_15_0303noon_0008_0.jpg 1\n0000/0000_000_01_0303morning_0008_0.jpg 0\n",
    "list_val.txt": "0001/0001_001_03_0303noon_0008_0.jpg 1\n",
    "list_query.txt": "0000/0000_000_02_0303morning_0008_0.jpg 0\n",
    "list_gallery.txt": "0000/0000_001_03_0303morning_0008_0.jpg 0\n",
}
V1, V2 = ("train", "test"), ("mask_train_v2", "mask_test_v2")


def _market(root: Path, files: dict[str, list[str]] = MARKET) -> Path:
    for folder, names in files.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(b"")
    return root


def _msmt(root: Path, folders: tuple[str, str] = V1, lists: dict[str, str] | None = None) -> Path:
    """MSMT17 with some lists replaced; all pictures of the usual lists are there."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in MSMT.items():
        for line in text.splitlines():
            path = root / folders["train" not in name and "val" not in name] / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        (root / name).write_text({**MSMT, **(lists or {})}[name])
    return root


@pytest.mark.parametrize("dataset", ["market1501", "folder", "synthetic"])
def test_market_protocol(tmp_path: Path, dataset: str):
    index = read_index(dataset, _market(tmp_path))
    assert list(index.itertuples(index=False, name=None)) == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 1, "train"),
        ("bounding_box_train/0007_c2s1_000010_01.jpg", 7, 2, "train"),
        ("query/0003_c1s1_000001_00.jpg", 3, 1, "query"),
        ("bounding_box_test/0000_c4s1_000004_00.jpg", 0, 4, "gallery"),  # a distractor stays, junk goes
        ("bounding_box_test/0003_c2s1_000002_00.jpg", 3, 2, "gallery"),
    ]
    assert list(index.index) == [0, 1, 2, 3, 4]


def test_junk_is_listed_for_the_report(tmp_path: Path):
    index = list_pictures("market1501", _market(tmp_path))
    assert len(index) == 6
    assert index.loc[index["pid"] == -1, "file"].tolist() == ["bounding_box_test/-1_c1s1_000003_00.jpg"]


def test_duke_names_parse(tmp_path: Path):
    duke = {
        "bounding_box_train": ["0001_c2_f0046182.jpg"],
        "query": ["0005_c2_f0046985.jpg"],
        "bounding_box_test": ["0005_c7_f0051000.jpg"],
    }
    index = read_index("dukemtmc_reid", _market(tmp_path, duke))
    assert list(zip(index["pid"], index["camid"], strict=True)) == [(1, 2), (5, 2), (5, 7)]


def test_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch):
    root = _market(tmp_path)
    expected, listed = list_pictures("folder", root), os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path), reverse=True))
    assert list_pictures("folder", root).equals(expected)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (root / "query" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"query/a\.jpg: the name does not begin like"):  # the first by name
        list_pictures("folder", root)


def test_suffixes_in_any_case_are_pictures_and_other_files_are_not(tmp_path: Path):
    root = _market(tmp_path)
    for name in ("0008_c1a.JPG", "0008_c1b.JPEG", "0008_c1c.Png", "0008_c1d.txt", "._0008_c1a.jpg", "0008_c1e"):
        (root / "bounding_box_train" / name).write_bytes(b"")
    index = list_pictures("folder", root)
    assert [file[-5:] for file in index.loc[index["pid"] == 8, "file"]] == ["a.JPG", ".JPEG", "c.Png"]
    ignored = ["._0008_c1a.jpg", "0008_c1d.txt", "0008_c1e"]
    assert list_ignored(root, index) == ["bounding_box_test/Thumbs.db", *(f"bounding_box_train/{n}" for n in ignored)]


@pytest.mark.parametrize("folders", [V1, V2])
def test_msmt17_lists(tmp_path: Path, folders: tuple[str, str]):
    index = read_index("msmt17", _msmt(tmp_path, folders))
    assert index.drop(columns="file").to_numpy().tolist() == [
        [1, 1, "train"],  # MSMT17 counts from 0, which means distractor elsewhere
        [2, 15, "train"],
        [2, 3, "train"],  # of list_val
        [1, 2, "query"],  # 1 again, but somebody else
        [1, 3, "gallery"],
    ]
    files = index["file"].tolist()
    assert files[0] == f"{folders[0]}/0000/0000_000_01_0303morning_0008_0.jpg"
    assert files[3] == f"{folders[1]}/0000/0000_000_02_0303morning_0008_0.jpg"
    (tmp_path / folders[0] / "0001" / "unlisted.jpg").write_bytes(b"")
    assert list_ignored(tmp_path, index) == [f"{folders[0]}/0001/unlisted.jpg"]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"list_query.txt": "0000_c1.jpg\n"}, r"list_query\.txt, line 1: expected a line like"),
        ({"list_query.txt": MSMT["list_query.txt"] + "0000/0000_000_xx_a.jpg 0\n"}, "line 2: expected a line like"),
        ({"list_query.txt": "0000/0000_000_02_\x07.jpg 0\n"}, r"line 1: the name .* holds U\+0007"),
        ({"list_query.txt": "/etc/0000_000_02_a.jpg 0\n"}, "line 1: expected a line like"),
        ({"list_query.txt": "../train/0000/0000_000_01_0303morning_0008_0.jpg 0\n"}, "line 1: expected a line like"),
        ({"list_query.txt": "0000/0000_000_02_0303morning_0008_0.jpg -1\n"}, "line 1: expected a line like"),
        (
            {"list_query.txt": MSMT["list_query.txt"] * 2},
            r"query\.txt, line 2: .* listed already in .*query\.txt, line 1",
        ),
        ({"list_val.txt": MSMT["list_train.txt"]}, r"val\.txt, line 1: .* listed already in .*list_train\.txt, line 1"),
        (
            {"list_gallery.txt": "0000/0000_009_02_gone.jpg 0\n"},
            r"gallery\.txt, line 1: .*gone\.jpg is not there; restore",
        ),
        ({"list_gallery.txt": ""}, "no picture in gallery"),
        ({"list_gallery.txt": MSMT["list_query.txt"]}, r"test/0000/.* is listed both as query and as gallery"),
    ],
)
def test_msmt17_lists_that_are_wrong(tmp_path: Path, lists: dict[str, str], words: str):
    with pytest.raises(DataError, match=words):
        list_pictures("msmt17", _msmt(tmp_path, lists=lists))


def test_pictures_of_one_name_in_several_folders_are_several_pictures(tmp_path: Path):
    twin = "0001/0000_000_01_0303morning_0008_0.jpg"
    root = _msmt(tmp_path, lists={"list_val.txt": f"{twin} 1\n"})
    (root / "train" / twin).write_bytes(b"")
    files = list_pictures("msmt17", root)["file"].tolist()
    assert {f"train/{twin}", "train/0000/0000_000_01_0303morning_0008_0.jpg"} <= set(files)


def test_msmt17_refuses_a_list_that_is_no_text_and_both_versions_at_once(tmp_path: Path):
    root = _msmt(tmp_path)
    (root / "list_val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"list_val\.txt is no text file"):
        list_pictures("msmt17", root)
    _msmt(tmp_path)
    (root / "mask_train_v2").mkdir()
    with pytest.raises(DataError, match="holds both train and mask_train_v2"):
        list_pictures("msmt17", root)


@pytest.mark.parametrize("gone", [*MSMT, "train", "test"])
def test_msmt17_without_a_list_or_folder(tmp_path: Path, gone: str):
    root = _msmt(tmp_path)
    (root / gone).rename(root / "elsewhere")
    with pytest.raises(DataError, match=rf"{gone}.* not found \(found: elsewhere, "):
        list_pictures("msmt17", root)


@pytest.mark.parametrize(
    "name",
    [
        "holiday.jpg",
        "0003_1.jpg",
        "-2_c1.jpg",
        "c1_0003.jpg",
        "0003_cx.png",
        f"{10**12}_c1.jpg",
        f"0003_c{10**12}.jpg",
    ],
)
def test_a_name_that_does_not_parse(tmp_path: Path, name: str):
    root = _market(tmp_path)
    (root / "query" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"the name does not begin like 0002_c1 \(identity, camera\); rename it"):
        list_pictures("folder", root)


def test_names_may_hold_any_kind_of_space_and_nothing_else_that_cannot_be_printed(tmp_path: Path):
    root = _market(tmp_path)
    (root / "query" / "0003_c1_10.00\u202fAM.jpg").write_bytes(b"")  # as a Mac names a screenshot
    assert "query/0003_c1_10.00\u202fAM.jpg" in list_pictures("folder", root)["file"].tolist()
    (root / "query" / "0003_c1\n.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"query: the name '0003_c1\\n\.jpg' holds U\+000A, which cannot be printed"):
        list_pictures("folder", root)


def test_links_that_nobody_needs_are_passed_over_and_a_needed_one_to_nowhere_is_named(tmp_path: Path):
    root = _market(tmp_path)
    before = list_pictures("folder", root)
    (root / "loop").symlink_to("loop")
    assert list_pictures("folder", root).equals(before)
    (root / "query").rename(root / "elsewhere")
    (root / "query").symlink_to("/not/mounted")
    with pytest.raises(DataError, match=r"query is a link to /not/mounted, which is not there; mount or fetch"):
        list_pictures("folder", root)
    (root / "pictures.csv").symlink_to("/not/fetched.csv")
    with pytest.raises(DataError, match=r"pictures\.csv is a link to /not/fetched\.csv, which is not there"):
        list_pictures("folder", root)


def test_people_of_the_training_may_not_be_tested(tmp_path: Path):
    root = _market(tmp_path)
    (root / "bounding_box_train" / "-1_c1.jpg").write_bytes(b"")  # junk and distractors are nobody
    (root / "bounding_box_train" / "0000_c1.jpg").write_bytes(b"")
    list_pictures("folder", root)
    for pid in range(11, 18):
        for folder in ("bounding_box_train", "bounding_box_test"):
            (root / folder / f"{pid:04d}_c1_{folder}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="identity 11, 12, 13, 14, 15 … and 2 more in training and also in query or"):
        list_pictures("folder", root)


def test_a_query_may_not_ask_for_a_distractor(tmp_path: Path):
    root = _market(tmp_path)
    (root / "query" / "0000_c1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"0000_c1\.jpg: a query of identity 0.*number people from 1"):
        list_pictures("folder", root)


def test_one_name_in_query_and_gallery_is_two_pictures(tmp_path: Path):
    root = _market(tmp_path)
    (root / "bounding_box_test" / "0003_c1s1_000001_00.jpg").write_bytes(b"")
    assert len(list_pictures("folder", root)) == len(list_pictures("folder", _market(tmp_path / "other"))) + 1


def test_a_root_that_is_no_folder(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        list_pictures("folder", tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"notes\.txt is a file; give a folder \(data_root, or --root\)"):
        list_pictures("folder", tmp_path / "notes.txt")
    for name in ("Market.zip", "Market.tar", "Market.TAR.gz", "Market.tgz", "Market.tar.bz2", "Market.tar.xz"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataError, match=rf"python -m gcl_core unpack .*{name} --out DIR"):
            list_pictures("folder", tmp_path / name)


@pytest.mark.parametrize("above", ["", "a", "a/b"])
@pytest.mark.parametrize("dataset", ["market1501", "msmt17"])
def test_a_root_above_the_right_one_is_corrected(tmp_path: Path, dataset: str, above: str):
    make = _msmt if dataset == "msmt17" else _market
    root = make(tmp_path / "given" / above / "right")
    with pytest.raises(DataError, match=rf"data_root={root} looks right$"):
        list_pictures(dataset, tmp_path / "given")


def test_the_folder_that_a_mac_puts_into_its_archives_is_no_dataset(tmp_path: Path):
    root = _market(tmp_path / "right")
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "__MACOSX" / "right" / name).mkdir(parents=True)
        (tmp_path / "__MACOSX" / "right" / name / "._0002_c1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=rf"; data_root={root} looks right$"):
        list_pictures("market1501", tmp_path)


@pytest.mark.parametrize("deeper", ["bounding_box_train", "0002"])
def test_pictures_one_folder_too_deep_are_found(tmp_path: Path, deeper: str):
    folder = _market(tmp_path) / "bounding_box_train"
    pictures = list(folder.iterdir())
    (folder / deeper).mkdir()
    for path in pictures:
        path.rename(folder / deeper / path.name)
    with pytest.raises(DataError, match=rf"{folder} holds no picture itself, but {folder / deeper} does; move the pic"):
        list_pictures("market1501", tmp_path)


@pytest.mark.parametrize("below", ["query", "bounding_box_train/deeper"])
def test_a_root_below_the_right_one_is_corrected(tmp_path: Path, below: str, monkeypatch):
    root = _market(tmp_path / "right")
    (root / below).mkdir(exist_ok=True)
    with pytest.raises(DataError, match=rf"data_root={root} looks right$"):
        list_pictures("folder", root / below)
    monkeypatch.chdir(root / below)
    with pytest.raises(DataError, match=rf"data_root={root} looks right$"):
        list_pictures("folder", Path("."))


def test_the_wrong_dataset_is_corrected(tmp_path: Path):
    with pytest.raises(DataError, match="dataset=market1501 looks right for what is there"):
        list_pictures("msmt17", _market(tmp_path / "market"))
    with pytest.raises(DataError, match="dataset=msmt17 looks right for what is there"):
        list_pictures("folder", _msmt(tmp_path / "msmt"))
    with pytest.raises(DataError, match=f"'cuhk' is no dataset known here; choose one of {', '.join(DATASETS)}"):
        list_pictures("cuhk", tmp_path)


@pytest.mark.parametrize("closed", ["", "query"])
def test_a_folder_without_the_right_to_read_it(closed: str, unprivileged):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        root = _market(folder / "set")
        (root / closed).chmod(0)
        with unprivileged(), pytest.raises(DataError, match=rf"{root / closed} cannot be read \(Permission denied\)"):
            list_pictures("folder", root)
    finally:
        shutil.rmtree(folder)


def test_a_neighbour_that_may_not_be_read_does_not_hide_the_advice(unprivileged):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        root = _market(folder / "right")
        (folder / "closed").mkdir(mode=0)
        with unprivileged(), pytest.raises(DataError, match=rf"data_root={root} looks right$"):
            list_pictures("folder", folder)
    finally:
        shutil.rmtree(folder)


def test_long_lists_are_cut():
    assert some_of([1, 2, 3]) == "1, 2, 3"
    assert some_of("abcde", 2) == "a, b … and 3 more"
    assert some_of([]) == ""
