"""Another family of bodies: rounded limbs about the free body's bones, without face, fingers, muscles or feet's arches.

What is carried over the very surface that a picture was painted on could owe its success to that surface. Bodies of
this family have other vertices, triangles and girths, and the same bones; so whatever poses the free body poses them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int32
from scipy.sparse import csr_array

from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton

CELL = 0.014  # metres between neighbouring vertices, about
TIP = 0.02  # radians from a pole to the ring around it: the hole is smaller than any pixel


class _Part(NamedTuple):
    """A tapering tube with round ends; places and radii are in metres of the body at rest."""

    start: Float[np.ndarray, " 3"]
    end: Float[np.ndarray, " 3"]
    radii: tuple[tuple[float, float], ...]  # sideways and forwards, from start to end, evenly
    bones: tuple[str, str]  # that move the start and, gradually, the end


def capsule_bodies(
    skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]
) -> tuple[Skeleton, Callable[[dict[str, float]], RestBody]]:
    """Return skeleton and rest bodies of the family, as `load_bodies` does for the free body, of whose they are made.

    Vertices of the left half are mirrored exactly by those of the right.
    """
    average = rest_body(AVERAGE)
    faces, rows, columns, values, size = [], [], [], [], 0
    for part, (points, triangles, share) in _shapes(skeleton.bones, average):
        faces.append(triangles + np.int32(size))
        for bone, weight in zip(part.bones, (1 - share, share), strict=True):
            rows.append(size + np.arange(len(points)))
            columns.append(np.full(len(points), skeleton.bones.index(bone)))
            values.append(weight)
        size += len(points)
    places = (np.concatenate(rows), np.concatenate(columns))
    weights = csr_array((np.concatenate(values).astype(np.float32), places), shape=(size, len(skeleton.bones)))

    def capsule_body(parameters: dict[str, float]) -> RestBody:
        rest = rest_body(parameters)
        vertices = np.concatenate([points for _, (points, _, _) in _shapes(skeleton.bones, rest, average)])
        return RestBody(vertices.astype(np.float32), rest.heads)

    return Skeleton(np.concatenate(faces), skeleton.bones, skeleton.parents, weights), capsule_body


Shape = tuple[Float[np.ndarray, "n 3"], Int32[np.ndarray, "m 3"], Float[np.ndarray, " n"]]


def _shapes(bones: tuple[str, ...], rest: RestBody, like: RestBody | None = None) -> Iterator[tuple[_Part, Shape]]:
    """Yield each part of a body with its vertices, triangles, shares of its second bone; as many as `like` has."""
    heads, usual = (
        dict(zip(bones, each.heads.astype(np.float64), strict=True)) for each in (rest, rest if like is None else like)
    )
    for (part, sided), (model, _) in zip(_parts(heads), _parts(usual), strict=True):
        rings = max(4, round(float(np.linalg.norm(model.end - model.start)) / CELL))
        points, triangles, share = _tube(part, rings)
        yield part, (points, triangles, share)
        if sided:
            other = part._replace(bones=tuple(f"{bone.removesuffix('.L')}.R" for bone in part.bones))
            yield other, (points * [-1, 1, 1], triangles[:, ::-1], share)


def _parts(heads: Mapping[str, Float[np.ndarray, " 3"]]) -> Iterator[tuple[_Part, bool]]:
    """Yield the parts of the middle and of the left half, and whether a right half mirrors it."""
    hips, neck, head = (_middle(heads[name]) for name in ("root", "neck01", "head"))
    hips, crown = hips - [0, 0.01, 0.06], head - [0, 0.02, -0.1]
    girths = ((0.15, 0.115), (0.165, 0.115), (0.14, 0.1), (0.15, 0.105), (0.165, 0.11), (0.14, 0.085))
    yield _Part(hips, neck - [0, 0.02, 0.06], girths, ("root", "spine03")), False
    yield _Part(neck - [0, 0, 0.03], head, ((0.06, 0.06), (0.055, 0.06)), ("neck01", "neck01")), False
    yield _Part(head - [0, 0.025, 0.01], crown, ((0.065, 0.08), (0.078, 0.1), (0.07, 0.09)), ("head", "head")), False
    for names, radii in (
        (("upperarm01", "lowerarm01"), (0.054, 0.042)),
        (("lowerarm01", "wrist"), (0.042, 0.03)),
        (("wrist", "finger3-2"), (0.034, 0.03)),
        (("upperleg01", "lowerleg01"), (0.09, 0.058)),
        (("lowerleg01", "foot"), (0.058, 0.042)),
    ):
        bone = f"{names[0]}.L"
        start, end = (heads[f"{name}.L"] for name in names)
        yield _Part(start, end, tuple((radius, radius) for radius in radii), (bone, bone)), True
    heel = heads["foot.L"] - [0, 0, 0.035]
    toes = heel - [-0.015, 0.15, 0.02]
    yield _Part(heel - [0, -0.02, 0], toes, ((0.038, 0.038), (0.042, 0.03)), ("foot.L", "foot.L")), True


def _middle(place: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return place * [0, 1, 1]


def _tube(part: _Part, rings: int) -> Shape:
    """Return vertices, triangles that turn outwards, and how far along the part each vertex lies, 0 to 1."""
    line = part.end - part.start
    ahead = line / np.linalg.norm(line)
    sideways = np.cross([0.0, 1, 0] if abs(ahead[1]) < 0.9 else [0.0, 0, -1], ahead)
    sideways /= np.linalg.norm(sideways)
    forwards = np.cross(ahead, sideways)
    radii = np.array(part.radii)
    widest = float(radii.max())
    around = 2 * round(np.pi * widest / CELL)
    caps = np.linspace(TIP, np.pi / 2, max(4, round(np.pi / 2 * float(radii.min()) / CELL)), endpoint=False)
    share = np.concatenate([np.zeros(len(caps)), np.linspace(0, 1, rings), np.ones(len(caps))])
    wide = np.concatenate([np.sin(caps), np.ones(rings), np.sin(caps[::-1])])
    beyond = np.concatenate([-np.cos(caps), np.zeros(rings), np.cos(caps[::-1])])
    girth = np.stack([np.interp(share, np.linspace(0, 1, len(radii)), axis) for axis in radii.T], axis=1)
    turn = 2 * np.pi * np.arange(around) / around
    across = girth[:, 0, None] * wide[:, None] * np.cos(turn)
    deep = girth[:, 1, None] * wide[:, None] * np.sin(turn)
    along = share * np.linalg.norm(line) + beyond * girth.min(axis=1)
    points = part.start + along[:, None, None] * ahead + across[..., None] * sideways + deep[..., None] * forwards
    ring, place = np.meshgrid(np.arange(len(share) - 1), np.arange(around), indexing="ij")
    here, beside = ring * around + place, ring * around + (place + 1) % around
    quads = np.stack([here, beside, here + around, beside, beside + around, here + around], axis=2)
    return points.reshape(-1, 3), quads.reshape(-1, 3).astype(np.int32), np.repeat(share, around)
