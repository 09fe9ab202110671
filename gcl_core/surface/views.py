"""A picture's views from elsewhere: its colours on its body's surface, turned, before its own background."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS
from gcl_core.mesh.rasterizer import vertex_normals
from gcl_core.surface.background import background
from gcl_core.surface.loops import nearest_triangles, paint
from gcl_core.surface.placement import Placement
from gcl_core.surface.texture import read_texture
from gcl_core.surface.topology import Topology

BACKGROUND, FILLED, MIRRORED, SEEN = range(4)
"""Where the colour of a pixel comes from, from a guess to the picture itself."""


class CarriedViews(NamedTuple):
    """Views of one picture at n yaws."""

    views: UInt8[np.ndarray, "n h w 3"]
    sources: UInt8[np.ndarray, "n h w"]  # BACKGROUND, FILLED, MIRRORED or SEEN: what most of the pixel shows


def carry_views(
    picture: UInt8[np.ndarray, "h w 3"],
    placement: Placement,
    topology: Topology,
    yaws: Sequence[int] = YAWS[1:],
    *,
    turned: bool = True,
) -> CarriedViews:
    """Return views of a picture from the sides `yaws` (degrees), in which its colours lie on its body's surface.

    Each view shows the body at the picture's zoom and shift before the picture's background. Not `turned`, each stays
    at the picture's own side, and guesses the colours that would be hidden from the side `yaws`: a control, which has
    the holes of a view and not its turn. Mirror and surroundings are those of all that the picture shows, so it guesses
    1 to 3 dB better than a turned view can. Raises MeshError: the body has another number of vertices than `topology`,
    or nothing of it is seen in the picture.
    """
    body = placement.body
    if len(body.vertices) != len(topology.mirror):
        raise MeshError(
            f"a body of {len(body.vertices)} vertices, {len(topology.mirror)} expected: views are carried over the "
            "free body's surface; pose it (pose-bodies without --model, or fit-bodies)"
        )
    height, width, _ = picture.shape
    twice = (2 * height, 2 * width)
    normals = vertex_normals(body.vertices, topology.faces)
    own = read_texture(picture, placement, normals, topology)
    shown, _ = nearest_triangles(placement.places(body.vertices, 0, twice), topology.faces, *twice)
    person = np.max(shown.reshape(height, 2, width, 2), axis=(1, 3)) >= 0
    behind = background(picture, person, placement.slack.margin * height)
    dressed, made = body.vertices + np.float32(placement.slack.clothes) * normals, []
    for yaw in yaws:
        texture = own if turned else read_texture(picture, placement, normals, topology, hidden_from=yaw)
        points = placement.places(dressed, yaw if turned else 0, twice)
        shown, _ = nearest_triangles(points, topology.faces, *twice)
        made.append(paint(shown, points, topology.faces, texture.colours, texture.shares, behind))
    return CarriedViews(*(np.stack(parts) for parts in zip(*made, strict=True)))
