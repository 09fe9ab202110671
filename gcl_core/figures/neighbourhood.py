"""Neighbourhoods of single pictures: their nearest, which of them are mutual, and which lie within DBSCAN's radius."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from gcl_core.config import ClusteringSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.figures.galleries import WHITE, canvas_figure, mark_columns
from gcl_core.figures.ranked_lists import draw_frame
from gcl_core.figures.style import styled
from gcl_core.measure.clusterings import Clustering
from gcl_core.seeding import numpy_rng

SHOWN = 15  # of a picture's nearest; sentences tell of all
SAMPLE = 100  # pictures whose neighbourhoods are counted
PALE = 0.3  # how much is left of a neighbour that is not mutual


@dataclass(frozen=True)
class Neighbourhood:
    """A picture's k1 nearest in order, without itself: places among the training pictures.

    mutual: whether the picture is among the k1 nearest of the neighbour too; jaccard: distances in [0, 1]; right:
    whether it is of the same person.
    """

    place: int
    nearest: Int64[np.ndarray, " k"]
    mutual: Bool[np.ndarray, " k"]
    jaccard: Float[np.ndarray, " k"]
    right: Bool[np.ndarray, " k"]


def neighbourhoods(clustering: Clustering, settings: ClusteringSettings) -> list[Neighbourhood]:
    """Return the neighbourhoods of SAMPLE training pictures, drawn at random but the same in every run (§4 step 2)."""
    random = numpy_rng(0, "neighbourhoods")
    places = random.permutation(len(clustering.labels))[:SAMPLE]
    return [neighbourhood(clustering, settings, int(place)) for place in places]


def neighbourhood(clustering: Clustering, settings: ClusteringSettings, place: int) -> Neighbourhood:
    """Return the neighbourhood of one training picture."""
    k = min(settings.k1 + (not settings.k1_counts_self), len(clustering.labels))
    nearest = _nearest(clustering.features, np.array([place]), k)[0, 1:]
    mutual = (_nearest(clustering.features, nearest, k) == place).any(axis=1)
    similarity, pairs = clustering.distances.similarity, np.sort([nearest, np.full_like(nearest, place)], axis=0)
    jaccard = 1 - np.asarray([similarity[one, other] for one, other in pairs.T], dtype=np.float64)
    right = clustering.identities[nearest] == clustering.identities[place]
    return Neighbourhood(place, nearest, mutual, jaccard, right)


def _nearest(features: Float[Tensor, "n d"], rows: np.ndarray, k: int) -> Int64[np.ndarray, "r {k}"]:
    """Return the k nearest of some pictures by cosine, itself first, ties by index, as clustering ranks them."""
    similarity = features[torch.from_numpy(rows)] @ features.T
    similarity[torch.arange(len(rows)), torch.from_numpy(rows)] = torch.inf
    return similarity.argsort(dim=1, descending=True, stable=True)[:, :k].numpy()


@styled()
def neighbourhood_figure(people: PersonSet, clustering: Clustering, shown: Sequence[Neighbourhood]) -> Figure:
    """Return a row per picture: itself, then its nearest, pale where they are not mutual, Jaccard distances below.

    Solid blue frames: the same person; dashed orange ones: anybody else. Distances within ε are bold.
    """
    height, width = people.pictures.shape[1:3]
    gap, between, rows = max(2, width // 8), max(4, height // 5), people.rows("train")
    across = min(SHOWN, max(len(each.nearest) for each in shown))
    lefts = [0, *(width + width // 2 + place * (width + gap) for place in range(across))]
    canvas = np.full((len(shown) * (height + between), lefts[-1] + width + gap, 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.1)
    mark_columns(axes, [(left + width / 2, f"{number}") for number, left in enumerate(lefts[1:], 1)])
    mark_columns(axes, [(width / 2, "picture")])
    for top, each in zip(range(0, len(canvas), height + between), shown, strict=True):
        canvas[top : top + height, :width] = people.pictures[rows[each.place]]
        found = zip(lefts[1:], each.nearest, each.mutual, each.jaccard, each.right, strict=False)
        for left, place, mutual, jaccard, right in found:
            image = people.pictures[rows[place]].astype(np.float32)
            canvas[top : top + height, left : left + width] = image if mutual else WHITE - PALE * (WHITE - image)
            draw_frame(axes, left, top, width, height, right=bool(right))
            words = {"ha": "center", "va": "top", "fontsize": 5.5, "textcoords": "offset points"}
            words["weight"] = "bold" if jaccard <= clustering.eps else "normal"
            axes.annotate(f"{jaccard:.2f}", (left + width / 2, top + height), (0, -2), **words)
    axes.images[0].set_data(canvas)
    return figure


def neighbourhood_reading(clustering: Clustering, found: Sequence[Neighbourhood]) -> str:
    """Return sentences on neighbourhoods: how often mutual neighbours, others, and those within ε are right."""
    right, mutual = (np.concatenate([getattr(each, name) for each in found]) for name in ("right", "mutual"))
    near = np.concatenate([each.jaccard <= clustering.eps for each in found])
    parts = [right[mutual], right[~mutual]]
    helps = all(map(len, parts)) and parts[0].mean() > parts[1].mean()
    verdict = "being mutual tells something, without any label" if helps else "being mutual tells nothing here"
    return (
        f"{len(found)} pictures drawn at random have {len(right)} nearest neighbours in all, of which {_share(right)} "
        f"show the same person. Of the {mutual.sum()} mutual ones it is {_share(parts[0])}, of the {(~mutual).sum()} "
        f"others {_share(parts[1])}: {verdict}. Within ε = {clustering.eps:.3f} lie {near.sum()}, of which "
        f"{_share(right[near])} are right."
    )


def _share(values: Bool[np.ndarray, " n"]) -> str:
    return f"{100 * values.mean():.0f} %" if len(values) else "none"
