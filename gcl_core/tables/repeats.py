"""How far repeats of one training differ: the same variant on the same people with other training draws."""

import math

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.measure.artifacts import numbers, where

COUNTED, SPREAD = "repeats", "SD over repeats"  # columns of tables: trainings per seed, and of mAP in points


def repeat_columns(repeats: pd.DataFrame, variant: str) -> dict[str, float | int]:
    """Return COUNTED and SPREAD of a variant from the record `repeats`; the spread is NaN where each seed has one."""
    lines = where(repeats, variant=variant)
    return {COUNTED: int(numbers(lines, "repeat").max()) + 1, SPREAD: _within(lines)[0]}


def repeat_reading(study: Study, repeats: pd.DataFrame) -> str:
    """Return in words which numbers are means over repeats, and how far single trainings differ."""
    several = [name for name in study.variants if len(study.repeats_of(name)) > 1]
    single = [name for name in study.variants if name not in several]
    if not several:
        return (
            "Each number is that of one training. Repeats of a training with other draws were not run here; in other "
            "runs of this size they differed by a standard deviation of 1 to 2 points of mAP (docs/PROTOCOL.md)."
        )
    deviation, freedom = _within(repeats)
    counts = sorted({len(study.repeats_of(name)) for name in several})
    titles = ", ".join(study.variants[name].title for name in several)
    of = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = (
        f"Numbers of {titles} are means of {of} trainings per seed, each with other training draws on the same people. "
        f"Single trainings differ by a standard deviation of {deviation:.1f} points of mAP ({freedom} degrees of "
        "freedom)."
    )
    if single:
        verb = "is" if len(single) == 1 else "are each"
        titles = ", ".join(study.variants[name].title for name in single)
        text += f" {titles} {verb} one training, and may be off by as much."
    return text


def _within(lines: pd.DataFrame) -> tuple[float, int]:
    """Return the standard deviation of mAP in points within variant and seed, pooled, and its degrees of freedom."""
    groups = [100 * numbers(group, "map") for _, group in lines.groupby(["variant", "seed"])]
    freedom = sum(len(values) - 1 for values in groups)
    if not freedom:
        return float("nan"), 0
    squares = math.fsum(float(((values - values.mean()) ** 2).sum()) for values in groups)  # `sum` changed in 3.12
    return float(np.sqrt(squares / freedom)), freedom
