"""Browse clusters, largest first: their members, whom they show, and how pure they are."""

import numpy as np
from ipywidgets import VBox
from jaxtyping import Int64
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.explore.widgets import Shown, dropdown, explorer
from gcl_core.figures.galleries import WHITE, canvas_figure
from gcl_core.figures.ranked_lists import draw_frame
from gcl_core.figures.style import styled
from gcl_core.measure.clusterings import Clustering

ACROSS = 16  # pictures in a line
LARGEST = 3  # clusters in the picture for readers without a kernel
SHOWN = 48  # pictures of a cluster; a sentence tells how many there are


def browse_clusters(people: PersonSet, clustering: Clustering) -> VBox:
    """Return a list of the clusters, largest first, then the outliers; below it the chosen one's pictures and facts."""
    labels = clusters_by_size(clustering)
    names = {
        "outliers" if label < 0 else f"cluster {label}: {len(members(clustering, label))} pictures": label
        for label in labels
    }

    def show(cluster: int) -> Shown:
        return members_figure(people, clustering, [cluster]), cluster_words(clustering, cluster)

    return explorer(show, cluster=dropdown("cluster", names))


def clusters_by_size(clustering: Clustering) -> list[int]:
    """Return the clusters' labels, largest first, equals by number; -1 comes last where there are outliers."""
    labels, sizes = np.unique(clustering.labels, return_counts=True)
    order = np.lexsort((labels, -sizes, labels < 0))
    return [int(label) for label in labels[order]]


def largest_clusters(clustering: Clustering) -> list[int]:
    """Return the labels of the three largest clusters, and -1 where there are outliers."""
    labels = clusters_by_size(clustering)
    return [label for label in labels if label >= 0][:LARGEST] + [label for label in labels if label < 0]


def members(clustering: Clustering, label: int) -> Int64[np.ndarray, " m"]:
    """Return the places of a cluster's pictures among the training pictures, person by person, the main one first.

    Of -1 those of the outliers.
    """
    places = np.flatnonzero(clustering.labels == label)
    _, person, counts = np.unique(clustering.identities[places], return_inverse=True, return_counts=True)
    return places[np.lexsort((places, person, -counts[person]))]


def cluster_words(clustering: Clustering, label: int) -> str:
    """Return a sentence on a cluster: its size, its people, its purity, and how much of its main person it has."""
    found = members(clustering, label)
    pids = clustering.identities[found]
    if label < 0:
        return f"{len(found)} outliers, of {len(np.unique(pids))} people: in no cluster, not trained on in this epoch."
    main = int((pids == pids[0]).sum())
    whole = int((clustering.identities == pids[0]).sum())
    return (
        f"Cluster {label}: {len(found)} pictures of {len(np.unique(pids))} people, purity {main / len(found):.2f}. Its "
        f"main person is {pids[0]}, of whom it has {main} of {whole} pictures."
    )


@styled()
def members_figure(people: PersonSet, clustering: Clustering, labels: list[int]) -> Figure:
    """Return the pictures of clusters, one cluster below the other, at most 48 each, the person's number below each.

    Solid blue frames: the cluster's main person; dashed orange ones: anybody else. Outliers have no frame.
    """
    height, width = people.pictures.shape[1:3]
    gap, between, rows = max(2, width // 8), max(4, height // 5), people.rows("train")
    chosen = [members(clustering, label)[:SHOWN] for label in labels]
    lines = [-(-len(places) // ACROSS) for places in chosen]
    canvas = np.full((sum(lines) * (height + between), ACROSS * (width + gap), 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.72)
    top = 0
    for label, places, count in zip(labels, chosen, lines, strict=True):
        name = "outliers" if label < 0 else f"cluster {label}"
        axes.annotate(name, (0, top + height / 2), (-4, 0), textcoords="offset points", ha="right", va="center")
        for number, place in enumerate(places):
            y, x = top + number // ACROSS * (height + between), number % ACROSS * (width + gap)
            canvas[y : y + height, x : x + width] = people.pictures[rows[place]]
            pid = clustering.identities[place]
            below = (x + width / 2, y + height)
            axes.annotate(str(pid), below, (0, -2), textcoords="offset points", ha="center", va="top", fontsize=5.5)
            if label >= 0:
                draw_frame(axes, x, y, width, height, right=bool(pid == clustering.identities[places[0]]))
        top += count * (height + between)
    axes.images[0].set_data(canvas)
    return figure
