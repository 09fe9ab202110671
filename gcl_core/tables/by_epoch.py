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

    `records` are the epochs of all variants; a seed's number is the mean over its repeats. Differences are in points
    and stand beside their 95 % intervals over seeds (Student's t; blank for fewer than three). Variants whose stage 3
    is longer or shorter than the study's are left out. Epoch 0 is the start that all share.
    """
    measured = records.iloc[np.flatnonzero(np.isfinite(numbers(records, "map")))]
    alike = [name for name in study.variants if study.of_variant(name).joint.epochs == study.joint.epochs]
    maps = {name: _by_seed(lines) for name in alike if len(lines := where(measured, stage=name))}
    rows = []
    for name, own in maps.items():
        for epoch in own.index:
            row: dict[str, Any] = dict(
                zip(COLUMNS, (name, epoch, len(own.columns), own.loc[epoch].mean()), strict=True)
            )
            for control in (each for each in CONTROLS if each in maps and each != name):
                pair = [each.loc[epoch] for each in own.align(maps[control], join="inner") if epoch in each.index]
                if epoch and len(pair) == 2:
                    effect = seed_effect(*(each.tolist() for each in pair))
                    known = effect.over_seeds if effect.seeds >= FEWEST else None
                    row |= zip(columns_against(control), (effect.mean, *(known or ())), strict=False)
            rows.append(row)
    against = [column for control in CONTROLS if control in maps for column in columns_against(control)]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *against])
    return frame.astype({"epoch": "Int64", "seeds": "Int64", **dict.fromkeys(("mAP", *against), "float64")})


def _by_seed(lines: pd.DataFrame) -> pd.DataFrame:
    """Return mAP in percent, a row per epoch and a column per seed."""
    return 100 * lines.pivot(index="epoch", columns="seed", values="map")
