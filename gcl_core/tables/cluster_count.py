"""Figure 2 of the supplement: number of clusters per epoch, GCL beside the TDA control (§7.2)."""

import numpy as np
import pandas as pd

from gcl_core.config import Study
from gcl_core.measure.artifacts import last_epochs, numbers, picked_on_test, spread, where
from gcl_core.measure.evidence import clusters_off
from gcl_core.measure.published import published_value

COMPARED = ("gcl", "tda")
PUBLISHED = {"gcl": "GCL", "tda": "TDA"}
COLUMNS = ["epoch", "run", "seed", "clusters", "outliers", "eps", "ari", "nmi", "purity"]


def cluster_count_table(records: pd.DataFrame) -> pd.DataFrame:
    """Return one line per epoch, run (of `COMPARED`) and seed: clusters, outliers, eps, ari, nmi, purity.

    `records` are the epochs of any variants. The clustering is that at the start of the epoch; numbers are means over
    repeats. Epochs without clustering are left out.
    """
    compared = pd.concat([where(records, stage=name) for name in COMPARED])
    clustered = compared.assign(run=compared["stage"]).iloc[np.flatnonzero(np.isfinite(numbers(compared, "clusters")))]
    counts = {name: np.int64 for name in ("epoch", "seed")}
    return clustered.reindex(columns=COLUMNS).astype(counts).reset_index(drop=True)


def published_shares() -> dict[str, float]:
    """Return the published plateaus as shares of Market-1501's true number of people: around 520 and 460 of 751."""
    people = published_value("-", "identities")
    plateaus = {run: published_value(method, "clusters_approx") for run, method in PUBLISHED.items()}
    return {run: plateau / people for run, plateau in plateaus.items()}


def cluster_count_reading(study: Study, table: pd.DataFrame, repeats: pd.DataFrame, identities: int) -> str:
    """Return a paragraph that reads Figure 2 from the table: ends, distance to the truth, whether starts agree.

    The distance is a mean over all trainings, those of the record `repeats`, as in the claims.
    """
    shares = published_shares()
    sentences = [
        f"There are {identities} people in the training set. On Market-1501 the paper reports plateaus of around "
        f"{published_value('GCL', 'clusters_approx'):.0f} (GCL) and "
        f"{published_value('TDA', 'clusters_approx'):.0f} (TDA) clusters for "
        f"{published_value('-', 'identities'):.0f} people: shares of {shares['gcl']:.2f} and "
        f"{shares['tda']:.2f}."
    ]
    last = last_epochs(table.assign(stage=table["run"]))
    errors = {}
    for run in dict.fromkeys(table["run"]):
        ends = where(last, run=run)
        clusters = numbers(ends, "clusters")
        several = numbers(where(repeats, variant=run), "clusters") if len(study.repeats_of(run)) > 1 else clusters
        errors[run] = np.mean([clusters_off(count, identities) for count in several])
        sentences.append(
            f"**{study.variants[run].title}** ends at {_with_spread(clusters, 1)} clusters "
            f"({clusters.mean() / identities:.2f} of the people) with ARI {_with_spread(numbers(ends, 'ari'), 3)}, NMI "
            f"{_with_spread(numbers(ends, 'nmi'), 3)} and {numbers(ends, 'outliers').mean():.0f} outliers."
        )
    if set(COMPARED) <= set(errors):
        closer = "closer to" if errors["gcl"] < errors["tda"] else "no closer to"
        sentences.append(
            f"GCL's number ends {closer} the truth than the control's: training by training it is off by "
            f"{errors['gcl']:.1f} % of the people on average, the control's by {errors['tda']:.1f} %. How sure that is "
            "says claim C1 in notebook 11. A number alone is weak evidence, hence ARI and NMI beside it."
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
