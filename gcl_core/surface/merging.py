"""Views whose hidden places take their colours from pictures of the same pseudo cluster, as far as these agree (ours).

What a picture shows itself stays as it is. Another picture's say falls the further its feature is, and the more its
colours differ on what both see once a colour cast is corrected; so do those of strangers in the cluster.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped, UInt8
from torch import Tensor

from gcl_core.data.person_set import PersonSet
from gcl_core.layout import Layout
from gcl_core.surface.bodies import Way, topology_of
from gcl_core.surface.loops import nearest_triangles, transform
from gcl_core.surface.merging_loops import compare, merge, repaint, shown_vertices
from gcl_core.surface.stored import StoredViews, stored_views
from gcl_core.surface.textures import stored_textures
from gcl_core.surface.topology import Topology

DONORS = 24  # pictures that one takes colours from, at most: the nearest ones of its cluster
PRIOR = (np.float32(0.1), np.float32(120))  # m² of a grey that two pictures are taken to share before a cast is read
MOST = np.float32(1.7)  # factor that a colour cast is taken to be, at most
FAR = 50.0  # levels of colour that count as much as a cosine similarity of 0 in the place of 1
LIMIT, SOFT = 46.0, 3.0  # levels, colour and feature together: where a say is half, and how gradually it falls there
LEAST = 0.05  # a say below this is none
TRUST = (np.float32(0.3), np.float32(3))  # say of a picture's own guess: where filled, and more where mirrored
MIRRORED = np.float32(0.5)  # of another picture's say, where it sees the mirror image of a vertex alone


class Plan(NamedTuple):
    """From which k others each of n pictures takes colours at most; rows end with -1 of weight 0."""

    donors: Int64[Tensor, "n k"]
    weights: Float32[Tensor, "n k"]  # 0 ... 1
    gains: Float32[Tensor, "n k 3"]  # of the donor's red, green and blue: to the colour cast of the picture


class MergedViews:
    """Views of n pictures, each with colours of others by a plan.

    `textures` are of `texture_type`; pictures that are not `there` have none: they take no colours and give none.
    """

    def __init__(
        self,
        stored: StoredViews,
        textures: Shaped[np.ndarray, " n"],
        there: Bool[np.ndarray, " n"],
        topology: Topology,
    ) -> None:
        self.stored, self._textures, self._there, self._topology = stored, textures, there, topology

    def plan(self, labels: Int64[Tensor, " n"], features: Float[Tensor, "n d"]) -> Plan:
        """Return from whom each picture takes colours: a function of the arguments and the textures alone.

        `labels` are pseudo labels (-1: outlier, who takes none and gives none), `features` unit vectors.
        """
        count = len(labels)
        donors = np.full((count, DONORS), -1, dtype=np.int64)
        weights, gains = np.zeros((count, DONORS), dtype=np.float32), np.ones((count, DONORS, 3), dtype=np.float32)
        found, vectors = labels.numpy(), features.detach().float().cpu().numpy()
        for label in range(int(found.max(initial=-1)) + 1):
            members = np.flatnonzero((found == label) & self._there)
            near, patches = vectors[members] @ vectors[members].T, self._textures["patches"][members]
            for place, row in enumerate(members):
                order = np.argsort(-near[place], kind="stable")
                others = order[order != place][:DONORS]
                cast, levels = compare(patches[place], patches[others], *PRIOR, MOST)
                weight = say(levels, near[place][others])
                kept = weight >= LEAST
                last = int(kept.sum())
                donors[row, :last], weights[row, :last] = members[others[kept]], weight[kept]
                gains[row, :last] = cast[kept]
        return Plan(*(torch.from_numpy(each) for each in (donors, weights, gains)))

    def at(
        self, picked: Int64[np.ndarray, " b"], yaws: Int64[np.ndarray, " b"], plan: Plan
    ) -> UInt8[np.ndarray, "b h w 3"]:
        """Return one view of each picked picture, at the yaws given for them; that without others where it has none."""
        views = self.stored.at(picked, yaws)
        for place, (row, yaw) in enumerate(zip(picked, yaws, strict=True)):
            there = plan.donors[row] >= 0
            if there.any():
                given = (each[row][there].numpy() for each in plan)
                views[place] = self._merged(views[place], int(row), int(yaw) // 45 - 1, *given)
        return views

    def _merged(
        self,
        view: UInt8[np.ndarray, "h w 3"],
        row: int,
        turn: int,
        donors: Int64[np.ndarray, " k"],
        weights: Float32[np.ndarray, " k"],
        gains: Float32[np.ndarray, "k 3"],
    ) -> UInt8[np.ndarray, "h w 3"]:
        faces, mirror = self._topology.faces, self._topology.mirror
        own = self._textures[row]
        points = transform(own["points"], own["cameras"][turn, :3], own["cameras"][turn, 3])
        shown, _ = nearest_triangles(points, faces, 2 * view.shape[0], 2 * view.shape[1])
        change = merge(
            own["guess"],
            own["seen"],
            self._textures["colours"][donors],
            self._textures["seen"][donors],
            weights,
            gains,
            mirror,
            shown_vertices(shown, faces, len(mirror)),
            TRUST,
            MIRRORED,
        )
        return repaint(view, shown, points, faces, change)


def say(levels: Float32[np.ndarray, " k"], similarity: Float32[np.ndarray, " k"]) -> Float32[np.ndarray, " k"]:
    """Return the say, 0 ... 1, of others whose colours differ by levels (of 255), at a cosine similarity."""
    apart = levels + FAR * (1 - similarity)
    with np.errstate(over="ignore"):  # none is left of those that are that far
        return (1 / (1 + np.exp((apart - LIMIT) / SOFT))).astype(np.float32)


def merged_views(layout: Layout, people: PersonSet, way: Way) -> MergedViews:
    """Return what makes merged views of a set's training pictures, in the order of its index.

    Raises RunError as `stored_views`.
    """
    topology = topology_of(way)
    return MergedViews(stored_views(layout, people, way), *stored_textures(layout, people, way, topology), topology)
