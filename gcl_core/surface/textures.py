"""Surfaces of all pictures of a set, in colour, made once and kept beside its store: what merged views are made of."""

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS
from gcl_core.mesh.rasterizer import vertex_normals
from gcl_core.provenance import code_of, fingerprint
from gcl_core.surface.bodies import Way
from gcl_core.surface.loops import patch_sums
from gcl_core.surface.placement import Placement
from gcl_core.surface.stored import Placed, stored_array, views_identity
from gcl_core.surface.texture import read_seen, surroundings
from gcl_core.surface.topology import Topology


def texture_type(topology: Topology) -> np.dtype:
    """Return what is kept of each picture: its body's surface, in colour, and where that stands in its views."""
    vertices = len(topology.mirror)
    return np.dtype(
        [
            ("points", np.float32, (vertices, 3)),  # of the dressed body, metres
            ("cameras", np.float32, (len(YAWS) - 1, 4, 3)),  # matrix and shift at twice the picture's size
            ("patches", np.float32, (len(topology.ring), 4)),  # area seen, and colours times it
            ("colours", np.uint8, (vertices, 3)),  # where seen
            ("guess", np.uint8, (vertices, 3)),  # of the mirror image and the surroundings
            ("seen", np.uint8, (vertices,)),  # 255: certainly
        ]
    )


def pack_texture(
    picture: UInt8[np.ndarray, "h w 3"], placement: Placement, topology: Topology
) -> UInt8[np.ndarray, " bytes"]:
    """Return one picture's `texture_type` as bytes. Raises MeshError as `read_texture`."""
    height, width, _ = picture.shape
    body = placement.body
    normals = vertex_normals(body.vertices, topology.faces)
    own, seen = read_seen(picture, placement, normals, topology)
    filling, across = surroundings(own, seen, topology)[topology.patch], seen[topology.mirror][:, None]
    cameras = [placement.camera(yaw, (2 * height, 2 * width)) for yaw in YAWS[1:]]
    texture = np.zeros((), texture_type(topology))
    texture["points"] = body.vertices + np.float32(placement.slack.clothes) * normals
    texture["cameras"] = [np.vstack([camera.matrix, camera.shift]) for camera in cameras]
    texture["patches"] = patch_sums(topology.patch, topology.area * seen, own, len(topology.ring))
    texture["colours"] = np.rint(own)
    texture["guess"] = np.rint(across * own[topology.mirror] + (1 - across) * filling)
    texture["seen"] = np.rint(255 * seen)
    return np.frombuffer(texture.tobytes(), dtype=np.uint8)


def stored_textures(
    layout: Layout, people: PersonSet, way: Way, topology: Topology
) -> tuple[Shaped[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Return each training picture's `texture_type`, memory-mapped, and which pictures have any: those of a body that
    is to be trusted, and whose facing is sure. They lie in `textures_<way>.npy` beside the set's store.
    """
    kind = texture_type(topology)
    identity = fingerprint([views_identity(layout, people, way), code_of(__name__)])

    def pack(picture: UInt8[np.ndarray, "h w 3"], placed: Placed, topology: Topology) -> UInt8[np.ndarray, " bytes"]:
        return pack_texture(picture, placed(), topology)

    packed, without = stored_array(layout, people, way, f"textures_{way}", identity, (kind.itemsize,), pack)
    files = people.index["file"].iloc[people.rows("train")]
    return packed.view(kind)[:, 0], ~files.isin(list(without)).to_numpy()
