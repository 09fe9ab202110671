"""The short version of a table: what it leaves out, joins and tells of all rows, and that nothing else is lost."""

from pathlib import Path

import numpy as np
import pandas as pd

from gcl_core.tables.formats import read_table, write_table

FRAME = pd.DataFrame(
    {
        "variant": ["GCL", "TDA control"],
        "seeds": pd.Series([3, 3], dtype="Int64"),
        "mAP": [73.25, 76.04],
        "± mAP": [7.2, np.nan],
        "ARI": [0.757, 0.756],
        "effect": [-13.874, 0.694],
        "low over queries": [-15.0, 0.1],
        "high over queries": [-12.0, 1.3],
        "low over seeds": [-29.71, np.nan],
        "high over seeds": [1.97, np.nan],
        "mAP (paper)": [np.nan, np.nan],
        "read in": ["a long source", ""],
        "epoch": ["last epoch", ""],
        "PSNR": [17.68, np.inf],
    }
)


def written(folder: Path) -> tuple[str, list[list[str]], str]:
    """Return the LaTeX table's caption, its rows and the alignment of its columns."""
    write_table(FRAME, folder, "short", caption="Words.")
    text = (folder / "short.tex").read_text(encoding="utf-8")
    lines = text.splitlines()
    rows = [[cell.strip() for cell in line.removesuffix("\\\\").split("&")] for line in lines if line.endswith("\\\\")]
    caption = next(line for line in lines if line.startswith("\\caption"))
    return caption, rows, next(line for line in lines if line.startswith("\\begin{tabular}"))


def test_spreads_and_intervals_stand_in_one_cell_and_blank_columns_are_gone(tmp_path: Path):
    caption, rows, tabular = written(tmp_path)
    assert rows == [
        ["variant", "mAP", "ARI", "effect", "95 \\% over seeds", "PSNR"],
        ["GCL", "73.2 $\\pm$ 7.2", "0.757", "$-$13.9", "$-$29.7 to 1.97", "17.7"],
        ["TDA control", "76.0", "0.756", "0.69", "", "$\\infty$"],
    ]
    assert "Words. All rows: seeds 3, epoch last epoch where it applies." in caption
    assert tabular.startswith("\\begin{tabular}{lrrrr")


def test_csv_and_markdown_keep_everything(tmp_path: Path):
    written(tmp_path)
    pd.testing.assert_frame_equal(read_table(tmp_path / "short.csv"), FRAME, check_dtype=False)
    head = (tmp_path / "short.md").read_text(encoding="utf-8").splitlines()[2]
    assert head == f"| {' | '.join(FRAME.columns)} |"


def test_a_table_without_rows_is_written(tmp_path: Path):
    files = write_table(FRAME.iloc[:0], tmp_path, "empty", caption="Words.")
    assert all(path.is_file() for path in files)
