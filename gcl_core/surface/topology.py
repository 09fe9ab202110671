"""What all bodies of one model share: which vertex mirrors which, and from where hidden places take their colour.

Hidden places are filled by patches and rings. Patches are cells of the body as it stands with hanging arms, in the
coordinates (|x|, y, z), so that left and right share them, and never reach over the border between two parts; a ring
holds a part's patches of one height.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from gcl_core.mesh.body import RestBody, Skeleton
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.pose import Gait, bone_transforms, skin, walking_rotations

CELL = 0.03  # metres
PARTS = {  # a part of the body → how the names of its bones begin
    "trunk and thighs": ("root", "pelvis", "spine", "clavicle", "shoulder", "upperleg"),
    "head": ("neck", "head", "eye"),
    "upper arm": ("upperarm",),
    "forearm": ("lowerarm",),
    "hand": ("wrist", "finger", "metacarpal"),
    "shin": ("lowerleg",),
    "foot": ("foot", "toe"),
}
LIMBS = (("trunk and thighs",), ("head",), ("upper arm", "forearm", "hand"), ("shin", "foot"))
NEAR = (0.03, 0.05)  # of the kernel between the patches of a part: standard deviations up and across, metres
WIDE = (("part", 0.03), ("limb", 0.08), ("body", 0.3))  # of those between rings: within what, standard deviation up
REACH = 3  # standard deviations, beyond which the near kernel is nothing
_STANDING = Gait(
    0.25, stride=0.0, arm_swing=0.0, elbow=(0.0, 0.0), arm_spread=0.0, lean=0.0, head_turn=0.0, head_nod=0.0
)


@dataclass(frozen=True)
class Topology:
    """Facts of a body model's vertices (v), triangles (f), patches (p) and rings (r); areas are in square metres."""

    faces: Int32[np.ndarray, "f 3"]
    mirror: Int32[np.ndarray, " v"]  # the vertex at the other side of the body
    area: Float32[np.ndarray, " v"]  # at rest
    patch: Int32[np.ndarray, " v"]
    ring: Int32[np.ndarray, " p"]  # ascending
    near: csr_array  # (p, p): the kernel from patches to patches
    near_area: Float32[np.ndarray, " p"]  # under the kernel
    wide: Float32[np.ndarray, "k r r"]  # kernels from rings to rings, those of WIDE
    wide_area: Float32[np.ndarray, "k r"]


def make_topology(skeleton: Skeleton, rest: RestBody) -> Topology:
    """Return the topology of a body model from any of its rest bodies. Raises MeshError when it has no mirror image."""
    found = KDTree(rest.vertices).query(rest.vertices * np.array([-1, 1, 1]))
    distance, mirror = np.asarray(found[0]), np.asarray(found[1])
    if distance.max() > 1e-4 or not (mirror[mirror] == np.arange(len(mirror))).all():
        raise MeshError("the left half of this body is no mirror image of its right half; use the free body's mesh")
    part = _parts(skeleton)
    standing = skin(
        rest.vertices, skeleton.weights, bone_transforms(skeleton, rest, walking_rotations(skeleton, rest, _STANDING))
    )
    folded = (standing * [1, 1, 1] + standing[mirror] * [-1, 1, 1]) / 2  # exactly symmetric
    folded[:, 0] = np.abs(folded[:, 0])
    area = _vertex_areas(rest.vertices, skeleton.faces)
    cells = np.column_stack([part, np.floor(folded[:, [2, 0, 1]] / CELL)]).astype(np.int64)
    places, patch = np.unique(cells, axis=0, return_inverse=True)
    rings, ring = np.unique(places[:, :2], axis=0, return_inverse=True)
    patch, ring = patch.ravel().astype(np.int32), ring.ravel().astype(np.int32)
    size = np.bincount(patch, area, len(places))
    middle = np.stack([np.bincount(patch, area * axis, len(places)) for axis in folded.T], axis=1) / size[:, None]
    near = _near_kernel(middle, places[:, 0])
    ring_size = np.bincount(ring, size)
    wide = _wide_kernels(np.bincount(ring, size * middle[:, 2]) / ring_size, rings[:, 0])
    return Topology(
        faces=skeleton.faces,
        mirror=mirror.astype(np.int32),
        area=area,
        patch=patch,
        ring=ring,
        near=near,
        near_area=(near @ size).astype(np.float32),
        wide=wide,
        wide_area=(wide @ ring_size).astype(np.float32),
    )


def _parts(skeleton: Skeleton) -> Int32[np.ndarray, " v"]:
    """Return the part of each vertex: that of the bone which moves it most."""
    strongest = skeleton.weights.toarray().argmax(axis=1)
    names = list(PARTS.values())
    found = [
        next((place for place, begin in enumerate(names) if bone.startswith(begin)), -1) for bone in skeleton.bones
    ]
    if -1 in found:
        raise MeshError(f"bone {skeleton.bones[found.index(-1)]!r} belongs to no known part of a body: {list(PARTS)}")
    return np.array(found, dtype=np.int32)[strongest]


def _vertex_areas(vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]) -> Float32[np.ndarray, " v"]:
    """Return a third of the area of the triangles around each vertex."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    thirds = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(faces.ravel(), np.repeat(thirds, 3), len(vertices)).astype(np.float32)


def _near_kernel(middle: Float[np.ndarray, "p 3"], part: Int64[np.ndarray, " p"]) -> csr_array:
    up, across = NEAR
    apart = (middle[:, None] - middle[None]) / [across, across, up]
    far = np.square(apart).sum(axis=2)
    reached = (far < REACH**2) & (part[:, None] == part)
    return csr_array(np.where(reached, np.exp(-0.5 * far), 0).astype(np.float32))


def _wide_kernels(height: Float[np.ndarray, " r"], part: Int64[np.ndarray, " r"]) -> Float32[np.ndarray, "k r r"]:
    limb = np.array([next(place for place, names in enumerate(LIMBS) if name in names) for name in PARTS])[part]
    within = {
        "part": part[:, None] == part,
        "limb": limb[:, None] == limb,
        "body": np.ones((len(part),) * 2, dtype=bool),
    }
    rise = height[:, None] - height
    return np.array([within[where] * np.exp(-0.5 * (rise / up) ** 2) for where, up in WIDE], dtype=np.float32)
