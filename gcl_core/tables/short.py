"""The short version of a table, for a paper: no blank columns, no needless decimals, a spread beside its number."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

OMITTED = ("read in", "runs", "best mAP on test")  # where a number was read and how it was made: the full table tells
COMMON = (*("seeds", "repeats", "epoch", "pictures", "n", "queries", "people"), *("data", "encoding", "pictures of"))
LOW, HIGH, SPREAD = "low over ", "high over ", "± "
LARGE = 10  # numbers from here on have one decimal at most


def short_table(frame: pd.DataFrame, cells: Sequence[Sequence[str]]) -> tuple[pd.DataFrame, str]:
    """Return a table's short version, cells as text, and in words what is the same in every row that has it.

    `cells` are those of the full table, column by column. A column and its `±` are one, `73.2 ± 7.2`, and so are the
    ends of an interval; the interval over queries, which decides nothing, gives way to that over seeds. Columns of
    COMMON that are the same in every row are told in words. Blank columns and OMITTED ones are left out.
    """
    texts = {str(name): _shorter(frame.iloc[:, place], cells[place]) for place, name in enumerate(frame.columns)}
    short: dict[str, list[str]] = {}
    same: list[str] = []
    seeds_known = any(texts.get(f"{LOW}seeds", []))
    for name, column in texts.items():
        if name in OMITTED or not any(column) or name.startswith(HIGH) or name.removeprefix(SPREAD) in short:
            continue
        if name == f"{LOW}queries" and seeds_known:
            continue
        if name.startswith(LOW):
            over = name.removeprefix(LOW)
            pairs = zip(column, texts[HIGH + over], strict=True)
            short[f"95 % over {over}"] = [f"{low} to {high}" if low else "" for low, high in pairs]
        elif any(texts.get(SPREAD + name, [])):
            short[name] = [f"{a} ± {b}" if b else a for a, b in zip(column, texts[SPREAD + name], strict=True)]
        elif name in COMMON and len(column) > 1 and len(set(column) - {""}) == 1:
            same.append(f"{name} {max(column)}{' where it applies' if '' in column else ''}")
        else:
            short[name] = column
    return pd.DataFrame(short), f"All rows: {', '.join(same)}." if same else ""


def _shorter(column: pd.Series, cells: Sequence[str]) -> list[str]:
    """Return a column's cells, large numbers with one decimal at most."""
    values: list[Any] = column.tolist()
    return [
        f"{value:.1f}" if isinstance(value, float) and len(text.partition(".")[2]) > 1 and abs(value) >= LARGE else text
        for value, text in zip(values, cells, strict=True)
    ]
