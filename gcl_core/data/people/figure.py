"""A dressed figure: the body smoothed and widened under its clothes, and the pieces tied to its bones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32
from scipy import sparse

from gcl_core.data.people.pieces import ARM, HEAD, HIPS, LEG, TRUNK, WAIST, Piece, pieces_of
from gcl_core.data.people.wardrobe import Looks
from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton
from gcl_core.mesh.projection import dot
from gcl_core.mesh.rasterizer import vertex_normals

SLEEVE_END = {"sleeveless": 0.04, "short": 0.36, "long": 0.97, "hoodie": 0.99, "jacket": 1.0}
"""Where a sleeve ends on the arm: 0 the shoulder, 0.5 the elbow, 1 the wrist."""
HEM = {"sleeveless": 1.02, "short": 0.97, "long": 0.98, "hoodie": 0.95, "jacket": 0.92}
THICKNESS = {"sleeveless": 0.008, "short": 0.014, "long": 0.012, "hoodie": 0.024, "jacket": 0.024}
_PREFIXES = {
    HEAD: ("neck", "head", "eye"),
    ARM: ("upperarm", "lowerarm", "wrist", "finger", "metacarpal"),
    LEG: ("upperleg", "lowerleg", "foot", "toe"),
}


@dataclass(frozen=True)
class Mannequin:
    """The average body at rest: the coordinates in which garments are cut, the same for everybody."""

    skeleton: Skeleton
    coords: Float32[np.ndarray, "v 3"]  # metres, z above the floor
    along: Float32[np.ndarray, " v"]  # place on the arm, 0 shoulder, 1 wrist
    part: Int32[np.ndarray, " v"]  # HEAD, TRUNK, LEG or ARM
    smooth: sparse.csr_array  # mean of the neighbours


@dataclass(frozen=True)
class Figure:
    """A person in clothes at rest, to be posed with the bones of the body; `coords` and `along` as in Mannequin."""

    vertices: Float32[np.ndarray, "n 3"]
    faces: Int32[np.ndarray, "m 3"]
    weights: sparse.csr_array
    coords: Float32[np.ndarray, "n 4"]  # mannequin coordinates and the place on the arm
    part: Int32[np.ndarray, " m"]  # of each triangle


def make_mannequin(skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]) -> Mannequin:
    """Return the mannequin of a skeleton."""
    rest = rest_body(AVERAGE)
    floor = rest.vertices[:, 2].min()
    strongest = np.array(skeleton.bones)[skeleton.weights.toarray().argmax(axis=1)]
    part = np.full(len(rest.vertices), TRUNK, dtype=np.int32)
    for number, prefixes in _PREFIXES.items():
        part[[bone.startswith(prefixes) for bone in strongest]] = number
    along = np.zeros(len(part), dtype=np.float32)
    heads = dict(zip(skeleton.bones, rest.heads, strict=True))
    for side in ("L", "R"):
        shoulder, elbow, wrist = (heads[f"{bone}.{side}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
        upper = np.char.startswith(strongest, "upperarm")
        mine = (part == ARM) & np.char.endswith(strongest, f".{side}")
        along[mine & upper] = 0.5 * _share(rest.vertices[mine & upper], shoulder, elbow)
        along[mine & ~upper] = 0.5 + 0.5 * _share(rest.vertices[mine & ~upper], elbow, wrist)
    coords = rest.vertices - np.array([0, 0, floor], dtype=np.float32)
    return Mannequin(skeleton, coords, along, part, _neighbour_means(skeleton.faces, len(part)))


def dress(mannequin: Mannequin, rest: RestBody, looks: Looks) -> Figure:
    """Return the figure of a person: garments stand off the skin and hide toes and muscles; pieces are put on."""
    vertices, cut = _put_on(mannequin, rest.vertices, looks)
    skeleton, size = mannequin.skeleton, len(vertices)
    parts, faces, points, weights = [_face_part(mannequin)], [skeleton.faces], [vertices], [skeleton.weights]
    coords = [np.column_stack([cut, mannequin.along])]
    for piece in pieces_of(looks):
        points.append(_fit(piece, mannequin, vertices))
        faces.append(piece.faces + np.int32(size))
        coords.append(np.column_stack([piece.coords, np.zeros(len(piece.coords), dtype=np.float32)]))
        parts.append(np.full(len(piece.faces), piece.part, dtype=np.int32))
        weights.append(_tie(piece, skeleton.bones))
        size += len(piece.coords)
    return Figure(
        vertices=np.concatenate(points),
        faces=np.concatenate(faces),
        weights=sparse.csr_array(sparse.vstack(weights, format="csr")),
        coords=np.concatenate(coords).astype(np.float32),
        part=np.concatenate(parts),
    )


def hair_line(coords: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Return how far (metres) a point of the head lies above the edge of the hair, negative below it."""
    return coords[:, 2] - np.interp(coords[:, 1], [-0.16, -0.11, -0.085, -0.06, 0.0], [1.79, 1.775, 1.735, 1.69, 1.625])


def under_top(coords: Float[np.ndarray, "n k"], hem: float) -> Bool[np.ndarray, " n"]:
    """Return which points of the trunk lie between a hem and a round neckline, lower in front."""
    return (coords[:, 2] > hem) & (coords[:, 2] < 1.553 + 0.45 * (coords[:, 1] + 0.03))


def _put_on(
    mannequin: Mannequin, vertices: Float32[np.ndarray, "v 3"], looks: Looks
) -> tuple[Float32[np.ndarray, "v 3"], Float32[np.ndarray, "v 3"]]:
    """Return the dressed body, and the mannequin coordinates smoothed alike, so that patterns stay straight."""
    coords, part, along = mannequin.coords, mannequin.part, mannequin.along
    height = coords[:, 2]
    body = (part == TRUNK) | (part == LEG)
    top = (body & under_top(coords, HEM[looks.upper])) | ((part == ARM) & (along < SLEEVE_END[looks.upper]))
    lower = body & (height < WAIST) & (height > (looks.lower_end if looks.lower in ("trousers", "shorts") else 0.9))
    shoe = (part == LEG) & (height < 0.095)
    softness = np.where(top | (lower & (height > 0.8)), 0.6, 0.0) + np.where(shoe, 0.85, 0.0)
    softness = np.where(lower & (height <= 0.8), 0.5, softness).astype(np.float32)[:, None]
    both = np.concatenate([vertices, coords], axis=1)
    for _ in range(14):
        both += softness * (mannequin.smooth @ both - both)
    soft, cut = both[:, :3], both[:, 3:]
    away = np.where(lower, 0.006 + looks.looseness * np.clip((WAIST - height) / 0.6, 0, 1), 0.0)
    away = np.where(top, np.maximum(THICKNESS[looks.upper] + (looks.looseness / 3) * (part == ARM), away), away)
    away = np.where(shoe, 0.014, away)
    line = hair_line(coords)
    volume = {"bald": 0.0, "crop": 0.006, "short": 0.016, "cap": 0.016, "beanie": 0.016}.get(looks.hair_style, 0.014)
    away = np.where((part == HEAD) & (line > 0), volume * np.clip(line / 0.03, 0, 1), away)
    return (soft + vertex_normals(soft, mannequin.skeleton.faces) * away[:, None]).astype(np.float32), cut


def _fit(piece: Piece, mannequin: Mannequin, vertices: Float32[np.ndarray, "v 3"]) -> Float32[np.ndarray, "n 3"]:
    """Move a piece from the mannequin to a person: what it follows is boxed on both, and box maps to box."""
    height = mannequin.coords[:, 2]
    mine = mannequin.part == piece.follows
    if piece.follows == HIPS:
        mine = (mannequin.part != ARM) & (height > 0.8) & (height < WAIST)
    low, high = mannequin.coords[mine].min(axis=0), mannequin.coords[mine].max(axis=0)
    low_here, high_here = vertices[mine].min(axis=0), vertices[mine].max(axis=0)
    return (low_here + (piece.coords - low) * (high_here - low_here) / (high - low)).astype(np.float32)


def _tie(piece: Piece, bones: tuple[str, ...]) -> sparse.csr_array:
    weights = np.zeros((len(piece.coords), len(bones)), dtype=np.float32)
    for bone, share in piece.bones.items():
        weights[:, bones.index(bone)] = share
    return sparse.csr_array(weights)


def _face_part(mannequin: Mannequin) -> Int32[np.ndarray, " f"]:
    corners = mannequin.part[mannequin.skeleton.faces]
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0]).astype(np.int32)


def _neighbour_means(faces: Int32[np.ndarray, "f 3"], count: int) -> sparse.csr_array:
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.sort(ends, axis=1), axis=0)
    rows, columns = np.concatenate([ends, ends[:, ::-1]]).T
    touch = sparse.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(count, count))
    degree = np.maximum(touch.sum(axis=1), 1)
    return sparse.csr_array(touch / degree[:, None], dtype=np.float32)


def _share(points: Float32[np.ndarray, "n 3"], start: np.ndarray, end: np.ndarray) -> Float32[np.ndarray, " n"]:
    line = end - start
    return (dot(points - start, line) / (line @ line)).astype(np.float32)
