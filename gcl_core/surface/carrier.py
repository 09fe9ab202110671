"""Carried views of the pictures of a prepared set, of training and of test people alike."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.layout import Layout
from gcl_core.machine import cores
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS
from gcl_core.surface.bodies import Way, body_source
from gcl_core.surface.placement import Placement
from gcl_core.surface.views import CarriedViews, carry_views

Side = Literal["train", "test"]


def side_rows(people: PersonSet, side: Side) -> Int64[np.ndarray, " n"]:
    """Return the rows of a side of a set: its training pictures, or its queries and then its gallery."""
    splits = ["train"] if side == "train" else ["query", "gallery"]
    return np.concatenate([people.rows(split) for split in splits])


class Carrier:
    """Carries the colours of one side's pictures over their bodies.

    The bodies of a side are placed together, so that a picture has the same views for whichever others it is asked.
    """

    def __init__(self, layout: Layout, people: PersonSet, way: Way, side: Side):
        """`way` is how the study comes to its bodies. Raises RunError as `body_source` does."""
        rows = side_rows(people, side)
        self._pictures, self._places = people.pictures, {int(row): place for place, row in enumerate(rows)}
        files = people.index["file"].to_numpy()[rows].tolist()
        self.topology, self._placed = body_source(layout, files, way)

    def placement(self, row: int | np.integer) -> Placement:
        """Return the placed body of a row of the set. Raises MeshError: it has none to be trusted."""
        return self._placed(self._places[int(row)])

    def carry(self, row: int | np.integer, yaws: Sequence[int] = YAWS[1:], *, turned: bool = True) -> CarriedViews:
        """Return the views of a row of the set. Raises MeshError: it has no body to be trusted."""
        return carry_views(self._pictures[row], self.placement(row), self.topology, yaws, turned=turned)

    def views(
        self, rows: Int64[np.ndarray, " n"], *, turned: bool = True
    ) -> tuple[UInt8[np.ndarray, "n 7 h w 3"], Bool[np.ndarray, " n"]]:
        """Return the views of some rows, black where a picture has none, and which of them have any."""
        views = np.zeros((len(rows), len(YAWS) - 1, *self._pictures.shape[1:]), dtype=np.uint8)
        there = np.zeros(len(rows), dtype=bool)

        def fill(place: int) -> None:
            try:
                views[place], there[place] = self.carry(rows[place], turned=turned).views, True
            except MeshError:  # told by `there`
                return

        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(fill, range(len(rows))))
        return views, there

    def with_views(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
        """Return those of some rows that have views."""

        def has(row: np.integer) -> bool:
            try:
                self.carry(row, YAWS[1:2])
            except MeshError:
                return False
            return True

        with ThreadPoolExecutor(cores()) as pool:
            return rows[np.array(list(pool.map(has, rows)), dtype=bool)]
