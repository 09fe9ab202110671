"""One's own pictures by a table: the index that names would give, and a plain word on every kind of bad line."""

from pathlib import Path

import pandas as pd
import pytest

from gcl_core.data.index import DataError, list_ignored, list_pictures, read_index
from tests.data.test_index import _market

HEAD = "file,pid,camid,split\n"
ROWS = "pics/ann 1.jpg,1,1,train\npics/bob.PNG,2,1,query\nbob2.jpg,2,2,gallery\n"


def _table(root: Path, text: str = HEAD + ROWS) -> Path:
    """The pictures of ROWS, whatever the table's text."""
    (root / "pics").mkdir(parents=True)
    for line in ROWS.splitlines():
        (root / line.split(",")[0]).write_bytes(b"")
    (root / "pictures.csv").write_text(text, encoding="utf-8")
    return root


def test_a_table_gives_the_index_that_names_give(tmp_path: Path):
    by_name = list_pictures("folder", _market(tmp_path))
    by_name.sample(frac=1, random_state=0).to_csv(tmp_path / "pictures.csv", index=False)
    pd.testing.assert_frame_equal(list_pictures("folder", tmp_path), by_name)
    assert len(read_index("folder", tmp_path)) == len(by_name) - 1  # without junk
    (tmp_path / "pictures.csv").write_text(HEAD)
    pd.testing.assert_frame_equal(list_pictures("market1501", tmp_path), by_name)  # reads names alone


def test_a_table_may_come_from_a_spreadsheet(tmp_path: Path):
    text = (
        "\ufeffcamid, pid,note,split,file\r\n1, 2,,query,pics/bob.PNG\r\n\r\n"
        '2,2,"a, b",gallery,./bob2.jpg\r\n1,1,x,train,"pics/ann 1.jpg"\r\n'
    )
    index = read_index("folder", _table(tmp_path / "b", text))
    pd.testing.assert_frame_equal(index, read_index("folder", _table(tmp_path / "a")))
    assert index.to_numpy().tolist() == [
        ["pics/ann 1.jpg", 1, 1, "train"],
        ["pics/bob.PNG", 2, 1, "query"],
        ["bob2.jpg", 2, 2, "gallery"],
    ]
    (tmp_path / "a" / "pics" / "Thumbs.db").write_bytes(b"")
    assert list_ignored(tmp_path / "a", index) == ["pics/Thumbs.db"]


def test_a_table_may_come_from_another_system(tmp_path: Path):
    """Windows parts folders by another slash, and a Mac writes an accent as a letter of its own."""
    rows = ROWS.replace("bob2", "Jose\u0301")
    root = _table(tmp_path / "a", HEAD + rows.replace("pics/", "pics\\").replace("Jose\u0301", "Jos\u00e9"))
    (root / "bob2.jpg").rename(root / "Jose\u0301.jpg")
    files = read_index("folder", root)["file"].tolist()
    assert files == ["pics/ann 1.jpg", "pics/bob.PNG", "Jose\u0301.jpg"]


def test_a_name_that_no_system_takes_is_told_shortly(tmp_path: Path):
    _table(tmp_path, HEAD + ROWS + f"{'x' * 5000}.jpg,7,1,train\n")
    with pytest.raises(DataError, match=r"^.{200,310}… cannot be read \(File name too long\); shorten it$"):
        list_pictures("folder", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"pictures\.csv, line 1: no column file, pid, camid, split \(found: nothing\); begin the file with"),
        ("file,pid,split\n", r"line 1: no column camid \(found: the columns file, pid, split\)"),
        (HEAD.replace(",", ";"), "no column file, pid, .*parted by commas"),
        (HEAD, r"pictures\.csv lists no picture; give each a line `file,pid,camid,split` below the first"),
        (HEAD + ROWS + "bob2.jpg,2,3,gallery\n", r"line 5: bob2\.jpg is listed already in line 4; remove one"),
        (
            HEAD + ROWS + "./pics/../bob2.jpg,2,3,gallery\n",
            "line 5: file is '.*'; expected a path in the table",
        ),
        (HEAD + "/etc/a.jpg,1,1,train\n", "line 2: file is '/etc/a.jpg'; expected a path in the table's folder"),
        (HEAD + ",1,1,train\n", "line 2: file is ''; expected a path"),
        (HEAD + "\x07.jpg,1,1,train\n", r"line 2: the name '\\x07\.jpg' holds U\+0007, which cannot be printed"),
        (HEAD + ROWS + ",,,\n", "line 5: the line is empty but for its commas; remove it"),
        (f"pid,{HEAD}", "line 1: column pid stands there twice; take one of the two out"),
        (HEAD + "a.gif,1,1,train\n", r"line 2: a\.gif is hidden or no \.jpg, \.jpeg or \.png; convert or rename it"),
        (HEAD + ".a.jpg,1,1,train\n", r"line 2: \.a\.jpg is hidden"),
        (HEAD + ROWS + "a.jpg,ann,1,train\n", "line 5: pid is 'ann'; write -1 .junk., 0 .distractor. or the person's"),
        (HEAD + "a.jpg,1.0,1,train\n", "line 2: pid is '1.0'"),
        (HEAD + "a.jpg,-2,1,train\n", "line 2: pid is '-2'"),
        (HEAD + "a.jpg,1,-1,train\n", "line 2: camid is '-1'; write the camera's number"),
        (HEAD + "a.jpg,1,1234567890,train\n", "line 2: camid is '1234567890'; .* of up to 9 digits"),
        (HEAD + "a.jpg,1,1,test\n", "line 2: split is 'test'; write one of train, query, gallery"),
        (HEAD + "a.jpg,1,1\n", "line 2: split is ''; write one of"),
        (HEAD + ROWS + "gone.jpg,3,1,train\n", r"line 5: .*gone\.jpg is not there; restore it or take the line out"),
        (HEAD + ROWS.rpartition("bob2")[0], "no picture in gallery"),
        (HEAD + ROWS.replace("query", "train"), "no picture in query"),
        (HEAD + ROWS.replace("2,1,query", "1,1,query"), "identity 1 in training and also in query"),
        (HEAD + '"a.jpg,1,1,train\n', r"pictures\.csv cannot be read as CSV \(unexpected end of data\); save it anew"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, words: str):
    with pytest.raises(DataError, match=words):
        list_pictures("folder", _table(tmp_path / "set", text))


def test_a_table_in_another_encoding_and_advice_where_it_is_not_found(tmp_path: Path):
    root = _table(tmp_path / "set")
    with pytest.raises(DataError, match="dataset=folder looks right for what is there"):
        list_pictures("market1501", root)
    with pytest.raises(DataError, match=rf"data_root={root} looks right$"):
        list_pictures("folder", tmp_path)
    with pytest.raises(DataError, match=r"pictures\.csv is a file; name it pictures\.csv, give the folder"):
        list_pictures("folder", root / "pictures.csv")
    (root / "pictures.csv").write_bytes((HEAD + ROWS.replace("ann", "änn")).encode("latin-1"))
    with pytest.raises(DataError, match=r"pictures\.csv is not UTF-8 .*; save it anew as CSV in UTF-8"):
        list_pictures("folder", root)
