"""A clustering as records: what every training picture is taken for, where it lies on a map, distances of pairs."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64
from sklearn.manifold import TSNE
from torch import Tensor

from gcl_core.measure.clusterers import Labels
from gcl_core.measure.clusterings import Clustering
from gcl_core.seeding import derive_seed, numpy_rng

EMBEDDED = 2000  # pictures in a t-SNE map
HIGHLIGHTED = 8  # people in colour
BINS = 40  # of distances between 0 and 1


def embed(
    features: Float[Tensor, "n d"], identities: Int64[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return t-SNE places, the rows they belong to, and which of them are of the people in colour."""
    random = numpy_rng(0, "embedding")
    people = random.permutation(np.unique(identities))[:HIGHLIGHTED]
    coloured = np.flatnonzero(np.isin(identities, people))
    rest = random.permutation(np.flatnonzero(~np.isin(identities, people)))
    rows = np.sort(np.concatenate([coloured, rest])[: max(EMBEDDED, len(coloured))])
    if len(rows) < 3:  # no map can be made of them
        return np.zeros((len(rows), 2)), rows, np.isin(identities[rows], people)
    tsne = TSNE(
        perplexity=min(30.0, (len(rows) - 1) / 3),
        init="pca",
        metric="cosine",
        random_state=derive_seed(0, "t-SNE") % 2**32,
    )
    places = tsne.fit_transform(features[torch.from_numpy(rows)].numpy())
    return places, rows, np.isin(identities[rows], people)


def clustered_pictures(clustering: Clustering, labels: Labels) -> pd.DataFrame:
    """Return the record `clustered_pictures`: a line per training picture, in their order.

    pid; label, the pseudo label; x and y on the t-SNE map, NaN for a picture that is not on it; coloured, whether its
    person is one of those in colour; and a column of labels for each clusterer. -1 is an outlier.
    """
    places, rows, shown = embed(clustering.features, clustering.identities)
    whole = np.full((len(clustering.labels), 2), np.nan)
    whole[rows] = places
    coloured = np.zeros(len(whole), dtype=bool)
    coloured[rows] = shown
    facts = {"pid": clustering.identities, "label": clustering.labels, "x": whole[:, 0], "y": whole[:, 1]}
    return pd.DataFrame({**facts, "coloured": coloured, **labels})


def clustered_distances(clustering: Clustering) -> pd.DataFrame:
    """Return the record `clustered_distances`: how many pairs nearer than 1 lie from `low` to 1/40 above, by kind.

    `same`: pairs of one person; `different`: of two.
    """
    pairs = clustering.distances.similarity.tocoo()
    same = clustering.identities[pairs.row] == clustering.identities[pairs.col]
    edges = np.linspace(0, 1, BINS + 1)
    parts = [
        pd.DataFrame({"kind": kind, "low": edges[:-1], "pairs": np.histogram(1 - pairs.data[chosen], edges)[0]})
        for kind, chosen in (("same", same), ("different", ~same))
    ]
    return pd.concat(parts, ignore_index=True)


def split_lines(split: pd.DataFrame) -> pd.DataFrame:
    """Return the record `clustered_split` of `split_of_people`."""
    title = str(split.columns[0])
    return split.rename(columns={title: "difference"}).assign(by=title)


def recorded_split(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the split that the record `clustered_split` was made of."""
    columns = {"difference": str(lines["by"].iloc[0]), "pairs": "pairs", "together": "together"}
    return pd.DataFrame({title: lines[name] for name, title in columns.items()})
