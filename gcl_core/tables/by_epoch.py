"""What every variant reaches in each epoch of stage 3, beside TDA and beside copies: a description, no test."""

from typing import Any

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.evaluation.effects import seed_effect
from gcl_core.evaluation.verdicts import FEWEST
from gcl_core.measure.artifacts import numbers, where

CONTROLS = {"tda": "TDA", "copy": "copies"}  # the paper's control, and training without any new view
COLUMNS = ["variant", "epoch", "seeds", "mAP"]


def columns_against(control: str) -> list[str]:
    """Return the columns of a control: the difference from it in points of mAP, and the ends of its interval."""
    return [f"{words} {CONTROLS[control]}" for words in ("mAP minus", "low,", "high,")]


def by_epoch_table(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant and measured epoch: mAP (%, mean over seeds) and its differences from TDA and copies.

    `records` are the epochs of all variants; a seed's number is the mean over its repeats. `seeds` have that mAP.
    Differences are in points, over the seeds of which both are known, and stand beside their 95 % intervals over these
    (Student's t; blank for fewer than three). Variants whose stage 3 is longer or shorter than the study's are left
    out. Epoch 0 is the start that all share.
    """
    measured = records.iloc[np.flatnonzero(np.isfinite(numbers(records, "map")))]
    alike = [name for name in study.variants if study.of_variant(name).joint.epochs == study.joint.epochs]
    maps = {name: _by_seed(lines) for name in alike if len(lines := where(measured, stage=name))}
    rows = []
    for name, own in maps.items():
        for epoch, found in ((epoch, own.loc[epoch].dropna()) for epoch in own.index):
            row: dict[str, Any] = dict(zip(COLUMNS, (name, epoch, len(found), found.mean()), strict=True))
            for control in (each for each in CONTROLS if each in maps and each != name):
                both = found.index.intersection(_known(maps[control], epoch))
                if epoch and len(both):
                    effect = seed_effect(found[both].tolist(), maps[control].loc[epoch, both].tolist())
                    known = effect.over_seeds if effect.seeds >= FEWEST else None
                    row |= zip(columns_against(control), (effect.mean, *(known or ())), strict=False)
            rows.append(row)
    against = [column for control in CONTROLS if control in maps for column in columns_against(control)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *against])
    return frame.astype({"epoch": "Int64", "seeds": "Int64", **dict.fromkeys(("mAP", *against), "float64")})


def _known(maps: pd.DataFrame, epoch: Any) -> pd.Index:
    """Return the seeds that have a number after an epoch."""
    return maps.loc[epoch].dropna().index if epoch in maps.index else pd.Index([])


def _by_seed(lines: pd.DataFrame) -> pd.DataFrame:
    """Return mAP in percent, a row per epoch and a column per seed."""
    return 100 * lines.pivot(index="epoch", columns="seed", values="map")
