"""Tables in three formats: nothing lost, everything escaped, missing values blank."""

import io
import re

import pandas as pd
import pytest

from gcl_core.figure_manifest import read_manifest
from gcl_core.layout import Layout
from gcl_core.tables.formats import NOT_RUN, escape_latex, latex_table, markdown_table, read_table, save_table


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": ["50% & more_|", "[bracket]", "L'_vi ± 45°"],
            "seeds": pd.array([3, None, 1], dtype="Int64"),
            "mAP": [12.345678901234567, float("nan"), 1.0],
            "ARI": [0.12345, 0.5, float("nan")],
            "holds": [True, False, True],
        }
    )


def test_all_formats_are_written_and_recorded(layout: Layout, frame: pd.DataFrame):
    shown = save_table(frame, layout, "some_table", runs=[], caption="A caption")
    files = {path.name for path in layout.figures.iterdir()}
    assert files == {"some_table.csv", "some_table.md", "some_table.tex", "manifest.json", "records"}
    assert set(read_manifest(layout.figures)) == files - {"manifest.json", "records"}
    assert "12.3 " in str(shown.data)


def test_a_reading_begins_the_markdown_alone(layout: Layout, frame: pd.DataFrame):
    save_table(frame, layout, "plain", runs=[], caption="A caption")
    save_table(frame, layout, "told", runs=[], caption="A caption", reading="In words.")
    plain, told = ((layout.figures / f"{name}.md").read_text() for name in ("plain", "told"))
    assert told == f"In words.\n\n{plain}"
    assert (layout.figures / "told.csv").read_bytes() == (layout.figures / "plain.csv").read_bytes()
    assert "In words" not in (layout.figures / "told.tex").read_text()


def test_the_csv_keeps_every_digit(layout: Layout, frame: pd.DataFrame):
    save_table(frame, layout, "some_table", runs=[], caption="A caption")
    back = pd.read_csv(io.StringIO((layout.figures / "some_table.csv").read_text()))
    assert back["mAP"].iloc[0] == frame["mAP"].iloc[0]
    assert list(back["method"]) == list(frame["method"])


def test_a_table_comes_back_with_the_types_that_it_had(layout: Layout):
    frame = pd.DataFrame(
        {
            "text": ["a", "", "1 of 2"],
            "number": [1.5, float("nan"), -0.1],
            "partly": [2.5, NOT_RUN, float("nan")],
            "whole": [1, 2, 3],
            "counted": pd.array([1, None, 3], dtype="Int64"),
            "known": [True, False, True],
            "held": [True, NOT_RUN, False],
            "unknown": [float("nan")] * 3,
            "infinite": [float("inf"), 1.0, 2.0],
            "seeds": pd.array([None] * 3, dtype="Int64"),
            "runs": ["", "", ""],
            "variant": ["1", "02", "3"],
        }
    )
    save_table(frame, layout, "types", runs=[], caption="types")
    pd.testing.assert_frame_equal(read_table(layout.figures / "types.csv"), frame)


def test_a_column_of_words_stands_at_the_left_also_where_all_are_blank():
    frame = pd.DataFrame({"runs": [float("nan")] * 2, "mAP": [float("nan")] * 2})
    assert markdown_table(frame).splitlines()[1] == "| :-- | --: |"


def test_markdown_rounds_by_column_and_leaves_missing_values_blank(frame: pd.DataFrame):
    lines = markdown_table(frame).splitlines()
    assert lines[1] == "| :-- | --: | --: | --: | :-- |"
    assert lines[2] == r"| 50% & more_\| | 3 | 12.3 | 0.123 | yes |"
    assert lines[3] == "| [bracket] |  |  | 0.500 | no |"


def test_not_run_stands_among_numbers_and_a_dataset_before_a_measure_changes_no_rounding():
    frame = pd.DataFrame({"method": ["a", "b"], "Market-1501 mAP": [66.84, NOT_RUN], "MSMT17 ARI": [NOT_RUN, 0.12345]})
    assert markdown_table(frame).splitlines()[1:] == [
        "| :-- | --: | --: |",
        "| a | 66.8 | not run |",
        "| b | not run | 0.123 |",
    ]


def test_latex_has_booktabs_rules_and_as_many_cells_a_row(frame: pd.DataFrame):
    text = latex_table(frame, caption="100% sure", label="tab:x")
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{100\% sure}", r"\begin{tabular}{lrrrl}"):
        assert word in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(frame)
    assert all(len(re.split(r"(?<!\\)&", row)) == len(frame.columns) for row in rows)
    assert not any(row.startswith("[") for row in rows)


def test_latex_has_minus_signs_before_numbers_and_hyphens_in_words():
    frame = pd.DataFrame(
        {"compared": ["tda - gcl", "k-means"], "effect": [-1.5, 2.0], "95 %": ["-3.0 to -0.5", "1 to 3"]}
    )
    text = latex_table(frame, caption="rank-1", label="tab:a")
    assert "tda - gcl" in text
    assert "k-means" in text
    assert r"& $-$1.50 & $-$3.0 to $-$0.5 \\" in text


def test_latex_special_characters_are_escaped():
    assert escape_latex(r"a_b{c}\d~^") == r"a\_b\{c\}\textbackslash{}d\textasciitilde{}\textasciicircum{}"
    assert escape_latex("45° ± 2 †") == r"45\textdegree{} $\pm$ 2 $\dagger$"
