"""Figure 2 of the supplement: number of clusters per epoch, GCL beside the TDA control (§7.2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figures.style import GREY, PAGE, look, new_figure, styled
from gcl_core.measure.artifacts import last_epochs, numbers, picked_on_test, spread, where
from gcl_core.measure.published import published_value

COMPARED = ("gcl", "tda")
PUBLISHED = {"gcl": "GCL", "tda": "TDA"}
COLUMNS = ["epoch", "run", "seed", "clusters", "outliers", "eps", "ari", "nmi", "purity"]


def cluster_count_table(records: pd.DataFrame) -> pd.DataFrame:
    """Return one line per epoch, run (variant) and seed: clusters, outliers, eps, ari, nmi, purity.

    The clustering is that at the start of the epoch. Epochs without clustering are left out.
    """
    clustered = records.assign(run=records["stage"]).iloc[np.flatnonzero(np.isfinite(numbers(records, "clusters")))]
    counts = {name: np.int64 for name in ("epoch", "seed", "clusters", "outliers")}
    return clustered.reindex(columns=COLUMNS).astype(counts).reset_index(drop=True)


def published_shares() -> dict[str, float]:
    """Return the published plateaus as shares of Market-1501's true number of people: around 520 and 460 of 751."""
    people = published_value("-", "Market-1501", "identities")
    plateaus = {run: published_value(method, "Market-1501", "clusters_approx") for run, method in PUBLISHED.items()}
    return {run: plateau / people for run, plateau in plateaus.items()}


@styled()
def cluster_count_figure(study: Study, table: pd.DataFrame, identities: int) -> Figure:
    """Return the curves of cluster number, ARI and NMI over epochs, mean and range over seeds.

    A solid line marks the true number of people, dotted ones in the runs' colours the published plateaus as shares of
    the true number: on Market-1501 that is where they were published.
    """
    figure = new_figure(PAGE, 2.3)
    panels = figure.subplots(1, 3)
    counts = panels[0]
    for run in dict.fromkeys(table["run"]):
        for axes, column in zip(panels, ("clusters", "ari", "nmi"), strict=True):
            _curve(axes, study, where(table, run=run), column)
        if run in PUBLISHED:
            share = published_shares()[run]
            style = {"color": look(study, run)["color"], "linewidth": 0.9, "linestyle": (0, (1, 2))}
            counts.axhline(share * identities, **style)
            _mark(counts, share * identities, f"published {PUBLISHED[run]}: {share:.2f}", GREY)
    counts.axhline(identities, color="black", linewidth=0.9)
    _mark(counts, float(identities), f"people: {identities}", "black")
    counts.margins(y=0.12)
    titles = ("clusters found", "agreement with people: ARI", "agreement with people: NMI")
    for axes, title, ylabel in zip(panels, titles, ("clusters", "ARI", "NMI"), strict=True):
        axes.set(title=title, xlabel="epoch (clustering before it)", ylabel=ylabel, xticks=_ticks(table))
    handles, labels = counts.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _curve(axes: Axes, study: Study, lines: pd.DataFrame, column: str) -> None:
    epochs = sorted(set(lines["epoch"]))
    values = [numbers(where(lines, epoch=epoch), column) for epoch in epochs]
    axes.plot(epochs, [value.mean() for value in values], **look(study, str(lines["run"].iloc[0])))
    low, high = [value.min() for value in values], [value.max() for value in values]
    axes.fill_between(epochs, low, high, color=axes.lines[-1].get_color(), alpha=0.18, linewidth=0)


def _mark(axes: Axes, height: float, text: str, colour: str) -> None:
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (2, 0)}
    axes.annotate(text, (1, height), va="center", fontsize=6, color=colour, **place)


def _ticks(table: pd.DataFrame) -> list[int]:
    last = int(numbers(table, "epoch").max())
    return list(range(1, last + 1, max(1, round(last / 10))))


def cluster_count_reading(study: Study, table: pd.DataFrame, identities: int) -> str:
    """Return a paragraph that reads Figure 2 from the table: ends, distance to the truth, whether starts agree."""
    shares = published_shares()
    sentences = [
        f"There are {identities} people in the training set. On Market-1501 the paper reports plateaus of around "
        f"{published_value('GCL', 'Market-1501', 'clusters_approx'):.0f} (GCL) and "
        f"{published_value('TDA', 'Market-1501', 'clusters_approx'):.0f} (TDA) clusters for "
        f"{published_value('-', 'Market-1501', 'identities'):.0f} people: shares of {shares['gcl']:.2f} and "
        f"{shares['tda']:.2f}."
    ]
    last = last_epochs(table.assign(stage=table["run"]))
    errors = {}
    for run in dict.fromkeys(table["run"]):
        ends = where(last, run=run)
        clusters = numbers(ends, "clusters")
        errors[run] = abs(clusters.mean() - identities)
        sentences.append(
            f"**{study.variants[run].title}** ends at {_with_spread(clusters, 1)} clusters "
            f"({clusters.mean() / identities:.2f} of the people) with ARI {_with_spread(numbers(ends, 'ari'), 3)}, NMI "
            f"{_with_spread(numbers(ends, 'nmi'), 3)} and {numbers(ends, 'outliers').mean():.0f} outliers."
        )
    if set(COMPARED) <= set(errors):
        verdict = "holds" if errors["gcl"] < errors["tda"] else "does not hold"
        sentences.append(
            f"The claim that GCL's number is closer to the truth {verdict} here: it is off by {errors['gcl']:.1f}, the "
            f"control by {errors['tda']:.1f}. A number alone is weak evidence, hence ARI and NMI beside it."
        )
        if study.seeds == 1:
            sentences.append("One seed cannot tell this from chance.")
    if set(picked_on_test(study)) & set(table["run"]):
        sentences.append("These are the ends of the curves, not the epochs whose weights the runs keep (D15).")
    sentences.append(
        "In the first epoch all runs of a seed find the same clusters, as they must: they start from one encoder."
        if same_start(table)
        else "**Check failed**: in the first epoch the runs of a seed differ although they start from one encoder."
    )
    return " ".join(sentences)


def same_start(table: pd.DataFrame) -> bool:
    """Return whether all runs of a seed find the same number of clusters at the start of their first epoch (§6.1)."""
    first = where(table, epoch=min(table["epoch"]))
    return all(len(set(where(first, seed=seed)["clusters"])) == 1 for seed in set(table["seed"]))


def _with_spread(values: np.ndarray, digits: int) -> str:
    half = spread(values)
    return f"{values.mean():.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")
