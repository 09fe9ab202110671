"""How people lie in clusters: over how many a person is spread, and how many people a cluster mixes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.figures.style import GREY, PAGE, look, new_figure, styled
from gcl_core.layout import Layout
from gcl_core.measure.clusterings import Clustering, stage_clustering
from gcl_core.measure.retrievals import stage_title

MOST = 4  # that many and more stand together
HATCHES = ("", "////", "....")


def end_clusterings(layout: Layout, people: PersonSet, stages: Sequence[str]) -> dict[str, Clustering]:
    """Return each stage's clustering by the features it ends with, seed 0; raises RunError as `finished_run` does."""
    return {stage: stage_clustering(layout, people, stage, 0) for stage in stages}


def people_in_clusters(clustering: Clustering) -> tuple[Int64[np.ndarray, " people"], Int64[np.ndarray, " clusters"]]:
    """Return over how many clusters each person is spread (0: outliers alone), and how many people each cluster has."""
    members = clustering.labels >= 0
    pairs = np.unique(np.stack([clustering.identities[members], clustering.labels[members]]), axis=1)
    spread = (pairs[0] == np.unique(clustering.identities)[:, None]).sum(axis=1)
    mixed = (pairs[1] == np.unique(clustering.labels[members])[:, None]).sum(axis=1)
    return spread, mixed


@styled()
def people_figure(study: Study, found: Mapping[str, Clustering]) -> Figure:
    """Return people by the number of clusters they are in, and clusters by the number of people in them, a bar a stage.

    Right would be one and one: each person in one cluster, each cluster one person.
    """
    figure = new_figure(PAGE, 2.1)
    left, right = figure.subplots(1, 2)
    counts = {stage: people_in_clusters(clustering) for stage, clustering in found.items()}
    _bars(left, study, {stage: spread for stage, (spread, _) in counts.items()}, range(MOST + 1))
    _bars(right, study, {stage: mixed for stage, (_, mixed) in counts.items()}, range(1, MOST + 1))
    left.set(title="people split", xlabel="clusters that a person is in (0: outliers alone)", ylabel="people")
    right.set(title="people mixed", xlabel="people in a cluster", ylabel="clusters")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(found))
    return figure


def _bars(axes: Axes, study: Study, counts: Mapping[str, np.ndarray], values: range) -> None:
    width = 0.8 / len(counts)
    for number, (stage, each) in enumerate(counts.items()):
        heights = np.bincount(np.minimum(each, MOST), minlength=MOST + 1)[values.start :]
        places = np.array(values) + width * (number - (len(counts) - 1) / 2)
        hatch = HATCHES[number % len(HATCHES)]
        colour = look(study, stage)["color"] if stage in study.variants else GREY
        label = stage_title(study, stage)
        bars = axes.bar(places, heights, width, label=label, color=colour, hatch=hatch, edgecolor="white")
        axes.bar_label(bars, fontsize=6, padding=1)
    axes.set_xticks(values, [f"{value} or more" if value == MOST else str(value) for value in values])
    axes.margins(y=0.12)


def people_reading(study: Study, found: Mapping[str, Clustering]) -> str:
    """Return a sentence a stage: how many people have a cluster to themselves, are split, and how many clusters mix."""
    told = []
    for stage, clustering in found.items():
        spread, mixed = people_in_clusters(clustering)
        told.append(
            f"**{stage_title(study, stage)}**: {len(mixed)} clusters, {np.sum(mixed == 1)} of one person alone and "
            f"{np.sum(mixed > 1)} that mix people; {np.sum(spread == 1)} of {len(spread)} people in one cluster, "
            f"{np.sum(spread > 1)} split"
        )
    return (
        f"By the features at the end of training: {'; '.join(told)}. A split adds a cluster and a mixture takes one "
        "away, so that a number close to the true one may hide as many of each."
    )
