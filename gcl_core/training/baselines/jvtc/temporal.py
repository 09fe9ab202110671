"""How long people take from camera to camera, and the distance that weighs looks with it (METHOD.md §6.2)."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from gcl_core.clustering.blocks import row_slices
from gcl_core.device import full_float32
from gcl_core.training.baselines.jvtc.capture import Captures

SHARPNESS = 5.0  # of both factors of the joint distance


@dataclass(frozen=True)
class TemporalModel:
    """Probabilities of time gaps, as learned from clusters.

    `chance[later, earlier, bin]` for places in `cameras` (camids, ascending) and bins of `interval` frames; the last
    camera and the last bin are all zero and stand for cameras not seen in training and for gaps beyond the others.
    """

    cameras: Int64[np.ndarray, " c"]
    chance: Float64[np.ndarray, "places places bins"]
    interval: int

    def chances(self, left: Captures, right: Captures) -> Float64[np.ndarray, "q g"]:
        """Return p of every pair of pictures: the histogram's value at their cameras and time gap."""
        a, b = self._place(left.camids)[:, None], self._place(right.camids)[None]
        gap = left.frames[:, None] - right.frames[None]
        a_later = (gap > 0) | ((gap == 0) & (a >= b))
        places, _, bins = self.chance.shape
        place = np.where(a_later, a * places + b, b * places + a) * bins
        place += np.minimum(np.abs(gap) // self.interval, bins - 1)
        return self.chance.ravel()[place]

    def _place(self, camids: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.cameras, camids)
        known = self.cameras[np.minimum(place, len(self.cameras) - 1)] == camids
        return np.where(known, place, len(self.cameras))


def learn_gaps(
    labels: Int64[np.ndarray, " n"], captures: Captures, *, interval: int, bins: int, smoothing: float | int
) -> TemporalModel:
    """Return the temporal model of clustered pictures (`labels` 0..C-1; -1, outliers, are left out).

    For two cameras that see a cluster, one is added at the gap of their mean frames, later camera first. For one
    camera, each of its n > 1 pictures of a cluster adds n at its gap to the first of them. Gaps of `bins` bins of
    `interval` frames and more are left out. Each histogram is smoothed by a Gaussian of `smoothing` bins, cut off at
    3σ, and divided by its sum + 1e-7, so that of a pair never seen, or all without any cluster, are zero.
    Source: METHOD.md §6.2.
    """
    kept = labels >= 0
    cluster, frames = labels[kept], captures.frames[kept]
    cameras, camera = np.unique(captures.camids, return_inverse=True)
    camera = camera[kept]
    shape = (int(cluster.max(initial=-1)) + 1, len(cameras))
    seen, total = np.zeros(shape, np.int64), np.zeros(shape)
    first = np.full(shape, np.iinfo(np.int64).max)
    np.add.at(seen, (cluster, camera), 1)
    np.add.at(total, (cluster, camera), frames)
    np.minimum.at(first, (cluster, camera), frames)

    counts = np.zeros((len(cameras) + 1, len(cameras) + 1, bins + 1))
    gap = np.minimum((frames - first[cluster, camera]) // interval, bins)
    several = seen[cluster, camera] > 1
    np.add.at(counts, (camera[several], camera[several], gap[several]), seen[cluster, camera][several])
    for one, other in combinations(range(len(cameras)), 2):
        both = (seen[:, one] > 0) & (seen[:, other] > 0)
        ahead = total[both, other] / seen[both, other] - total[both, one] / seen[both, one]
        gap = np.minimum(np.abs(ahead) // interval, bins).astype(np.int64)
        later = np.where(ahead >= 0, other, one)
        np.add.at(counts, (later, one + other - later, gap), 1)

    chance = np.zeros_like(counts)
    smooth = gaussian_filter1d(counts[..., :-1], smoothing, axis=2, mode="constant", truncate=3.0)
    chance[..., :-1] = smooth / (smooth.sum(axis=2, keepdims=True) + 1e-7)
    return TemporalModel(cameras, chance, interval)


@full_float32()
def joint_distances(
    left: Float32[Tensor, "q d"],
    right: Float32[Tensor, "g d"],
    left_captures: Captures,
    right_captures: Captures,
    model: TemporalModel,
) -> Float32[np.ndarray, "q g"]:
    """Return 1 - 1/(1 + exp(-5 s)) · 1/(1 + 2 exp(-5 p)) of every pair: s inner product, p chance of the time gap.

    Of unit features s is the cosine; a memory's rows that are a little shorter are taken as they are. In (0, 1).
    Source: METHOD.md §6.2.
    """
    distances = np.empty((len(left), len(right)), np.float32)
    for rows in row_slices(len(left), width=len(right)):
        similarity = (left[rows] @ right.T).cpu().numpy().astype(np.float64)
        chance = model.chances(left_captures.take(np.arange(rows.start, rows.stop)), right_captures)
        alike = 1 / (1 + np.exp(-SHARPNESS * similarity))
        distances[rows] = 1 - alike / (1 + 2 * np.exp(-SHARPNESS * chance))
    return distances
