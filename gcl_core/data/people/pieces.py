"""Small closed surfaces tied to bones (hair, brim, hood, skirt, backpack, bag), on the mannequin, in metres."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32

from gcl_core.data.people.wardrobe import Looks

HEAD, TRUNK, LEG, ARM, HAIR, HAT, CLOTH, SKIRT, BAG = range(9)
"""What a triangle belongs to; the first four are the body's, the others are pieces."""
HIPS = 9  # no part of its own: the girdle between trunk and legs, whose size a skirt follows

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
    return [*_hair(looks.hair_style), *_cloth(looks), *_carried(looks.carried)]


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


def _grid_faces(rows: int, around: int) -> Int32[np.ndarray, "m 3"]:
    row, place = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
    here, beside = row * around + place, row * around + (place + 1) % around
    quads = np.stack([here, beside, here + around, beside, beside + around, here + around], axis=2)
    return quads.reshape(-1, 3).astype(np.int32)
