"""What each loss brings: every variant's accuracy and clusters at its headline epoch, and a picture of them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import COLUMN, GREY, look, new_figure, styled
from gcl_core.measure.artifacts import headline_epochs, headline_words, numbers, picked_on_test, spread, where

BEST = "best mAP on test"  # not a result: its epoch is picked by the test set (D15)


def ablation_table(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return one row a variant: its losses, then accuracy (%) and clusters of its headline, means over seeds.

    `epoch` says which epoch that is (`headline_epochs`). `±` is half the range over seeds, blank for one. The first row
    is the encoder that all start from. `best mAP on test` picks its epoch by the test set and is no headline unless the
    study asks for it (D15). `mAP (paper)` is blank: those values are not recovered.
    """
    heads = headline_epochs(study, records)
    rows: list[dict[str, Any]] = [{"variant": "start", **_outcome(where(records, stage="gcl", epoch=0))}]
    for name, settings in study.variants.items():
        runs = where(records, stage=name)
        best = [np.nanmax(100 * numbers(where(runs, seed=seed), "map")[1:]) for seed in sorted(set(runs["seed"]))]
        rows.append(
            {
                "variant": settings.title,
                "x_nv": settings.shown,
                "L_vi": settings.vi,
                "L'_vi": settings.vi_prime,
                "L''_vi": settings.vi_second,
                "epoch": headline_words(study, name),
                **_outcome(where(heads, stage=name)),
                BEST: np.mean(best),
            }
        )
    columns = ["variant", "x_nv", "L_vi", "L'_vi", "L''_vi", "epoch", "seeds", "mAP", "± mAP", "rank-1", "± rank-1"]
    columns += ["clusters", "outliers", "ARI", "mAP (paper)", BEST]
    return pd.DataFrame(rows).reindex(columns=columns)


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


@styled()
def ablation_figure(study: Study, records: pd.DataFrame) -> Figure:
    """Return mAP (%) and ARI of each variant's headline: one mark a seed, a bar at the mean, a line at the start."""
    heads = headline_epochs(study, records)
    figure = new_figure(COLUMN, 0.7 + 0.24 * len(study.variants))
    panels = figure.subplots(1, 2, sharey=True)
    places = {variant: -place for place, variant in enumerate(study.variants)}
    for axes, column, scale in zip(panels, ("map", "ari"), (100, 1), strict=True):
        for variant, place in places.items():
            values = scale * numbers(where(heads, stage=variant), column)
            style = look(study, variant)
            axes.plot(values, [place] * len(values), linestyle="", marker=style["marker"], color=style["color"])
            axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=style["color"])
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.15)
    start = 100 * numbers(where(records, stage="gcl", epoch=0), "map").mean()
    panels[0].axvline(start, color=GREY, linewidth=0.8, linestyle="--")
    panels[0].annotate("start", (start, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=6)
    panels[0].set(xlabel="mAP (%)", yticks=list(places.values()), ylim=(-len(places) + 0.4, 0.6))
    panels[0].set_yticklabels([study.variants[variant].title for variant in places])
    panels[1].set(xlabel="ARI")
    return figure


def ablation_reading(study: Study, records: pd.DataFrame) -> str:
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
    if study.seeds == 1:
        sentences.append("With one seed these differences are single draws: add seeds before believing one.")
    else:
        sentences.append(f"Differences with the same sign in every seed: {', '.join(firm) or 'none'}.")
    sentences.append(
        "The paper's own ablation values stand in its main text and are not recovered; that column is left blank."
    )
    return " ".join(sentences)
