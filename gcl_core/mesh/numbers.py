"""The one place where numbers out of other people's files are checked before anything computes with them."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from gcl_core.mesh.errors import MeshError


def read_number(value: Any, where: str, field: str, expected: str, low: float, high: float) -> float:
    """Return one number of a file, which must be finite and in [low, high].

    `where` names file and picture, `expected` says what the field should hold; both come into the error.
    Raises MeshError: text, null, a list, true or false, NaN, infinite, or out of that range.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and low <= number <= high:
            return number
    raise MeshError(f"{where}: {field} is {show(value)}; expected {expected}")


def read_numbers(
    values: Any, where: str, field: str, expected: str, *, most: float, gaps: bool = False
) -> Float[np.ndarray, "..."]:
    """Return an array of a file's numbers, each finite and of a size up to `most`; with `gaps` NaN stays as it is.

    Raises MeshError: no array of numbers, NaN or infinite ones, or larger ones; the first such place is told.
    """
    try:
        array = np.asarray(values)
        if array.dtype == object:  # of numbers and None, say, or of lists of unlike lengths
            array = np.array([_only_number(item) for item in array.ravel()], dtype=np.float64).reshape(array.shape)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"its entries are of type {array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        told = text_of(str(error))
        raise MeshError(f"{where}: {field} is no array of numbers ({told}); expected {expected}") from error
    broken = np.asarray(np.isinf(array) if gaps else ~np.isfinite(array))
    if broken.any():
        kind = "infinite numbers" if gaps else "NaN or infinite numbers"
        raise MeshError(f"{where}: {field} holds {broken.sum()} {kind}, {_first(broken)}; expected {expected}")
    wide = np.asarray(np.abs(np.nan_to_num(array)) > most)
    if wide.any():
        raise MeshError(
            f"{where}: {field} holds {array[wide][0]:g}, {_first(wide)}, which is beyond {most:g}; expected {expected}"
        )
    return array


def show(value: Any, length: int = 60) -> str:
    """Return a value as short printable text, whatever a file put there."""
    try:
        text = "null" if value is None else ascii(value)
    except ValueError:  # an integer of more digits than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else f"{text[:length]}…"


def text_of(name: str) -> str:
    """Return a name so that it can be printed whatever a file put into it."""
    return name if name.isprintable() and len(name) < 200 else ascii(name[:200])


def _only_number(item: Any) -> float:
    if isinstance(item, bool) or not isinstance(item, int | float | np.integer | np.floating):
        raise TypeError(f"it holds {show(item)}")
    return float(item)


def _first(places: np.ndarray) -> str:
    place = np.argwhere(places)[0].tolist()
    return f"first at {place}" if place else "which is all it holds"
