"""Small closed surfaces tied to bones (hair, brim, hood, skirt, backpack, bag), on the mannequin, in metres."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32

from gcl_core.data.people.wardrobe import Looks, Worn

HEAD, TRUNK, LEG, ARM, HAIR, HAT, CLOTH, SKIRT, BAG, COAT = range(10)
"""What a triangle belongs to; the first four are the body's, the others are pieces."""
HIPS = 10  # no part of its own: the girdle between trunk and legs, whose size a skirt follows

WAIST = 1.07  # height of a waistband on the mannequin


@dataclass(frozen=True)
class Piece:
    """A surface on the mannequin; `follows` is what it is scaled with: HEAD, TRUNK or HIPS."""

    coords: Float32[np.ndarray, "n 3"]  # x to the left hand, -y forwards, z above the floor
    faces: Int32[np.ndarray, "m 3"]
    bones: dict[str, Float[np.ndarray, " n"]]  # weights by bone; they sum to one
    part: int
    follows: int


def pieces_of(looks: Looks) -> list[Piece]:
    """Return the pieces that a person wears or carries."""
    pieces = [*_hair(looks.hair_style), *_cloth(looks), *_carried(looks.carried)]
    return pieces if looks.worn is None else [*pieces, *_worn(looks.worn, looks.hair_style, looks.lower_end)]


def _hair(style: str) -> list[Piece]:
    if style == "long":
        return [
            _blob((0.0, -0.035, 1.66), (0.098, 0.095, 0.14), "head", HAIR, HEAD, power=2.4),
            _blob((0.0, 0.045, 1.52), (0.1, 0.045, 0.2), "neck01", HAIR, HEAD, power=2.6),
        ]
    if style == "bob":
        return [_blob((0.0, -0.035, 1.67), (0.1, 0.095, 0.115), "head", HAIR, HEAD, power=2.8)]
    if style == "ponytail":
        return [_blob((0.0, 0.075, 1.65), (0.03, 0.032, 0.13), "head", HAIR, HEAD)]
    if style == "bun":
        return [_blob((0.0, 0.06, 1.795), (0.052, 0.052, 0.05), "head", HAIR, HEAD)]
    if style == "cap":
        return [_blob((0.0, -0.185, 1.765), (0.072, 0.065, 0.009), "head", HAT, HEAD, power=2.5)]
    return []


def _cloth(looks: Looks) -> list[Piece]:
    pieces = []
    if looks.upper == "hoodie":
        pieces.append(_blob((0.0, 0.055, 1.545), (0.105, 0.06, 0.07), "spine01", CLOTH, TRUNK, power=2.4))
    if looks.lower in ("skirt", "dress"):
        pieces.append(_skirt(looks.lower_end, 0.02 + looks.looseness * 2))
    return pieces


def _carried(carried: str) -> list[Piece]:
    if carried == "backpack":
        return [
            _blob((0.0, 0.16, 1.34), (0.145, 0.085, 0.215), "spine02", BAG, TRUNK, power=4.0),
            _blob((0.0, 0.245, 1.26), (0.1, 0.035, 0.09), "spine02", BAG, TRUNK, power=4.0),
        ]
    if carried == "bag":
        return [_blob((-0.225, 0.03, 0.97), (0.05, 0.14, 0.105), "spine05", BAG, TRUNK, power=4.0)]
    return []


def _worn(worn: Worn, hair_style: str, lower_end: float) -> list[Piece]:
    pieces, side = [], worn.side
    if worn.outer != "none":
        hem = 0.86 if worn.outer == "jacket" else min(0.62, lower_end + 0.1)
        pieces.append(_open_coat(max(hem, 0.42), worn))
    if worn.on_one_shoulder == "bag":
        pieces.append(_blob((side * 0.25, 0.04, 0.96), (0.06, 0.17, 0.15), "spine05", BAG, TRUNK, power=4.0))
        strap = [(0.24, -0.1, 1.05), (0.19, -0.19, 1.3), (0.14, -0.12, 1.5), (0.13, -0.02, 1.55)]
        strap += [(0.14, 0.07, 1.5), (0.19, 0.11, 1.3), (0.24, 0.12, 1.05)]
        pieces.append(_tube(np.array(strap) * [side, 1, 1], 0.016, "spine02", BAG, TRUNK))
    if worn.on_one_shoulder == "backpack":
        pieces.append(_blob((side * 0.09, 0.15, 1.27), (0.13, 0.085, 0.2), "spine02", BAG, TRUNK, power=4.0))
        strap = [(0.15, 0.1, 1.45), (0.13, -0.02, 1.55), (0.14, -0.13, 1.47), (0.18, -0.15, 1.28), (0.2, 0.0, 1.15)]
        pieces.append(_tube(np.array([*strap, (0.15, 0.12, 1.12)]) * [side, 1, 1], 0.02, "spine02", BAG, TRUNK))
    if hair_style in ("bald", "cap", "beanie"):
        return pieces
    if worn.volume == "full":
        pieces.append(_blob((side * 0.015, 0.0, 1.745), (0.14, 0.125, 0.125), "head", HAIR, HEAD, power=2.2))
    elif worn.volume == "over one shoulder":
        pieces.append(_blob((0.0, -0.02, 1.7), (0.107, 0.085, 0.11), "head", HAIR, HEAD, power=2.4))
        pieces.append(_blob((side * 0.085, -0.07, 1.53), (0.045, 0.06, 0.17), "neck01", HAIR, HEAD, power=2.4))
    return pieces


def _blob(
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    bone: str,
    part: int,
    follows: int,
    power: float = 2.0,
) -> Piece:
    """Return a rounded box: power 2 is an ellipsoid, 4 nearly a box."""
    around, rows = 20, 12
    rise, turn = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows), np.arange(around) * 2 * np.pi / around, indexing="ij"
    )
    ball = np.stack([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)], axis=2).reshape(-1, 3)
    ball /= (np.abs(ball) ** power).sum(axis=1, keepdims=True) ** (1 / power)
    coords = (ball * radii + centre).astype(np.float32)
    return Piece(coords, _grid_faces(rows, around), {bone: np.ones(len(coords))}, part, follows)


def _skirt(hem: float, flare: float) -> Piece:
    """Return a tube from the waist to the hem; each side follows its thigh, the more the lower."""
    around, rows = 32, 12
    depth, turn = np.meshgrid(np.linspace(0, 1, rows), np.arange(around) * 2 * np.pi / around, indexing="ij")
    depth, turn = depth.ravel(), turn.ravel()
    height = WAIST - 0.05 + (hem - WAIST + 0.05) * depth
    # half-widths of the mannequin's hips with a shirt over them, by height above the floor
    wide = np.interp(height, [0.4, 0.75, 0.92, WAIST], [0.235, 0.235, 0.222, 0.195]) + flare * depth
    deep = np.interp(height, [0.4, 0.75, 0.92, WAIST], [0.14, 0.145, 0.148, 0.142]) + flare * depth
    coords = np.stack([wide * np.cos(turn), -0.019 + deep * np.sin(turn), height], axis=1).astype(np.float32)
    leg = 0.8 * depth**0.7
    left = np.clip(0.5 + 0.75 * np.cos(turn), 0, 1)
    bones = {"root": 1 - leg, "upperleg01.L": leg * left, "upperleg01.R": leg * (1 - left)}
    return Piece(coords, _grid_faces(rows, around), bones, SKIRT, HIPS)


def _open_coat(hem: float, worn: Worn) -> Piece:
    """Return a sheet from the shoulders to the hem, open in front, that stands off the body, more at its two flaps."""
    around, rows = 40, 18
    depth, share = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, around), indexing="ij")
    depth, share = depth.ravel(), share.ravel()
    height = 1.5 + (hem - 1.5) * depth
    narrow, broad = np.deg2rad(10 + 8 * depth), np.deg2rad(12 + worn.opening * depth)
    left, right = (broad, narrow) if worn.side > 0 else (narrow, broad)
    turn = -np.pi / 2 + left + share * (2 * np.pi - left - right)  # from the flap of the left hand around the back
    flap = np.exp(-np.minimum(share, 1 - share) / 0.06) * depth
    # half-widths and middle of the mannequin's trunk with a shirt over it, by height above the floor
    levels = [0.4, 0.75, 0.92, 1.07, 1.2, 1.36, 1.5]
    wide = np.interp(height, levels, [0.245, 0.24, 0.235, 0.215, 0.195, 0.2, 0.165]) + 0.03 * depth + 0.02 * flap
    deep = np.interp(height, levels, [0.155, 0.155, 0.155, 0.145, 0.14, 0.142, 0.1]) + 0.03 * depth + 0.05 * flap
    middle = np.interp(height, [0.9, 1.1, 1.5], [-0.02, -0.045, -0.025])
    coords = np.stack([wide * np.cos(turn), middle + deep * np.sin(turn), height], axis=1).astype(np.float32)
    chest = np.clip((height - 1.05) / 0.25, 0, 1)
    leg = 0.8 * np.clip((WAIST - height) / 0.55, 0, 1) ** 0.7
    of_left = np.clip(0.5 + 0.75 * np.cos(turn), 0, 1)
    bones = {"spine02": chest, "root": 1 - chest - leg * (1 - chest)}
    bones |= {"upperleg01.L": leg * of_left * (1 - chest), "upperleg01.R": leg * (1 - of_left) * (1 - chest)}
    faces = _grid_faces(rows, around).reshape(-1, around, 6)[:, :-1].reshape(-1, 3)  # not closed
    return Piece(coords, faces, bones, COAT, TRUNK)


def _tube(line: Float[np.ndarray, "k 3"], radius: float, bone: str, part: int, follows: int) -> Piece:
    """Return a strap along a line of points, of square section."""
    places = np.linspace(0, len(line) - 1, 4 * len(line))
    along = np.stack([np.interp(places, np.arange(len(line)), axis) for axis in line.T], axis=1)
    ahead = np.gradient(along, axis=0)
    across = np.cross(ahead, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    beside = np.cross(ahead, across)
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    corners = [along + radius * (a * across + b * beside) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    coords = np.stack(corners, axis=1).reshape(-1, 3).astype(np.float32)
    return Piece(coords, _grid_faces(len(along), 4), {bone: np.ones(len(coords))}, part, follows)


def _grid_faces(rows: int, around: int) -> Int32[np.ndarray, "m 3"]:
    row, place = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
    here, beside = row * around + place, row * around + (place + 1) % around
    quads = np.stack([here, beside, here + around, beside, beside + around, here + around], axis=2)
    return quads.reshape(-1, 3).astype(np.int32)
