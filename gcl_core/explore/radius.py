"""What DBSCAN's radius decides: clusters, outliers and sizes for every ε, as a curve and by a slider."""

import numpy as np
import pandas as pd
from ipywidgets import VBox
from matplotlib.figure import Figure

from gcl_core.clustering.density import density_labels
from gcl_core.clustering.quality import clustering_quality
from gcl_core.explore.widgets import Shown, explorer, slider
from gcl_core.figures.clusters import draw_sizes
from gcl_core.figures.style import COLOURS, DASHES, GREY, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers
from gcl_core.measure.clusterings import Clustering

STEPS = 20  # radii on either side of the clustering's own
WIDEST = 2.0  # times the clustering's own radius, and no more than 1: there pictures have nothing in common


def radius_table(clustering: Clustering, *, min_samples: int) -> pd.DataFrame:
    """Return DBSCAN's clusters, outliers, largest cluster and ARI at radii from near 0 to twice the clustering's ε.

    One line a radius, ascending, ε itself among them. The distances are there, so a line costs little.
    """
    own = clustering.eps
    below, above = np.linspace(0, own, STEPS + 1)[1:-1], np.linspace(own, min(WIDEST * own, 1.0), STEPS + 1)[1:]
    lines = []
    for eps in np.unique([*below, own, *above]):
        labels = density_labels(clustering.distances, eps=float(eps), min_samples=min_samples)
        quality = clustering_quality(labels, clustering.identities)
        lines.append(
            {"eps": float(eps), **{name: quality[name] for name in ("clusters", "outliers", "largest", "ari")}}
        )
    return pd.DataFrame(lines)


def choose_radius(clustering: Clustering, table: pd.DataFrame, *, min_samples: int) -> VBox:
    """Return a slider over the radii of `radius_table`, at ε; below it what DBSCAN makes of the chosen one."""
    radii = {f"{eps:.4g}": float(eps) for eps in table["eps"]}

    def show(eps: float) -> Shown:
        labels = density_labels(clustering.distances, eps=eps, min_samples=min_samples)
        return radius_figure(clustering, table, eps, labels), radius_words(labels, clustering, eps)

    return explorer(show, eps=slider("radius ε", radii, clustering.eps))


def radius_words(labels: np.ndarray, clustering: Clustering, eps: float) -> str:
    """Return a sentence on the labels at a radius: clusters beside people, outliers, sizes, agreement."""
    quality = clustering_quality(labels, clustering.identities)
    return (
        f"ε = {eps:.3f} ({eps / clustering.eps:.2f} of the one that the settings give): clusters "
        f"{quality['clusters']:.0f}, people {quality['identities']:.0f}, outliers {quality['outliers']:.0f} of "
        f"{len(labels)} pictures; clusters have {quality['smallest']:.0f} to {quality['largest']:.0f} pictures; ARI "
        f"{quality['ari']:.3f}."
    )


def radius_reading(table: pd.DataFrame, clustering: Clustering) -> str:
    """Return sentences that read the curve: where agreement with people is best, and what ε has."""
    lines = table.to_dict("records")
    best = max(lines, key=lambda line: line["ari"])
    own = next(line for line in lines if line["eps"] == clustering.eps)
    counts, people = [line["clusters"] for line in lines], len(np.unique(clustering.identities))
    return (
        f"Over these radii DBSCAN finds {min(counts):.0f} to {max(counts):.0f} clusters for {people} people. ARI is "
        f"highest, {best['ari']:.3f}, at {best['eps'] / clustering.eps:.2f} of ε, with {best['clusters']:.0f} clusters "
        f"and {best['outliers']:.0f} outliers; at ε it is {own['ari']:.3f}, with {own['clusters']:.0f} and "
        f"{own['outliers']:.0f}."
    )


@styled()
def radius_figure(clustering: Clustering, table: pd.DataFrame, eps: float, labels: np.ndarray) -> Figure:
    """Return three panels: clusters and outliers by radius, ARI by radius, sizes at `eps`, which a line marks."""
    figure = new_figure(PAGE, 2.1)
    counts, agreement, sizes = figure.subplots(1, 3)
    radii, people = numbers(table, "eps"), len(np.unique(clustering.identities))
    for place, name in enumerate(("clusters", "outliers")):
        counts.plot(radii, numbers(table, name), color=COLOURS[place], linestyle=DASHES[place], label=name)
    counts.axhline(people, color=GREY, linewidth=0.8, linestyle=":", label=f"people: {people}")
    agreement.plot(radii, numbers(table, "ari"), color=COLOURS[2])
    for axes in (counts, agreement):
        axes.axvline(eps, color="black", linewidth=0.8)
        axes.set(xlabel=f"radius (line: {eps:.3f})")
        axes.set_ylim(bottom=0)
    counts.set(title="DBSCAN by its radius", ylabel="clusters, pictures")
    counts.legend()
    agreement.set(title="agreement with people (ARI)", ylabel="ARI")
    draw_sizes(sizes, labels, clustering.identities)
    return figure
