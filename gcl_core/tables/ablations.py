"""What each loss brings: every variant's accuracy and clusters at its headline epoch."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from gcl_core.config import Study
from gcl_core.losses.names import VIEW_INVARIANT
from gcl_core.measure.artifacts import (
    headline_epochs,
    headline_words,
    numbers,
    picked_on_test,
    spread,
    start_of_training,
    where,
)
from gcl_core.tables.repeats import COUNTED, SPREAD, repeat_columns, repeat_reading

BEST = "best mAP on test"  # not a result: its epoch is picked by the test set (D15)


def ablation_table(study: Study, records: pd.DataFrame, repeats: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant: its losses, then accuracy (%) and clusters of its headline, means over seeds.

    `epoch` says which epoch that is (`headline_epochs`). `±` is half the range over seeds, blank for one.
    `repeats` is the number of trainings per seed that a value is the mean of; `SD over repeats` is how much single
    trainings differ. The first row is the encoder that all start from, with the clusters that they start with. `best
    mAP on test` picks its epoch by the test set and is no headline unless the study asks for it (D15). `mAP (paper)` is
    blank: those values are not recovered.
    """
    heads = headline_epochs(study, records)
    rows: list[dict[str, Any]] = [_start(records)]
    for name, settings in study.variants.items():
        runs = where(records, stage=name)
        best = [_best(100 * numbers(where(runs, seed=seed), "map")) for seed in sorted(set(runs["seed"]))]
        rows.append(
            {
                "variant": settings.title,
                "x_nv": settings.shown,
                **{title: getattr(settings, loss) for loss, title in VIEW_INVARIANT.items()},
                "epoch": headline_words(study, name),
                **_outcome(where(heads, stage=name)),
                **repeat_columns(repeats, name),
                BEST: np.mean(best),
            }
        )
    columns = ["variant", "x_nv", *VIEW_INVARIANT.values(), "epoch", "seeds", COUNTED, "mAP", SPREAD, "± mAP", "rank-1"]
    columns += ["± rank-1", "clusters", "outliers", "ARI", "mAP (paper)", BEST]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64", COUNTED: "Int64"})


def _best(maps: Float64[np.ndarray, " n"]) -> float:
    """Return the best after the start; NaN where the start was not measured, nor then any epoch but the kept one."""
    return float(np.nanmax(maps[1:])) if np.isfinite(maps[0]) else float("nan")


def _start(records: pd.DataFrame) -> dict[str, Any]:
    columns, first = ["clusters", "outliers", "ari"], start_of_training(records)
    start = where(records, stage="gcl", epoch=0).reset_index(drop=True)
    return {"variant": "start", **_outcome(start.assign(**{name: numbers(first, name) for name in columns}))}


def _outcome(lines: pd.DataFrame) -> dict[str, Any]:
    maps, rank1 = 100 * numbers(lines, "map"), 100 * numbers(lines, "rank1")
    clusters = {"clusters": "clusters", "outliers": "outliers", "ari": "ARI"}
    return {
        "seeds": len(lines),
        "mAP": maps.mean(),
        "± mAP": spread(maps),
        "rank-1": rank1.mean(),
        "± rank-1": spread(rank1),
        **{title: numbers(lines, column).mean() for column, title in clusters.items()},
    }


def ablation_reading(study: Study, records: pd.DataFrame, repeats: pd.DataFrame) -> str:
    """Return a paragraph that reads the ablation: each variant against GCL, seed by seed, and what that can support."""
    heads = headline_epochs(study, records)
    maps = {name: 100 * numbers(where(heads, stage=name).sort_values("seed"), "map") for name in study.variants}
    sentences, firm = [f"GCL has {maps['gcl'].mean():.1f} mAP ({headline_words(study, 'gcl')})."], []
    for name, values in maps.items():
        if name != "gcl":
            gain = maps["gcl"] - values
            seeds = f" ({', '.join(f'{value:+.1f}' for value in gain)})" if len(gain) > 1 else ""
            sentences.append(f"Against *{study.variants[name].title}* that is {gain.mean():+.1f}{seeds}.")
            if (gain > 0).all() or (gain < 0).all():
                firm.append(study.variants[name].title)
    picked = [f"*{study.variants[name].title}*" for name in picked_on_test(study)]
    if picked:
        whose = "Each variant's epoch" if len(picked) == len(study.variants) else f"The epoch of {', '.join(picked)}"
        sentences.append(f"{whose} was picked by the test set, which favours those that swing most (D15).")
        if any(len(study.repeats_of(name)) > 1 for name in picked_on_test(study)):
            sentences.append(
                "Of a variant with several trainings it is the best epoch of their mean curve, which swings less: it "
                "gains less by the choice than a single training."
            )
    if study.seeds == 1:
        sentences.append("One seed is one set of people: add seeds before believing a difference.")
    else:
        sentences.append(f"Differences with the same sign in every seed: {', '.join(firm) or 'none'}.")
    sentences.append(repeat_reading(study, repeats))
    sentences.append(
        "The paper's own ablation values stand in its main text and are not recovered; that column is left blank."
    )
    return " ".join(sentences)
