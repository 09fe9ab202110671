"""Frames on disk whose columns have declared types: what is read has the types of what was written."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gcl_core.files import RunError, atomic, write_text

OTHERS = "*"  # in a schema: the type of columns that it does not name
Schema = Mapping[str, str]  # column → str, int64, Int64 (blank where unknown), float64 (NaN) or bool
_READ: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int64": int,
    "Int64": lambda text: int(text) if text else pd.NA,
    "float64": lambda text: float(text) if text else math.nan,
    "bool": {"True": True, "False": False}.__getitem__,
}


def typed(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return a frame with exactly the types of a schema: the columns it names in its order, then others it allows.

    A column that is not there is blank. Raises ValueError for a column that the schema does not allow, and for values
    that are not of its type.
    """
    named = [name for name in schema if name != OTHERS]
    others = [str(name) for name in frame.columns if name not in named]
    if others and OTHERS not in schema:
        raise ValueError(f"the columns {others} are not declared; known: {', '.join(named)}")
    columns = {name: _typed(frame, name, schema.get(name, schema.get(OTHERS, ""))) for name in [*named, *others]}
    return pd.DataFrame(columns).reset_index(drop=True)


def _typed(frame: pd.DataFrame, name: str, kind: str) -> pd.Series:
    column = frame[name].astype(object) if name in frame else pd.Series([None] * len(frame), dtype=object)
    known = column.where(column.notna(), "" if kind == "str" else None)
    return known.astype(kind)  # pyright: ignore[reportReturnType]  # one column stays one


def write_typed(path: Path, schema: Schema, frame: pd.DataFrame) -> None:
    """Write a frame, made `typed`, whole or not at all: CSV with full precision or, by the name's ending, Parquet."""
    frame = typed(frame, schema)
    if path.suffix == ".parquet":
        with atomic(path) as temporary:
            frame.to_parquet(temporary, index=False, compression="zstd")
    else:
        write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_typed(path: Path, schema: Schema) -> pd.DataFrame:
    """Return what `write_typed` wrote. Raises RunError for a file that is not there or is not of that schema."""
    try:
        if path.suffix == ".parquet":
            return typed(pd.read_parquet(path), schema)
        texts = read_texts(path)
        kinds = {str(name): schema.get(str(name), schema.get(OTHERS, "")) for name in texts}
        known = {name: [_READ[kind](text) for text in texts[name]] for name, kind in kinds.items()}
        return typed(pd.DataFrame(known), schema)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"cannot read {path}: {error}; run the notebook that writes it") from error


def read_texts(path: Path) -> pd.DataFrame:
    """Return the cells of a CSV as they are spelled; raises OSError or ValueError for a file that is none."""
    return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[])
