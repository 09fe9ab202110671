"""What DBSCAN decides: the same features and distances clustered by other radii and by other clusterers."""

import numpy as np
import pandas as pd
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.clustering.density import density_labels
from gcl_core.clustering.other_clusterers import hierarchy_labels, kmeans_labels
from gcl_core.clustering.quality import clustering_quality
from gcl_core.figures.clusters import embed
from gcl_core.figures.style import COLOURS, MARKERS, PAGE, new_figure, styled
from gcl_core.measure.artifacts import numbers
from gcl_core.measure.clusterings import Clustering

RADII = {"DBSCAN, ε / 2": 0.5, "DBSCAN, ε": 1.0, "DBSCAN, 1.5 ε": 1.5}
AS_DBSCAN, TOLD = "k-means, DBSCAN's number", "k-means, people's number †"
VIVID = tuple(colour for colour in COLOURS if colour != "#949494")  # grey is for outliers
Labels = dict[str, Int64[np.ndarray, " n"]]


def clusterer_labels(clustering: Clustering, *, min_samples: int) -> Labels:
    """Return the labels of every clusterer by its name, all on the clustering's features and distances.

    DBSCAN at half, whole and one and a half times the clustering's ε; HDBSCAN; k-means with as many clusters as DBSCAN
    finds at ε (left out if it finds none) and with as many as there are people, which no method can know.
    """
    labels = {
        name: density_labels(clustering.distances, eps=factor * clustering.eps, min_samples=min_samples)
        for name, factor in RADII.items()
    }
    found = int(labels["DBSCAN, ε"].max()) + 1
    # DBSCAN may take one picture for a cluster, HDBSCAN needs two
    labels["HDBSCAN"] = hierarchy_labels(clustering.distances, min_samples=max(2, min_samples))
    if found:
        labels[AS_DBSCAN] = kmeans_labels(clustering.features, clusters=found)
    labels[TOLD] = kmeans_labels(clustering.features, clusters=len(np.unique(clustering.identities)))
    return labels


def clusterer_table(labels: Labels, identities: Int64[np.ndarray, " n"]) -> pd.DataFrame:
    """Return one line per clusterer: clusters, outliers, median and largest size (pictures), agreement with people."""
    lines = []
    for name, found in labels.items():
        quality = clustering_quality(found, identities)
        line = {"clusterer": name, "clusters": quality["clusters"], "outliers": quality["outliers"]}
        line |= {"median size": quality["median_size"], "largest": quality["largest"], "ARI": quality["ari"]}
        line |= {"NMI": quality["nmi"], "purity": quality["purity"]}
        lines.append(line | {f"pair {kind}": quality[f"pair_{kind}"] for kind in ("precision", "recall")})
    return pd.DataFrame(lines).astype(dict.fromkeys(("clusters", "outliers", "largest"), "Int64"))


@styled()
def clusterer_figure(clustering: Clustering, labels: Labels, table: pd.DataFrame) -> Figure:
    """Return maps of the same pictures (t-SNE) coloured by person and by each clusterer's labels, and pair agreement.

    Colours and markers repeat; grey crosses are outliers. The last panel has a letter for each clusterer.
    """
    figure = new_figure(PAGE, 3.9)
    panels = figure.subplots(2, 4).ravel()
    places, rows, _ = embed(clustering.features, clustering.identities)
    people = np.unique(clustering.identities, return_inverse=True)[1]
    _map_panel(panels[0], places, people[rows], f"people: {people.max() + 1}\n")
    letters = [chr(ord("A") + place) for place in range(len(labels))]
    for axes, letter, line in zip(panels[1:], letters, table.to_dict("records"), strict=False):
        facts = f"{line['clusters']} clusters, ARI {line['ARI']:.2f}"
        _map_panel(axes, places, labels[line["clusterer"]][rows], f"{letter}  {line['clusterer']}\n{facts}")
    _pair_panel(panels[len(labels) + 1], letters, table)
    for axes in panels[len(labels) + 2 :]:
        axes.set_axis_off()
    return figure


def _map_panel(axes: Axes, places: np.ndarray, groups: np.ndarray, title: str) -> None:
    axes.scatter(*places[groups < 0].T, s=4, color="0.6", marker="x", linewidths=0.4)
    looks = groups % (len(VIVID) * len(MARKERS))
    for look in np.unique(looks[groups >= 0]):
        chosen = (groups >= 0) & (looks == look)
        marker = MARKERS[look // len(VIVID)]
        axes.scatter(*places[chosen].T, s=4, color=VIVID[look % len(VIVID)], marker=marker, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=6.5)
    axes.spines[:].set_visible(True)


def _pair_panel(axes: Axes, letters: list[str], table: pd.DataFrame) -> None:
    recall, precision = numbers(table, "pair recall"), numbers(table, "pair precision")
    axes.plot(recall, precision, "o", color=COLOURS[0])
    for place, letter in enumerate(letters):
        side = 1 if place < len(RADII) else -1  # DBSCAN's letters to the right, so that near points stay readable
        where = (recall[place], precision[place])
        axes.annotate(letter, where, (5 * side, 0), textcoords="offset points", ha="center", va="center", fontsize=6.5)
    axes.margins(0.15)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines["right"].set_visible(True)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel="pair recall", ylabel="pair precision")
    axes.set_title("agreement of pairs\n", fontsize=6.5)


def clusterer_reading(table: pd.DataFrame, pictures: int) -> str:
    """Return a paragraph that reads the table: what the radius decides, and what HDBSCAN and k-means make of it."""
    lines = {line["clusterer"]: line for line in table.to_dict("records")}
    small, own, large = (lines[name] for name in RADII)
    hierarchy, told = lines["HDBSCAN"], lines[TOLD]
    radii = [line["ARI"] for line in (small, own, large)]
    sentences = [
        f"At half of ε DBSCAN finds {small['clusters']} clusters and leaves {small['outliers']} of {pictures} pictures "
        f"out; at ε it finds {own['clusters']} and leaves {own['outliers']} out; at one and a half times ε it finds "
        f"{large['clusters']}, leaves {large['outliers']} out, and the largest has {large['largest']} pictures. So the "
        f"radius alone moves ARI between {min(radii):.3f} and {max(radii):.3f}. HDBSCAN, which is given none, finds "
        f"{hierarchy['clusters']} clusters and leaves {hierarchy['outliers']} out, with ARI {hierarchy['ARI']:.3f} "
        f"against {own['ARI']:.3f} at ε."
    ]
    if AS_DBSCAN in lines:
        means = lines[AS_DBSCAN]
        sentences.append(
            f"k-means with DBSCAN's number of clusters leaves nobody out, with ARI {means['ARI']:.3f}: of its pairs "
            f"{_percent(means['pair precision'])} are of one person (DBSCAN at ε: {_percent(own['pair precision'])}), "
            f"and it has {_percent(means['pair recall'])} of the pairs of one person together "
            f"({_percent(own['pair recall'])})."
        )
    best = max((line for name, line in lines.items() if name != TOLD), key=lambda line: line["ARI"])
    more = "more" if told["ARI"] > best["ARI"] else "no more"
    sentences.append(
        f"k-means that is told how many people there are († nobody knows that) has ARI {told['ARI']:.3f}, {more} than "
        f"the best of the others ({best['clusterer']}, {best['ARI']:.3f})."
    )
    return " ".join(sentences)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
