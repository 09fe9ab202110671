"""The ways by which a study comes to views of its pictures: drawn, carried over the surface of bodies, true."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import artist
from gcl_core.measure.merged_views import kept_merger
from gcl_core.mesh.projection import NOVEL
from gcl_core.outputs import MERGING
from gcl_core.surface.bodies import known_ways
from gcl_core.surface.carrier import Carrier, Side, side_rows
from gcl_core.surface.stored import carried_views

DRAWN, MERGED, TRUE = "drawn", "surface, merged", "true"

Rows = Int64[np.ndarray, " n"]
Views = tuple[UInt8[np.ndarray, "n v h w 3"], Bool[np.ndarray, " n"]]  # of n pictures, and which of them have any
Source = Callable[[Rows], Views]


def view_sources(
    layout: Layout, people: PersonSet, truth: Truth | None, seed: int, side: Side
) -> dict[str, Callable[[Rows], Views]]:
    """Return the ways by which the pictures of a side have views, each with a function from rows to their seven views.

    `drawn`, by the networks of GCL's finished run, where there are projections; `surface, fitted` and `surface, known`,
    where there are such bodies; `surface, merged`, those of training pictures that the finished run of variant MERGING
    keeps; `true`, where they are known. The functions raise RunError as `finished_run` does. The first call of one
    loads its networks or plans, later calls find them loaded. Views are in memory: ask for some hundred pictures.
    """
    files, meshes = people.index["file"].to_numpy(), people.index["mesh"].to_numpy(dtype=bool)
    sources: dict[str, Source] = {}
    if meshes[side_rows(people, side)].any():
        drawing = cache(partial(artist, layout, people, "gcl", seed))
        sources[DRAWN] = lambda rows: (drawing()(rows), meshes[rows])
    for way in known_ways(layout):
        if side == "train":
            sources[f"surface, {way}"] = lambda rows, way=way: carried_views(layout, people, rows, way)
        else:
            sources[f"surface, {way}"] = Carrier(layout, people, way, side).views
    if side == "train" and MERGING in layout.study.variants:
        merging = cache(partial(kept_merger, layout, people, MERGING, seed))
        sources[MERGED] = lambda rows: merging()(rows)
    if truth is not None:

        def true(rows: Rows) -> Views:
            views = [truth.true_views(files[rows].tolist(), [yaw] * len(rows)) for yaw in NOVEL]
            return np.stack(views, axis=1), np.ones(len(rows), dtype=bool)

        sources[TRUE] = true
    return sources


def shown_views(
    sources: Mapping[str, Source], rows: Rows, titles: Mapping[str, str]
) -> dict[str, list[list[np.ndarray | None]]]:
    """Return the views of pictures by each way but `true` as a gallery shows them: None where a picture has none.

    Ways are named by `titles`, where they are in it.
    """
    shown = {}
    for way, source in sources.items():
        if way != TRUE:
            views, there = source(rows)
            shown[titles.get(way, way)] = [
                list(each) if has else [None] * len(NOVEL) for each, has in zip(views, there, strict=True)
            ]
    return shown
