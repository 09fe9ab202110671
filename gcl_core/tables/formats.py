"""Tables in three formats from one frame: CSV for machines, Markdown for reading, LaTeX (booktabs) for papers."""

import math
import re
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
BETWEEN, INCHES = 2.8, 0.062  # characters between two columns; the width of a character
NARROWEST = 16  # characters of a column that is wrapped: longer words would stand out of it
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

    It stands in one column of a two-column page if it fits there, otherwise across both; what is too wide for that has
    its longest words wrapped, and is made smaller if that is not enough.
    """
    numbers = [all(map(NUMBER.fullmatch, column)) for column in zip(*_cells(frame), strict=True)]
    numeric = [a or b for a, b in zip(_numeric(frame), numbers or [False] * frame.shape[1], strict=True)]
    rows = [list(map(str, frame.columns)), *_cells(frame)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    kind = "table" if sum(wide) + BETWEEN * len(wide) <= COLUMN_CHARACTERS else "table*"
    fitted = _wrapped(wide, numeric)
    width = sum(fitted) + BETWEEN * len(wide)
    wraps = [new < old for new, old in zip(fitted, wide, strict=True)]
    columns = zip(fitted, wraps, numeric, strict=True)
    alignment = "".join(
        f"p{{{INCHES * size:.2f}in}}" if wrap else "r" if number else "l" for size, wrap, number in columns
    )
    ragged = [r"\raggedright " if wrap and place < len(wraps) - 1 else "" for place, wrap in enumerate(wraps)]
    head, *body = [
        " & ".join(f"{start}{escape_latex(cell)}" for start, cell in zip(ragged, row, strict=True)) + r" \\"
        for row in rows
    ]
    tabular = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    tabular.append(r"\end{tabular}")
    if width > PAGE_CHARACTERS:
        tabular = [r"\resizebox{\textwidth}{!}{%", *tabular, "}"]
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


def _wrapped(wide: list[int], numeric: list[bool]) -> list[int]:
    """Return the widths of columns in characters, those of words made narrower until the table fits the page."""
    fitted = list(wide)
    places = [place for place, number in enumerate(numeric) if not number]
    while sum(fitted) + BETWEEN * len(fitted) > PAGE_CHARACTERS and places:
        longest = max(places, key=fitted.__getitem__)
        if fitted[longest] <= NARROWEST:
            break
        fitted[longest] -= 1
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
