"""Listing datasets: protocol and bad folders."""

from pathlib import Path

import pytest

from gcl_core.data.index import DataError, read_market_layout, read_msmt17

MARKET = {
    "bounding_box_train": ["0007_c2s1_000010_01.jpg", "0002_c1s1_000451_03.jpg"],
    "query": ["0003_c1s1_000001_00.jpg"],
    "bounding_box_test": ["0003_c2s1_000002_00.jpg", "-1_c1s1_000003_00.jpg", "0000_c4s1_000004_00.jpg", "Thumbs.db"],
}


def _market(root: Path, files: dict[str, list[str]] = MARKET) -> Path:
    for folder, names in files.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(b"")
    return root


def test_market_protocol(tmp_path: Path):
    index = read_market_layout(_market(tmp_path))
    assert list(index.itertuples(index=False, name=None)) == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 1, "train"),
        ("bounding_box_train/0007_c2s1_000010_01.jpg", 7, 2, "train"),
        ("query/0003_c1s1_000001_00.jpg", 3, 1, "query"),
        ("bounding_box_test/0000_c4s1_000004_00.jpg", 0, 4, "gallery"),  # a distractor stays, junk goes
        ("bounding_box_test/0003_c2s1_000002_00.jpg", 3, 2, "gallery"),
    ]


def test_duke_names_parse(tmp_path: Path):
    duke = {folder: ["0001_c2_f0046182.jpg"] for folder in MARKET}
    index = read_market_layout(_market(tmp_path, duke))
    assert set(zip(index["pid"], index["camid"], strict=True)) == {(1, 2)}


def test_msmt17_lists(tmp_path: Path):
    lines = {
        "list_train.txt": "0000/0000_000_01_0303morning_0008_0.jpg 0\n",
        "list_val.txt": "0001/0001_000_15_0303noon_0008_0.jpg 1\n",
        "list_query.txt": "0000/0000_000_02_0303morning_0008_0.jpg 0\n",
        "list_gallery.txt": "0000/0000_001_03_0303morning_0008_0.jpg 0\n",
    }
    for name, text in lines.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "mask_train_v2").mkdir()
    index = read_msmt17(tmp_path)
    assert list(index["split"]) == ["train", "train", "query", "gallery"]
    assert list(index["camid"]) == [1, 15, 2, 3]
    assert index["file"].tolist()[1] == "mask_train_v2/0001/0001_000_15_0303noon_0008_0.jpg"
    (tmp_path / "list_query.txt").write_text("0000_c1.jpg\n")
    with pytest.raises(DataError, match=r"list_query\.txt, line 1"):
        read_msmt17(tmp_path)


def test_wrong_folders_and_names_are_explained(tmp_path: Path):
    with pytest.raises(DataError, match="no such folder"):
        read_market_layout(tmp_path / "nowhere")
    root = _market(tmp_path / "Market")
    with pytest.raises(DataError, match=r"query, bounding_box_test not found \(found: Market\)|found: Market"):
        read_market_layout(tmp_path)
    (root / "query" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"holiday\.jpg: the name does not begin like"):
        read_market_layout(root)
    (root / "query" / "holiday.jpg").unlink()
    (root / "query" / "0003_c1s1_000001_00.jpg").unlink()
    with pytest.raises(DataError, match="no picture in query"):
        read_market_layout(root)
