"""A look into one clustering: its distances and radius, how good its labels are, and whom they split."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from torch import Tensor

from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import JaccardDistances, jaccard_distance
from gcl_core.clustering.pseudo_labels import cluster_by
from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import ClusteringSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.features import extract_features
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, numbers
from gcl_core.measure.published import published_value
from gcl_core.models.weights import load_encoder

YAW_STEPS = (0, 45, 90, 135, 180)  # view differences told apart, degrees


@dataclass(frozen=True)
class Clustering:
    """One clustering of the training pictures with what it was made from; `quality` is `clustering_quality`'s."""

    features: Float[Tensor, "n d"]
    distances: JaccardDistances
    eps: float
    labels: Int64[np.ndarray, " n"]
    identities: Int64[np.ndarray, " n"]
    quality: dict[str, float]


def analyse(
    features: Float[Tensor, "n d"], identities: Int64[np.ndarray, " n"], settings: ClusteringSettings
) -> Clustering:
    """Cluster unit features as training does (§4) and keep every intermediate result.

    Distances and ε are there for every method, to be looked at, also for one that does not use them.
    """
    distances = jaccard_distance(
        features,
        k1=settings.k1,
        k2=settings.k2,
        k1_counts_self=settings.k1_counts_self,
        duplicates=settings.duplicates,
        exact_up_to=settings.exact_up_to,
    )
    eps = choose_eps(distances, rho=settings.rho, pairs_per_picture=settings.pairs_per_picture)
    if settings.method == "dbscan":
        labels = density_labels(distances, eps=eps, min_samples=settings.min_samples)
    else:
        labels = cluster_by(settings, features, identities).labels
    return Clustering(features, distances, eps, labels, identities, clustering_quality(labels, identities))


def stage_clustering(layout: Layout, people: PersonSet, stage: str, seed: int) -> Clustering:
    """Cluster the training pictures by the features of a finished stage or variant.

    By the baseline's: the clustering with which joint training starts. Raises RunError as `finished_run` does.
    """
    study, rows = layout.study.of_variant(stage), people.rows("train")
    encoder = load_encoder(study, finished_run(layout, stage, seed), resolve_device(study.device))
    features = extract_features(encoder, people.pictures, rows, batch_size=study.evaluation.batch_size)
    return analyse(features, people.index["pid"].to_numpy()[rows], study.clustering)


def clustering_table(clustering: Clustering) -> pd.DataFrame:
    """Return the clustering's facts beside what the paper reports for Market-1501 (blank where it reports nothing)."""
    quality, eps = clustering.quality, clustering.eps
    found = {"of": "ours, start of joint training", "people": quality["identities"], "clusters": quality["clusters"]}
    found |= {"outliers": quality["outliers"], "pictures": len(clustering.labels), "eps": eps}
    rows = [{**found, "ARI": quality["ari"], "NMI": quality["nmi"], "purity": quality["purity"]}]
    people = published_value("-", "identities")
    for method in ("GCL", "TDA"):
        clusters = published_value(method, "clusters_approx")
        rows.append({"of": f"published, {method} plateau, Market-1501", "people": people, "clusters": clusters})
    table = pd.DataFrame(rows)
    table.insert(3, "clusters / people", numbers(table, "clusters") / numbers(table, "people"))
    return table.astype(dict.fromkeys(("people", "clusters", "outliers", "pictures"), "Int64"))


def split_of_people(clustering: Clustering, people: PersonSet, truth: Truth | None) -> pd.DataFrame:
    """Return how often two pictures of one person share a cluster, by how they differ.

    By view difference (0 ... 180 degrees) where the true yaw is known, else by same or other camera. Columns: the kind
    of difference, pairs, together (share in [0, 1], NaN without pairs).
    """
    lines = people.index.iloc[people.rows("train")]
    left, right = _pairs(clustering.identities)
    if truth is None:
        cameras = lines["camid"].to_numpy()
        return _split(
            clustering, "camera", np.where(cameras[left] == cameras[right], "same", "other"), ["same", "other"]
        )
    yaws = truth.people.set_index("file")["yaw"].reindex(lines["file"]).to_numpy()
    turn = np.abs(yaws[left] - yaws[right]) % 360
    place = np.digitize(np.minimum(turn, 360 - turn), YAW_STEPS[1:-1])
    names = [f"{low}-{high}°" for low, high in itertools.pairwise(YAW_STEPS)]
    return _split(clustering, "view difference", np.array(names)[place], names)


def _split(clustering: Clustering, title: str, kinds: np.ndarray, order: list[str]) -> pd.DataFrame:
    left, right = _pairs(clustering.identities)
    together = (clustering.labels[left] == clustering.labels[right]) & (clustering.labels[left] >= 0)
    lines = []
    for kind in order:
        chosen = together[kinds == kind]
        lines.append({title: kind, "pairs": len(chosen), "together": chosen.mean() if len(chosen) else np.nan})
    return pd.DataFrame(lines)


def _pairs(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of rows with the same identity."""
    order = np.argsort(identities, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(identities[order])) + 1)
    pairs = [group[np.stack(np.triu_indices(len(group), k=1))] for group in groups]
    left, right = np.concatenate(pairs, axis=1)
    return left, right


def clustering_reading(clustering: Clustering, split: pd.DataFrame) -> str:
    """Return a paragraph that reads the figure: how many clusters for how many people, how pure, what splits people."""
    quality = clustering.quality
    if not quality["clusters"]:
        return "There is no cluster: every picture is an outlier, there is nothing to contrast with these features."
    members = clustering.labels >= 0
    parts = pd.Series(clustering.labels[members]).groupby(clustering.identities[members]).nunique()
    known = [line for line in split.to_dict("records") if line["pairs"]]
    told = " No two of these pictures are numbered as one person's, so nobody can be split."
    if known:
        kind, near, far = split.columns[0], known[0], min(known, key=lambda line: line["together"])
        least = (
            f"and in {100 * far['together']:.0f} % where it holds least ({far[kind]}). That gap of "
            f"{100 * (near['together'] - far['together']):.0f} points is what view-invariance could close; the "
            f"{quality['outliers']:.0f} outliers are in no pair, whatever their view."
            if far is not near
            else "and no less often when they differ more: this difference is not what splits people."
        )
        told = (
            f" Of the pairs in one cluster {100 * quality['pair_precision']:.0f} % are of one person; of the pairs of "
            f"one person {100 * quality['pair_recall']:.0f} % are in one cluster. A person is spread over "
            f"{parts.mean():.2f} clusters on average. Two pictures of one person share a cluster in "
            f"{100 * near['together']:.0f} % of the pairs that differ least ({kind} {near[kind]}), {least}"
        )
    recall = clustering.distances.recall
    searched = "" if recall == 1 else f" Neighbours were searched approximately: {100 * recall:.1f} % were found."
    return (
        f"{quality['clusters']:.0f} clusters for {quality['identities']:.0f} people, {quality['outliers']:.0f} of "
        f"{len(clustering.labels)} pictures are outliers; ε = {clustering.eps:.3f}, ARI {quality['ari']:.3f}, NMI "
        f"{quality['nmi']:.3f}, purity {quality['purity']:.3f}. A cluster has {quality['smallest']:.0f} to "
        f"{quality['largest']:.0f} pictures, {quality['median_size']:g} in the median.{told}{searched}"
    )
