"""The colour of every visible point of a dressed figure, from its place on the mannequin."""

import numpy as np
from jaxtyping import Bool, Float, Int32

from gcl_core.data.people.figure import HEM, SLEEVE_END, hair_line, under_top
from gcl_core.data.people.pieces import ARM, BAG, CLOTH, COAT, HAIR, HAT, HEAD, LEG, SKIRT, TRUNK
from gcl_core.data.people.wardrobe import Looks, Worn

Points = Float[np.ndarray, "n 4"]  # x to the left hand, y backwards, z above the floor in metres; place on the arm
Colours = Float[np.ndarray, "n 3"]  # RGB, 0..255


def paint(looks: Looks, coords: Points, part: Int32[np.ndarray, " n"]) -> Colours:
    """Return the colours (RGB, 0..255, unshaded) of n points on a figure of these looks."""
    colour = np.broadcast_to(np.array(looks.skin, dtype=float), (len(coords), 3)).copy()
    height, along = coords[:, 2], coords[:, 3]
    body = (part == TRUNK) | (part == LEG)
    _paint_head(colour, looks, coords, part == HEAD)
    hem = looks.lower_end + (0.04 if looks.lower in ("skirt", "dress") else 0.0)  # a thigh that a long step pushes out
    below = (body & (height > hem) & (height < 1.3)) | (part == SKIRT)
    colour[below] = looks.lower_colour if looks.lower != "dress" else _garment(looks, coords[below], part[below])
    _paint_feet(colour, looks, height, part == LEG)
    top = (body & under_top(coords, HEM[looks.upper])) | ((part == ARM) & (along < SLEEVE_END[looks.upper]))
    colour[top] = _garment(looks, coords[top], part[top])
    colour[part == CLOTH] = looks.second if looks.pattern == "sleeves" else looks.top
    _paint_front(colour, looks, coords, top & (part == TRUNK))
    _paint_carried(colour, looks, coords, part, top & (part == TRUNK))
    if looks.worn is not None:
        _paint_worn(colour, looks, looks.worn, coords, part, top)
    colour[part == HAIR] = looks.hair
    colour[part == HAT] = looks.hat
    return colour


def _garment(looks: Looks, coords: Points, part: Int32[np.ndarray, " n"]) -> Colours:
    """Colour of the upper garment; on sleeves the place along the arm takes the part of height."""
    arm = part == ARM
    down = np.where(arm, 1.47 - 0.62 * coords[:, 3], coords[:, 2])
    across = np.where(arm, coords[:, 1] + 0.3 * coords[:, 3], coords[:, 0])
    turns, over = down / looks.period, across / looks.period
    if looks.pattern == "stripes":
        second = turns % 1 < 0.45
    elif looks.pattern == "check":
        second = (turns % 1 < 0.5) ^ (over % 1 < 0.5)
    elif looks.pattern == "bands":
        second = (down > 1.22) & (down < 1.36)
    elif looks.pattern == "halves":
        second = down < 1.24
    elif looks.pattern == "sleeves":
        second = arm
    else:
        second = np.zeros(len(coords), dtype=bool)
    colour = np.where(second[:, None], looks.second, looks.top).astype(float)
    if looks.pattern == "plaid":
        share = 0.45 * (turns % 1 < 0.4) + 0.45 * (over % 1 < 0.4)
        colour += share[:, None] * (np.array(looks.second) - colour)
    return colour


def _paint_head(colour: Colours, looks: Looks, coords: Points, head: Bool[np.ndarray, " n"]) -> None:
    x, y, z = np.abs(coords[:, 0]), coords[:, 1], coords[:, 2]
    face = head & (y < -0.1)
    colour[face & (z > 1.612) & (z < 1.622) & (x < 0.025)] *= (0.8, 0.55, 0.55)
    colour[face & (z > 1.712) & (z < 1.727) & (x > 0.018) & (x < 0.045)] = (40, 34, 32)
    colour[face & (z > 1.735) & (z < 1.744) & (x > 0.014) & (x < 0.05)] *= 0.5
    if looks.hair_style != "bald":
        line = hair_line(coords)
        colour[head & (line > 0) & ~((x > 0.072) & (z < 1.73) & (line < 0.06))] = looks.hair
    if looks.hair_style in ("cap", "beanie"):
        brow = 1.765 if looks.hair_style == "cap" else 1.752
        colour[head & (z > brow - 0.25 * (y + 0.16)) & (y < -0.06) | head & (z > brow - 0.03) & (y >= -0.06)] = (
            looks.hat
        )


def _paint_feet(colour: Colours, looks: Looks, height: Float[np.ndarray, " n"], leg: Bool[np.ndarray, " n"]) -> None:
    colour[leg & (height < 0.09)] = looks.shoes
    sole = (150, 150, 148) if sum(looks.shoes) < 450 else (90, 90, 92)
    colour[leg & (height < 0.018)] = sole


def _paint_front(colour: Colours, looks: Looks, coords: Points, trunk: Bool[np.ndarray, " n"]) -> None:
    """What is seen from in front only: the open jacket with the shirt under it, the zip, the logo."""
    x, y, z = coords[:, 0], coords[:, 1], coords[:, 2]
    front = trunk & (y < -0.035)
    if looks.upper == "jacket":
        colour[front & (np.abs(x) < 0.045 + 0.05 * np.clip((z - 1.0) / 0.5, 0, 1))] = looks.second
    if looks.upper == "hoodie":
        colour[front & (np.abs(x) < 0.006)] *= 0.5
        colour[front & (z > 1.0) & (z < 1.12) & (np.abs(x) < 0.11)] *= 0.85
    side, up = np.abs(x), np.abs(z - 1.36)
    shapes = {
        "disc": side**2 + up**2 < 0.068**2,
        "bar": (side < 0.115) & (up < 0.035),
        "square": (side < 0.06) & (up < 0.06),
    }
    if looks.logo in shapes:
        colour[front & shapes[looks.logo]] = looks.logo_colour


def _paint_worn(
    colour: Colours,
    looks: Looks,
    worn: Worn,
    coords: Points,
    part: Int32[np.ndarray, " n"],
    top: Bool[np.ndarray, " n"],
) -> None:
    """Paint what differs between the sides: of the outermost garment, under which there is a shirt, and of the legs."""
    x, y, z = coords[:, 0] * worn.side, coords[:, 1], coords[:, 2]
    coat, trunk, leg = part == COAT, top & (part != ARM), part == LEG
    if worn.outer != "none":
        yoke = trunk & (z > 1.35) & ((y > -0.05) | (np.abs(x) > 0.1))  # lies on the shoulders
        colour[trunk] = looks.second
        trunk = coat | yoke
        colour[trunk] = _garment(looks, coords[trunk], part[trunk])
    upper = trunk | (top & (part == ARM))
    where = {
        "halved": upper & (x > 0),
        "sleeve": top & (part == ARM) & (x > 0),
        "back": trunk & (y > -0.02),
        "slanting": upper & (z > 1.22 - 0.9 * x),
        "print": trunk & (y > 0) & (np.abs(x) < 0.1) & (z > 1.2) & (z < 1.42),
    }[worn.cut]
    colour[where] = worn.other
    cloth = leg & (z > max(looks.lower_end, 0.1)) & (z < 0.9) & (x > 0.01)
    if worn.leg != "plain" and looks.lower in ("trousers", "shorts"):
        colour[cloth & (x > 0.13) if worn.leg == "stripe" else cloth] = worn.other


def _paint_carried(
    colour: Colours, looks: Looks, coords: Points, part: Int32[np.ndarray, " n"], trunk: Bool[np.ndarray, " n"]
) -> None:
    x, y, z = coords[:, 0], coords[:, 1], coords[:, 2]
    shade = np.array(looks.carried_colour, dtype=float)
    colour[part == BAG] = shade
    if looks.carried == "backpack":
        colour[(part == BAG) & (y > 0.225) & (z < 1.36)] = 0.72 * shade
        strap = trunk & (np.abs(np.abs(x) - 0.105) < 0.02) & ((y < 0.0) & (z > 1.2) | (z > 1.48))
        colour[strap] = 0.8 * shade
    elif looks.carried == "bag":
        colour[trunk & (np.abs(x - 0.62 * (z - 1.27)) < 0.022)] = 0.8 * shade
