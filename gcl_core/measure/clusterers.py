"""What DBSCAN decides: the same features and distances clustered by other radii and by other clusterers."""

import numpy as np
import pandas as pd
from jaxtyping import Int64

from gcl_core.clustering.density import density_labels
from gcl_core.clustering.other_clusterers import hierarchy_labels, kmeans_labels
from gcl_core.clustering.quality import clustering_quality
from gcl_core.measure.clusterings import Clustering

RADII = {"DBSCAN, ε / 2": 0.5, "DBSCAN, ε": 1.0, "DBSCAN, 1.5 ε": 1.5}
AS_DBSCAN, TOLD = "k-means, DBSCAN's number", "k-means, people's number †"
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
