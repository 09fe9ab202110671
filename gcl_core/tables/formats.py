"""Tables in three formats from one frame: CSV for machines, Markdown for reading, LaTeX (booktabs) for papers."""

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from gcl_core.figure_manifest import record_files
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.losses.names import VIEW_INVARIANT
from gcl_core.tables.short import short_table
from gcl_core.typed_frames import read_texts

NOT_RUN = "not run"  # stands in a column of numbers for one that nobody has measured yet
DIGITS = {  # decimals of a column; two where nothing is said
    **dict.fromkeys(("pictures per person", "mAP", "± mAP", "rank-1", "± rank-1", "rank-5", "rank-10"), 1),
    **dict.fromkeys(("best mAP on test", "clusters", "outliers"), 1),
    **dict.fromkeys(("ARI", "ari", "nmi", "purity"), 3),
    **dict.fromkeys(("alone", "mirrored", "drawn", "surface, fitted", "surface, known", "true"), 1),
    "eps": 4,
    **dict.fromkeys(VIEW_INVARIANT.values(), 0),
}
TEXTS = {  # columns of words, also where all are blank or look like numbers
    *("claim", "compared", "metric", "verdict", "rung", "variant", "clusterer", "way", "split", "stage", "ranking"),
    *("setting", "source", "method", "data", "of", "measure", "encoding", "runs", "read in", "pictures of", "x_nv"),
    *("by", "value"),
}
NUMBER = re.compile(rf"|{NOT_RUN}|[-+]?\d[\d.]*( (±|to) [-+]?\d[\d.]*)?")  # maybe with its spread, or an interval
WHOLE = ("seeds", "pictures")  # columns of counts that may be blank
COLUMN_CHARACTERS, PAGE_CHARACTERS = 52, 112  # what fits into 3.25 and 6.875 inches at 8 points
BETWEEN, CLOSER, INCHES = 2.8, 1.4, 0.062  # characters between two columns, and with 3pt beside each; the width of one
NARROWEST = 16  # characters of a column of long texts
NEGATIVE = re.compile(r"(?<![\w.)-])-(?=\d)")  # the hyphen of a negative number, also within an interval
LATEX = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # at the start of a row it would be an argument of the line break before it
    "*": "{*}",  # and this one too
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "°": r"\textdegree{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "\u2013": "--",
    "ε": r"$\varepsilon$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "\u2212": "$-$",
    "→": r"$\to$",
    "∞": r"$\infty$",
}


def save_table(
    frame: pd.DataFrame, layout: Layout, name: str, *, runs: Sequence[Path], caption: str, reading: str = ""
) -> Markdown:
    """Write a table to the study's figures, as `write_table` does; return it for display.

    Its files are entered into the manifest with the run folders that they come from.
    """
    files = write_table(frame, layout.figures, name, caption=caption, reading=reading)
    record_files(layout, files, runs=runs, caption=caption)
    return Markdown(files[1].read_text(encoding="utf-8"))


def write_table(frame: pd.DataFrame, folder: Path, name: str, *, caption: str, reading: str = "") -> list[Path]:
    """Write `name`.csv, `name`.md and `name`.tex to a folder, whole or not at all; return the three.

    The CSV keeps full precision, the others round as DIGITS says; missing values are blank. The Markdown file begins
    with `reading`, what the table says in words, where that is given. The LaTeX file is the short version of the table
    (`short_table`), for a column of a paper; CSV and Markdown keep everything.
    """
    short, same = short_table(frame, list(zip(*_cells(frame), strict=True)) or [[]] * frame.shape[1])
    texts = {
        "csv": frame.to_csv(index=False, lineterminator="\n"),
        "md": "\n\n".join(part for part in (reading, caption, markdown_table(frame)) if part),
        "tex": latex_table(short, caption=" ".join(filter(None, [caption, same])), label=f"tab:{name}"),
    }
    files = [folder / f"{name}.{ending}" for ending in texts]
    for path, text in zip(files, texts.values(), strict=True):
        write_text(path, text)
    return files


def read_table(path: Path) -> pd.DataFrame:
    """Return a table that `save_table` wrote as CSV, with the types that it was saved with.

    A column is of words where TEXTS says so or what it holds is no number, and a blank in it is ""; columns of WHOLE
    are Int64. A column of numbers with `not run` among them holds numbers and that text, never numbers as text; a blank
    is NaN. Raises RunError for a file that is not there or no table.
    """
    try:
        texts = read_texts(path)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read the table {path}: {error}; run the notebook that writes it") from error
    return pd.DataFrame({name: _typed(str(name), texts[name].tolist()) for name in texts})


def of_runs(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows that have a number in a column: older tables have others too, which say `not run` there."""
    if column not in frame:
        return frame
    return frame.iloc[np.flatnonzero(frame[column] != NOT_RUN)].reset_index(drop=True).infer_objects()


def _typed(name: str, texts: list[str]) -> pd.Series:
    known = [each for each in texts if each not in ("", NOT_RUN)]
    if name in TEXTS or not all(map(_is_number, known)):
        if name not in TEXTS and known and set(known) <= {"True", "False"}:
            return pd.Series([each == "True" if each in known else each or math.nan for each in texts])
        return pd.Series(texts, dtype="str")
    whole = bool(known) and all(re.fullmatch(r"-?\d+", each) for each in known)
    read = int if whole else float
    values: list[Any] = [each if each == NOT_RUN else math.nan if each == "" else read(each) for each in texts]
    if NOT_RUN in texts:
        return pd.Series(values, dtype=object)
    if name in WHOLE or (whole and len(known) < len(texts)):
        return pd.Series([pd.NA if each == "" else int(each) for each in texts], dtype="Int64")
    return pd.Series(values, dtype=np.int64 if whole else np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table, numbers to the right."""
    head, *body = [
        [text.replace("|", r"\|") for text in row] for row in [list(map(str, frame.columns)), *_cells(frame)]
    ]
    rule = ["--:" if numeric else ":--" for numeric in _numeric(frame)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body]) + "\n"


def read_markdown(text: str) -> tuple[list[bool], list[list[str]]]:
    """Return what `markdown_table` wrote, alone or at the end of a text: which columns hold numbers, and the rows."""
    lines = text.rstrip("\n").rpartition("\n\n")[2].splitlines()
    rows = [f" {line[2:-2]} ".split(" | ") for line in lines]
    head, rule, *body = [[cell.strip().replace(r"\|", "|") for cell in row] for row in rows]
    return [mark == "--:" for mark in rule], [head, *body]


def latex_table(frame: pd.DataFrame, *, caption: str, label: str) -> str:
    """Return a frame as a LaTeX table (needs booktabs, textcomp and graphicx), every special character escaped.

    It stands in one column of a two-column page if it fits there, otherwise across both. In what is too wide for that,
    headings and cells of words are wrapped; then columns move closer; if that is not enough, it is made smaller.
    """
    head, cells = list(map(str, frame.columns)), list(zip(*_cells(frame), strict=True)) or [()] * frame.shape[1]
    numeric = [
        known or (len(column) > 0 and all(map(NUMBER.fullmatch, column)))
        for known, column in zip(_numeric(frame), cells, strict=True)
    ]
    wide = [max(map(len, (name, *column))) for name, column in zip(head, cells, strict=True)]
    kind = "table" if sum(wide) + BETWEEN * len(wide) <= COLUMN_CHARACTERS else "table*"
    kept = [
        max(map(len, column), default=0) if number else NARROWEST for column, number in zip(cells, numeric, strict=True)
    ]
    narrow = [
        max(_longest_word(name), *(min(len(cell), keep) for cell in column), 1)
        for name, column, keep in zip(head, cells, kept, strict=True)
    ]
    apart, closer = (PAGE_CHARACTERS - between * len(wide) for between in (BETWEEN, CLOSER))
    fitted = _narrowed(wide, narrow, apart)
    if sum(fitted) > apart:
        fitted = _narrowed(wide, narrow, closer)
    wraps = [max(map(len, column), default=0) > size for column, size in zip(cells, fitted, strict=True)]
    ragged = [r"\raggedright " if wrap and place < len(wraps) - 1 else "" for place, wrap in enumerate(wraps)]
    alignment = [
        f"p{{{INCHES * size:.2f}in}}" if wrap else "r" if number else "l"
        for size, wrap, number in zip(fitted, wraps, numeric, strict=True)
    ]
    rows = [
        [_heading(*each) for each in zip(head, fitted, numeric, strict=True)],
        *([escape_latex(NEGATIVE.sub("\N{MINUS SIGN}", cell)) for cell in row] for row in zip(*cells, strict=True)),
    ]
    top, *body = [" & ".join(map(str.__add__, ragged, row)) + r" \\" for row in rows]
    tabular = [rf"\begin{{tabular}}{{{''.join(alignment)}}}", r"\toprule", top, r"\midrule", *body, r"\bottomrule"]
    tabular.append(r"\end{tabular}")
    if sum(fitted) > closer:
        tabular = [r"\resizebox{\textwidth}{!}{%", *tabular, "}"]
    if sum(fitted) > apart:
        tabular = [r"\setlength{\tabcolsep}{3pt}", *tabular]
    lines = [
        rf"\begin{{{kind}}}",
        r"\centering",
        r"\footnotesize",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{{label}}}",
        *tabular,
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _heading(name: str, size: int, number: bool) -> str:
    """Return a heading of LaTeX, its lines at most `size` characters long."""
    lines = textwrap.wrap(name, size, break_long_words=False, break_on_hyphens=False)
    stacked = r" \\ ".join(map(escape_latex, lines))
    return rf"\shortstack[{'r' if number else 'l'}]{{{stacked}}}" if len(lines) > 1 else stacked


def _narrowed(wide: Sequence[int], narrow: Sequence[int], room: float) -> list[int]:
    """Return the widths of columns in characters, the longest narrowed, not below `narrow`, until all have room."""
    fitted = list(wide)
    while sum(fitted) > room and (places := [place for place, size in enumerate(fitted) if size > narrow[place]]):
        fitted[max(places, key=fitted.__getitem__)] -= 1
    return fitted


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it stands here."""
    return "".join(LATEX.get(character, character) for character in text)


def _numeric(frame: pd.DataFrame) -> list[bool]:
    """Whether each column holds numbers, maybe with `not run` among them."""
    columns = [frame.iloc[:, place].replace(NOT_RUN, np.nan).infer_objects() for place in range(frame.shape[1])]
    return [
        pd.api.types.is_numeric_dtype(column.dtype)
        and not pd.api.types.is_bool_dtype(column.dtype)
        and column.name not in TEXTS
        for column in columns
    ]


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    columns = [[_text(value, _digits(str(name))) for value in frame[name]] for name in frame.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _digits(column: str) -> int:
    """Return a column's decimals; `Market-1501 mAP` has those of `mAP`."""
    return DIGITS.get(column, DIGITS.get(column.rpartition(" ")[2], 2))


def _text(value: Any, digits: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
