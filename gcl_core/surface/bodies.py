"""The bodies of a study's pictures and where they stand in them, however the study comes to its bodies."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from gcl_core.data.bodies import POSES, TABLE
from gcl_core.data.people.estimates import NOISE, KnownPeople, backs_as_fronts, noisy_keypoints
from gcl_core.data.pictures import picture_size
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout
from gcl_core.mesh.body import load_bodies
from gcl_core.mesh.capsules import capsule_bodies
from gcl_core.mesh.errors import DoubtfulFacingError, MeshError
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import UNSURE, FittedBodies, judge, load_table
from gcl_core.mesh.projection import Frame
from gcl_core.mesh.smpl_poses import load_poses
from gcl_core.mesh.stick_figure import BodyFamily, StickFigure, make_family
from gcl_core.mesh.transfer import transfer_to_anny
from gcl_core.surface.placement import FITTED, KNOWN, Placement
from gcl_core.surface.topology import Topology, make_topology

Way = Literal["fitted", "known", "capsules", "rough", "swapped"]
ESTIMATED: tuple[Way, ...] = ("fitted", "capsules")  # of bodies.csv or poses.npz where a set has them
Place = Callable[[int], Placement]


def known_ways(layout: Layout) -> list[Way]:
    """Return the ways by which `body_source` comes to bodies of a study: none where there are projections alone."""
    made_here = (layout.data_root / "people.json").is_file()
    ways: dict[Way, bool] = {"fitted": made_here or layout.bodies is not None, "known": made_here}
    return [way for way, there in ways.items() if there]


def fits_hash(layout: Layout, way: Way) -> str | None:
    """Return the SHA-256 of the file of estimates that a study's bodies come from; None where they come from none."""
    return hash_file(layout.bodies) if way in ESTIMATED and layout.bodies else None


@cache
def topology_of(way: Way) -> Topology:
    """Return the topology of all bodies of a way."""
    skeleton, rest_body = load_bodies()
    family = make_family(*(capsule_bodies(skeleton, rest_body) if way == "capsules" else (skeleton, rest_body)))
    return make_topology(family.skeleton, family.average)


def body_source(layout: Layout, files: Sequence[str], way: Way) -> tuple[Topology, Place]:
    """Return the topology of a study's bodies, and a function that returns the placed body of file i of `files`.

    `known`: the bodies behind synthetic people. `fitted`: those estimated for the projections, of bodies.csv
    (`fit-bodies`) or poses.npz (`pose-bodies`) beside them; without, of synthetic people, fits of noisy keypoints of
    the known bodies. `capsules`: the same estimates, which pose bodies of another family. `rough` and `swapped`: fits
    of synthetic people whose keypoints are four times as noisy, or take most backs for fronts. The function raises
    MeshError for a picture that has no body to be trusted, or no camera, and of its kind DoubtfulFacingError where a
    fit may as well face elsewhere. Raises RunError: the study has no bodies of this way, only projections.
    """
    skeleton, rest_body = load_bodies()
    free = make_family(skeleton, rest_body)
    family = make_family(*capsule_bodies(skeleton, rest_body)) if way == "capsules" else free
    topology, size = topology_of(way), layout.study.picture
    if way in ESTIMATED:
        if (layout.mesh_root / TABLE).is_file():
            return topology, _of_fits(layout, files, family)
        if (layout.mesh_root / POSES).is_file():
            return topology, _of_poses(layout, files, family)
    if not (layout.data_root / "people.json").is_file():
        raise RunError(
            f"{layout.mesh_root / TABLE} is missing, and {POSES} too: views over the surface need each picture's body "
            f"and camera, and {layout.mesh_root} holds projections at most, from which no body can be had. Run `python "
            "-m gcl_core fit-bodies`, or pose-bodies, or use synthetic people"
        )
    people, names = KnownPeople(layout.data_root, skeleton, rest_body), [Path(file).name for file in files]
    aspect = size.width / size.height
    if way == "known":

        def known(place: int) -> Placement:
            each = people.body(names[place])
            return Placement(each.body, _in_heights(each.frame(size.height, size.width), size.height), aspect, KNOWN)

        return topology, known
    true = np.array([people.body(name).keypoints(size.height, size.width) for name in names])
    seen = backs_as_fronts(true) if way == "swapped" else true
    keypoints = noisy_keypoints(files, seen, size.height, 4 * NOISE if way == "rough" else NOISE)
    fit = fit_figures(StickFigure(free), keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights)
    bodies = FittedBodies(family, judge(keypoints, fit))
    return topology, lambda place: _fitted(bodies, place, aspect)


def _of_fits(layout: Layout, files: Sequence[str], family: BodyFamily) -> Place:
    fitted = FittedBodies(family, load_table(layout.mesh_root / TABLE))
    rows = {str(file): row for row, file in enumerate(fitted.table["file"])}
    return lambda place: _fitted(fitted, rows.get(files[place]), _aspect(layout.data_root / files[place]))


def _of_poses(layout: Layout, files: Sequence[str], family: BodyFamily) -> Place:
    """Return the function for SMPL poses, carried to the average body of a family."""
    poses, rest = load_poses(layout.mesh_root / POSES), family.average
    rows = {file: row for row, file in enumerate(poses.files)}
    pelvis = rest.heads[family.skeleton.bones.index("root")]  # which poses turn and do not move

    def posed(place: int) -> Placement:
        row = rows.get(files[place])
        if row is None:
            raise MeshError("no body to be trusted (no SMPL parameters)")
        aspect = _aspect(layout.data_root / files[place])
        frame = poses.frame(row, pelvis, aspect)
        body = transfer_to_anny(poses.rotations[row], family.skeleton, rest)
        return Placement(poses.upright(body.vertices, body.faces), frame, aspect, FITTED)

    return posed


def _aspect(picture: Path) -> float:
    width, height = picture_size(picture)
    return width / height


def _fitted(bodies: FittedBodies, place: int | None, aspect: float) -> Placement:
    body = bodies.body(place) if place is not None else None
    if body is None or place is None:
        quality = "no keypoints" if place is None else bodies.table["quality"].iloc[place]
        raise (DoubtfulFacingError if quality == UNSURE else MeshError)(f"no body to be trusted ({quality})")
    return Placement(body, bodies.frame(place), aspect, FITTED)


def _in_heights(frame: Frame, height: int) -> Frame:
    return Frame(frame.scale / height, frame.column / height, frame.row / height)
