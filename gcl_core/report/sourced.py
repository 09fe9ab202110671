"""Numbers of tables, set in LaTeX together with the place that each of them comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.tables.claims import shown_interval
from gcl_core.tables.formats import escape_latex, read_table


@dataclass(frozen=True)
class Row:
    """A row of a CSV table: the table's path from a profile's figures, the line in that file, and its cells."""

    table: str
    line: int
    cells: Mapping[Any, Any]


def rows(figures: Path, table: str, **values: str) -> list[Row]:
    """Return the rows of `figures`/`table`.csv that have these values; none where there is no such table."""
    path = figures / f"{table}.csv"
    return list(_rows(path, table, values)) if path.is_file() else []


def _rows(path: Path, table: str, values: Mapping[str, str]) -> Iterator[Row]:
    for place, cells in enumerate(read_table(path).to_dict("records")):
        if all(cells[name] == value for name, value in values.items()):
            yield Row(table, place + 2, cells)  # the first line has the names of the columns


def sourced(text: str, source: str) -> str:
    r"""Return LaTeX that prints `text` and keeps `source` in the file: `\from{text}{source}`."""
    return rf"\from{{{text}}}{{{escape_latex(source)}}}"


def number(row: Row, column: str, digits: int = 0, *, signed: bool = False) -> str:
    """Return a cell as a sourced number. Raises ValueError for a blank cell."""
    value = row.cells[column]
    if pd.isna(value):
        raise ValueError(f"{row.table}.csv has nothing in line {row.line}, column {column!r}")
    text = f"{float(value):{'+' if signed else ''}.{digits}f}"
    return sourced(f"${text}$", f"{row.table}.csv:{row.line}:{column}")


def effect(row: Row) -> str:
    """Return an effect of a table of claims with its interval over seeds, where it is shown."""
    low, high = "low over seeds", "high over seeds"
    told = number(row, "effect", 1, signed=True)
    if shown_interval(row.cells, "seeds") is None:
        return told
    return f"{told} ({number(row, low, 1, signed=True)} to {number(row, high, 1, signed=True)})"
