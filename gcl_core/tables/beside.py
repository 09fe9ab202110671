"""Two folders of figures of one profile beside each other: whose trainings end alike, by the spread of repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gcl_core.files import RunError
from gcl_core.records import record_path
from gcl_core.tables.controls import BASELINE
from gcl_core.tables.formats import read_table
from gcl_core.tables.repeats import COUNTED
from gcl_core.typed_frames import OTHERS, read_typed

LEVEL = 0.95
TRAININGS = "controls"  # the table with a row per training
METRICS = {"mAP": ("map", 100), "rank-1": ("rank1", 100), "clusters": ("clusters", 1), "ARI": ("ari", 1)}
SAME, WITHIN, OUTSIDE, OTHER_SEEDS, UNKNOWN = "same", "within", "outside", "other seeds", ""


@dataclass(frozen=True)
class Spread:
    """How far a single training moves when it is repeated: standard deviations of mAP, rank-1 (%), clusters, ARI."""

    deviations: Mapping[str, float]
    freedom: float  # degrees of freedom of each
    repeated: str  # what differs from repeat to repeat
    source: str

    def limit(self, metric: str, ours: int = 1, theirs: int = 1) -> float:
        """Return what means of so many trainings differ by at most in 95 % of repeats, NaN where that is not known."""
        wide = self.deviations.get(metric, np.nan) * np.sqrt(1 / ours + 1 / theirs)
        return float(wide * stdtrit(self.freedom, (1 + LEVEL) / 2))


MEASURED = Spread({"mAP": 1.4}, np.inf, "roundings", "TDA and GCL at the size of profile mini, docs/PROTOCOL.md")


def recorded_spread(folder: Path) -> Spread | None:
    """Return the spread in a folder's record `repeats`, pooled over all variants and seeds; None where none is kept."""
    groups = [group for _, group in _repeats(folder).groupby(["variant", "seed"]) if len(group) > 1]
    if not groups:
        return None
    freedom = sum(len(group) - 1 for group in groups)
    squares = {key: sum(group[key].var() * (len(group) - 1) for group in groups) for key, _ in METRICS.values()}
    deviations = {name: scale * float(np.sqrt(squares[key] / freedom)) for name, (key, scale) in METRICS.items()}
    source = f"{freedom + len(groups)} trainings in the record `repeats`"
    return Spread(deviations, float(freedom), "random draws, and so other roundings", source)


def side_by_side(ours: Path, theirs: Path, spread: Spread) -> pd.DataFrame:
    """Return one line per training and metric that both folders have: yours, reference and whether they agree.

    `agrees` is `same` to the last digit, `within` or `outside` what repeats differ by, `other seeds` where the means
    are over other numbers of seeds, and blank where no spread is known. Raises RunError for a folder without trainings.
    """
    mine, other = _ends(ours), _ends(theirs)
    lines: list[dict[str, Any]] = []
    for name in (each for each in mine if each in other):
        comparable = mine[name]["seeds"] == other[name]["seeds"]
        for metric in METRICS:
            yours, reference = (float(ends[name][metric]) for ends in (mine, other))
            limit = spread.limit(metric, mine[name]["runs"], other[name]["runs"])
            agrees = agreement(yours, reference, limit) if comparable else OTHER_SEEDS
            line = {"training": name, "metric": metric, "yours": yours, "reference": reference, "agrees": agrees}
            lines += [line] if np.isfinite(yours - reference) else []
    return pd.DataFrame(lines, columns=["training", "metric", "yours", "reference", "agrees"])


def agreement(yours: float, reference: float, limit: float) -> str:
    """Return whether two numbers are the same, within the limit of repeats, or outside; blank without a limit."""
    if yours == reference:
        return SAME
    return UNKNOWN if np.isnan(limit) else WITHIN if abs(yours - reference) <= limit else OUTSIDE


def trainings(folder: Path) -> list[str]:
    """Return the names of the trainings whose ends a folder of figures has."""
    return list(_ends(folder))


def _ends(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what each training of a profile ends with, means over its seeds, and of how many runs these are."""
    path = folder / f"{TRAININGS}.csv"
    if not path.is_file():
        raise RunError(f"{path} is not there: nothing to compare. Run the study of that profile first")
    ends = {}
    for row in read_table(path).to_dict("records"):
        repeats = row.get(COUNTED, 1)  # older tables do not tell; of the baseline it is blank
        name = "baseline" if row["variant"] == BASELINE else str(row["variant"])
        ends[name] = {**row, "runs": row["seeds"] * (1 if pd.isna(repeats) else int(repeats))}
    return ends


def _repeats(folder: Path) -> pd.DataFrame:
    """Return the record `repeats` (variant, seed, repeat, map, …), without lines where it is not kept."""
    path = record_path(folder, "repeats")
    schema = {"variant": "str", OTHERS: "float64"}
    return read_typed(path, schema) if path.is_file() else pd.DataFrame(columns=["variant", "seed"])
