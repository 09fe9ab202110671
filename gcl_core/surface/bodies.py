"""The bodies of a study's pictures and where they stand in them, however the study comes to its bodies."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from gcl_core.data.bodies import TABLE
from gcl_core.data.people.estimates import KnownPeople, noisy_keypoints
from gcl_core.data.pictures import decode
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton, load_bodies
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import FittedBodies, judge, load_table
from gcl_core.mesh.projection import Frame
from gcl_core.mesh.stick_figure import StickFigure, make_family
from gcl_core.surface.placement import FITTED, KNOWN, Placement
from gcl_core.surface.topology import Topology, make_topology

Way = Literal["fitted", "known"]
Place = Callable[[int], Placement]


@cache
def free_body() -> tuple[Skeleton, Callable[[dict[str, float]], RestBody], Topology]:
    """Return what `load_bodies` does and the topology of the free body, which all of a study's bodies have."""
    skeleton, rest_body = load_bodies()
    return skeleton, rest_body, make_topology(skeleton, rest_body(AVERAGE))


def body_source(layout: Layout, files: Sequence[str], way: Way) -> tuple[Topology, Place]:
    """Return the topology of a study's bodies, and a function that returns the placed body of file i of `files`.

    `known`: the bodies behind synthetic people. `fitted`: those of bodies.csv beside the projections (`fit-bodies`);
    without, of synthetic people, fits of noisy keypoints of the known bodies. The function raises MeshError for a
    picture that has no body to be trusted. Raises RunError: the study has no bodies of this way, only projections.
    """
    (skeleton, rest_body, topology), table = free_body(), layout.mesh_root / TABLE
    made_here = (layout.data_root / "people.json").is_file()
    if way == "fitted" and table.is_file():
        fitted = FittedBodies(make_family(skeleton, rest_body), load_table(table))
        rows = {str(file): row for row, file in enumerate(fitted.table["file"])}

        def from_table(place: int) -> Placement:
            picture, _ = decode(layout.data_root / files[place])
            return _fitted(fitted, rows.get(files[place]), picture.width / picture.height)

        return topology, from_table
    if not made_here:
        raise RunError(
            f"{table} is missing: views over the surface need each picture's body and camera, and {layout.mesh_root} "
            "holds projections at most, from which no body can be had. Run `python -m gcl_core fit-bodies`, or use "
            "synthetic people"
        )
    size = layout.study.picture
    people, names = KnownPeople(layout.data_root, skeleton, rest_body), [Path(file).name for file in files]
    aspect = size.width / size.height
    if way == "known":

        def known(place: int) -> Placement:
            each = people.body(names[place])
            return Placement(each.body, _in_heights(each.frame(size.height, size.width), size.height), aspect, KNOWN)

        return topology, known
    true = np.array([people.body(name).keypoints(size.height, size.width) for name in names])
    keypoints = noisy_keypoints(files, true, size.height)
    family = make_family(skeleton, rest_body)
    fit = fit_figures(StickFigure(family), keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights)
    bodies = FittedBodies(family, judge(keypoints, fit))
    return topology, lambda place: _fitted(bodies, place, aspect)


def _fitted(bodies: FittedBodies, place: int | None, aspect: float) -> Placement:
    body = bodies.body(place) if place is not None else None
    if body is None or place is None:
        quality = "no keypoints" if place is None else bodies.table["quality"].iloc[place]
        raise MeshError(f"no body to be trusted ({quality})")
    return Placement(body, bodies.frame(place), aspect, FITTED)


def _in_heights(frame: Frame, height: int) -> Frame:
    return Frame(frame.scale / height, frame.column / height, frame.row / height)
