"""The colours of a body's surface, read off one picture: what is seen, what its mirror image shows, and a filling."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import dot, view_matrix
from gcl_core.surface.loops import blend, nearest_triangles, patch_sums, sample, seen_weights
from gcl_core.surface.placement import Placement
from gcl_core.surface.topology import Topology

FINE = 256  # rows in which it is decided what hides what
BLUR = 2  # of these rows: how far the edge of what hides something is uncertain
SLACK = np.float32(0.04)  # metres by which something must be nearer to hide what is behind
INSIDE = np.float32(2.4)  # of these rows: colours at a silhouette are read so far inside it
ENOUGH = np.float32(0.05)  # share of a kernel's area that must be seen for half of its say


class Seen(NamedTuple):
    """The colours (0..255) of a body's vertices as far as a picture shows them, black where it does not."""

    colours: Float32[np.ndarray, "v 3"]
    weights: Float32[np.ndarray, " v"]  # how well each is seen, 0 to 1


class Texture(NamedTuple):
    """Colours (0..255) of a body's vertices, and how far each is a guess; the three shares sum to 1."""

    colours: Float32[np.ndarray, "v 3"]
    shares: Float32[np.ndarray, "v 3"]  # filled, mirrored, seen


def read_texture(
    picture: UInt8[np.ndarray, "h w 3"],
    placement: Placement,
    normals: Float32[np.ndarray, "v 3"],
    topology: Topology,
    hidden_from: int | None = None,
) -> Texture:
    """Return the colours that a picture gives to the surface of its body, of which `normals` are the unit normals.

    A vertex has its own colour as far as it is seen, else its mirror vertex', else that of its surroundings. With
    `hidden_from`, a yaw in degrees, it has its own colour only as far as it is seen from there too; mirror and
    surroundings are those of all that the picture shows. Raises MeshError: nothing of the body is seen.
    """
    own, seen = read_seen(picture, placement, normals, topology)
    kept = seen
    if hidden_from is not None:
        kept = np.minimum(seen, _seen_from(hidden_from, picture, placement, normals, topology)[1])
    return Texture(*blend(own, kept, seen, topology.mirror, surroundings(own, seen, topology), topology.patch))


def read_seen(
    picture: UInt8[np.ndarray, "h w 3"], placement: Placement, normals: Float32[np.ndarray, "v 3"], topology: Topology
) -> Seen:
    """Return what a picture shows of the surface of its body. Raises MeshError: nothing."""
    points, seen = _seen_from(0, picture, placement, normals, topology)
    if not seen.any():
        raise MeshError("nothing of the body is seen in its picture, which has no colours to carry; leave it out")
    across, _, up = (dot(normals, axis) for axis in view_matrix(0, placement.body.elevation))
    inside = np.stack([points[:, 0] - INSIDE * across, points[:, 1] + INSIDE * up], axis=1)
    inside *= np.float32(len(picture) / FINE)
    return Seen(sample(picture, inside, seen > 0), seen)


def _seen_from(
    yaw: int,
    picture: UInt8[np.ndarray, "h w 3"],
    placement: Placement,
    normals: Float32[np.ndarray, "v 3"],
    topology: Topology,
) -> tuple[Float32[np.ndarray, "v 3"], Float32[np.ndarray, " v"]]:
    """Return where the vertices are in a view FINE rows high at a yaw (degrees), and how well each is seen, 0 to 1."""
    fine = (FINE, round(FINE * picture.shape[1] / picture.shape[0]))
    points = placement.places(placement.body.vertices, yaw, fine)
    towards = -dot(normals, view_matrix(yaw, placement.body.elevation)[1])
    return points, seen_weights(points, towards, nearest_triangles(points, topology.faces, *fine)[1], BLUR, SLACK)


def surroundings(
    own: Float32[np.ndarray, "v 3"], seen: Float32[np.ndarray, " v"], topology: Topology
) -> Float32[np.ndarray, "p 3"]:
    """Return the colour of what is seen around each patch: near it as far as enough is, else under wider kernels.

    `own` are the colours of vertices, `seen` in [0, 1] says how well each is; something must be.
    """
    patches = patch_sums(topology.patch, topology.area * seen, own, len(topology.ring))
    near = topology.near @ patches
    starts = np.searchsorted(topology.ring, np.arange(topology.wide.shape[1]))
    wide = topology.wide @ np.add.reduceat(patches, starts)
    colour, told = np.zeros((topology.wide.shape[1], 3), dtype=np.float32), np.float32(0)
    left = np.float32(1)
    for sums, area in zip(wide, topology.wide_area, strict=True):
        mean, say = _mean(sums, area)
        colour, told, left = colour + left * say * mean, told + left * say, left * (1 - say)
    mean, say = _mean(near, topology.near_area)
    return say * mean + (1 - say) * (colour / told)[topology.ring]


def _mean(
    sums: Float32[np.ndarray, "n 4"], area: Float32[np.ndarray, " n"]
) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 1"]]:
    """Return the mean colours under a kernel, and how much say they have, 0 to 1: the more of its area is seen."""
    share = sums[:, :1] / area[:, None]
    return sums[:, 1:] / np.maximum(sums[:, :1], np.float32(1e-30)), share / (share + ENOUGH)
