"""Nearest neighbours of unit features: exact by blocks, or approximate by inverted lists for very many pictures."""

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.clustering.blocks import rows_at_once
from gcl_core.seeding import rng

RECALL = 0.92  # wanted of approximate neighbours
SAMPLE = 1000  # pictures on which recall is measured
SAMPLE_A_LIST = 64  # pictures from which k-means places the centre of a list
ROUNDS = 8  # of k-means
AT_ONCE = 1 << 16  # pictures that look into lists at once
FEW = 32  # rows against all others at once: fewer would wait for memory


def exact_neighbours(features: Float[Tensor, "n d"], k: int) -> Int32[np.ndarray, "n k"]:
    """Return the k nearest pictures of each by cosine, itself first, ties by index; `k` is at most n.

    Works on the device of the features, a block of rows against all: n² d products. Source: METHOD.md §4 step 1.
    """
    ranking = np.empty((len(features), k), np.int32)
    for rows in torch.arange(len(features), device=features.device).split(rows_at_once(len(features))):
        ranking[int(rows[0]) : int(rows[-1]) + 1] = _nearest(features, rows, k).cpu().numpy()
    return ranking


def approximate_neighbours(
    features: Float[Tensor, "n d"], k: int, *, recall: float = RECALL, seed: int = 0
) -> Int32[np.ndarray, "n k"]:
    """Return nearly the k nearest pictures of each, itself first: the share `recall` of them or a little more or less.

    k-means places about √n centres, and each picture is in the list of the nearest. A picture looks into the lists of
    the centres nearest to it, as many as find `recall` of the true neighbours of a sample of pictures; all who look
    into one list are compared with its members by one product of matrices. What comes out depends on the sample:
    `measured_recall` measures it on another. Equal seeds give equal answers on one machine's CPU; a GPU adds up the
    centres in an order of its own, which can change the last bits and so a list here and there.
    """
    centres = _centres(features, round(len(features) ** 0.5), seed)
    own = _nearest_centres(features, centres, 1)[:, 0]
    lists = _lists_for(features, centres, own, k, recall=recall, seed=seed)
    members = _grouped(own, len(centres))
    place = torch.empty_like(own)  # of a picture in its list
    for listed in members:
        place[listed] = torch.arange(len(listed), device=own.device)
    ranking = np.empty((len(features), k), np.int32)
    for rows in torch.arange(len(features), device=own.device).split(AT_ONCE):
        asking = features[rows]
        probed = _nearest_centres(asking, centres, lists)
        best = torch.full((len(rows), k), -torch.inf, dtype=features.dtype, device=own.device)
        index = torch.zeros(best.shape, dtype=torch.int64, device=own.device)
        for number, visits in enumerate(_grouped(probed.flatten(), len(centres))):
            listed = members[number]
            for visitors in (visits // probed.shape[1]).split(rows_at_once(len(listed))) if len(listed) else ():
                similarity = asking[visitors] @ features[listed].T
                at_home = (own[rows[visitors]] == number).nonzero()[:, 0]
                similarity[at_home, place[rows[visitors[at_home]]]] = torch.inf
                nearest, found = similarity.topk(min(k, len(listed)), dim=1)
                nearest, found = torch.cat([best[visitors], nearest], 1), torch.cat([index[visitors], listed[found]], 1)
                best[visitors], kept = nearest.topk(k, dim=1)
                index[visitors] = found.gather(1, kept)
        short = (best[:, -1] == -torch.inf).nonzero()[:, 0]  # whose lists held fewer than k
        for part in short.split(rows_at_once(len(features))):
            index[part] = _nearest(features, rows[part], k)
        ranking[rows.cpu().numpy()] = index.cpu().numpy()
    return ranking


def measured_recall(
    features: Float[Tensor, "n d"], ranking: Int32[np.ndarray, "n k"], *, sample: int = SAMPLE, seed: int = 0
) -> float:
    """Return the share in [0, 1] of the k nearest pictures that a ranking has, over a random sample of pictures."""
    rows, true = _sampled_neighbours(features, ranking.shape[1], sample, seed, "recall")
    ours = torch.as_tensor(ranking[rows.cpu().numpy()].astype(np.int64), device=features.device)
    return float((true[:, :, None] == ours[:, None]).any(dim=2).float().mean())


def _nearest(features: Tensor, rows: Int64[Tensor, " r"], k: int) -> Int64[Tensor, "r k"]:
    """Return the k nearest pictures of the given ones, itself first, ties by index."""
    similarity = features[rows] @ features.T
    similarity[torch.arange(len(rows), device=rows.device), rows] = torch.inf
    nearest, index = similarity.topk(min(k + 1, len(features)), dim=1)
    index = index[:, :k].sort(dim=1).values
    order = similarity.gather(1, index).sort(dim=1, descending=True, stable=True).indices
    index = index.gather(1, order)
    if k < len(features):  # topk chose freely among equals at the border
        tied = nearest[:, k - 1] == nearest[:, k]
        index[tied] = similarity[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    return index


def _sampled_neighbours(features: Tensor, k: int, sample: int, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Return some pictures and the k nearest of each."""
    rows = torch.randperm(len(features), generator=rng(seed, purpose))[:sample].to(features.device)
    return rows, torch.cat([_nearest(features, part, k) for part in rows.split(FEW)])


def _lists_for(features: Tensor, centres: Tensor, own: Tensor, k: int, *, recall: float, seed: int) -> int:
    """Return how many lists a picture must look into to find the share `recall` of its k nearest."""
    rows, true = _sampled_neighbours(features, k, SAMPLE, seed, "lists to look into")
    nearness = (features[rows] @ centres.T).sort(dim=1, descending=True, stable=True).indices.argsort(dim=1)
    lists = nearness.gather(1, own[true]).flatten().sort().values  # in the how-manieth list each true neighbour is
    return int(lists[min(len(lists) - 1, int(recall * len(lists)))]) + 1


def _centres(features: Tensor, count: int, seed: int) -> Tensor:
    """Return unit centres by spherical k-means on a sample."""
    draw = torch.randperm(len(features), generator=rng(seed, "centres of lists"))
    sample = features[draw[: SAMPLE_A_LIST * count].to(features.device)]
    centres = sample[:count]
    for _ in range(ROUNDS):
        nearest = _nearest_centres(sample, centres, 1)[:, 0]
        sums = torch.zeros_like(centres).index_add_(0, nearest, sample)
        empty = torch.bincount(nearest, minlength=count) == 0
        centres = torch.where(empty[:, None], centres, normalize(sums, dim=1))
    return centres


def _nearest_centres(features: Tensor, centres: Tensor, count: int) -> Int64[Tensor, "n count"]:
    parts = features.split(rows_at_once(len(centres)))
    return torch.cat([(part @ centres.T).topk(min(count, len(centres)), dim=1).indices for part in parts])


def _grouped(numbers: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return the places of every number 0 ... count - 1, ascending."""
    return numbers.argsort(stable=True).split(torch.bincount(numbers, minlength=count).tolist())
