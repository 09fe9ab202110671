"""What stands around the people: a street, of which each picture shows a piece drawn at random.

In the regime "view" all cameras share one street: a background that told the camera would let a network recognise
cameras in place of people. That is the difficulty of the regime "background", where each has a place of its own.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter

from gcl_core.config import PeopleSettings
from gcl_core.mesh.projection import OVERSAMPLING
from gcl_core.seeding import numpy_rng

ROWS, COLUMNS = 256, 1536  # of a texture; a person is about 120 rows high in it
FLAT = 4  # how much farther apart two points of the ground are in depth than they look
PLACE = 0.04  # share of its street that a camera with a place of its own shows, about a person's width
_MATERIALS = np.array(
    [
        [168, 160, 150],
        [138, 132, 128],
        [186, 178, 166],
        [120, 124, 132],
        [150, 128, 110],
        [104, 112, 104],
        [196, 194, 190],
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Street:
    """Two long textures, RGB in 0..255, and the share of their length and height in which pictures begin."""

    wall: Float32[np.ndarray, "r c 3"]
    ground: Float32[np.ndarray, "r c 3"]
    shown: float = 1.0


def make_streets(settings: PeopleSettings) -> list[Street]:
    """Return the street that each camera of a set sees: the same for all or, by regime, a short one for each."""
    if settings.regime == "view":
        return [make_street(settings.seed)] * settings.cameras
    return [replace(make_street(settings.seed, f"/{camera}"), shown=PLACE) for camera in range(settings.cameras)]


def make_street(seed: int, which: str = "") -> Street:
    """Return a street of a set."""
    wall, ground = (numpy_rng(seed, f"people/{what}{which}") for what in ("wall", "ground"))
    return Street(_make_wall(wall), _make_ground(ground))


def draw_backdrop(
    street: Street, rng: np.random.Generator, height: int, width: int, turn: float | int = 0
) -> Float32[np.ndarray, "h w 3"]:
    """Return a random piece of the street at OVERSAMPLING times the picture's size: wall above, ground below.

    `turn`: how far, in degrees, a camera walked around the person. The wall stands all around them, and the ground
    turns about their feet.
    """
    step = 128 / height / OVERSAMPLING * rng.uniform(0.8, 1.25)
    rows, columns = height * OVERSAMPLING, width * OVERSAMPLING
    horizon = int(rows * rng.uniform(0.5, 0.82))
    ground_step = step * np.linspace(1.6, 0.7, rows - horizon)  # nearer is larger
    tall, long = ROWS * street.shown, COLUMNS * street.shown
    across = rng.uniform(0, long) + step * np.arange(columns)
    up = (rng.uniform(0, tall) + step * np.arange(horizon)).astype(int) % ROWS
    down = rng.uniform(0, tall) + np.cumsum(ground_step)
    picture = np.empty((rows, columns, 3), dtype=np.float32)
    picture[:horizon] = street.wall[up[:, None], (across + COLUMNS * turn / 360).astype(int) % COLUMNS]
    sine, less = np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn)) - 1
    right, far = across - across[columns // 2], FLAT * (down[-1] - down)[:, None]  # of the feet
    over = np.floor(across + less * right + sine * far).astype(int) + int(rng.uniform(0, long))
    away = np.floor(down[:, None] + (sine * right - less * far) / FLAT).astype(int)
    picture[horizon:] = street.ground[away % ROWS, over % COLUMNS]
    return picture * np.float32(rng.uniform(0.88, 1.08))


def draw_occluder(
    rng: np.random.Generator, height: int, width: int
) -> tuple[tuple[slice, slice], Float32[np.ndarray, " 3"]]:
    """Return the pixels and the colour of something in front of the person: a post, a box on the ground, or an edge."""
    rows, columns = height * OVERSAMPLING, width * OVERSAMPLING
    kind = rng.integers(3)
    colour = _MATERIALS[rng.integers(len(_MATERIALS))] * np.float32(rng.uniform(0.4, 0.8))
    if kind == 0:
        left = int(columns * rng.uniform(0.1, 0.8))
        return (slice(0, rows), slice(left, left + max(2, int(columns * rng.uniform(0.06, 0.11))))), colour
    if kind == 1:
        left, top = int(columns * rng.uniform(-0.2, 0.5)), int(rows * rng.uniform(0.72, 0.86))
        return (slice(top, rows), slice(max(left, 0), left + int(columns * rng.uniform(0.5, 0.8)))), colour
    edge = int(columns * rng.uniform(0.12, 0.25))
    across = slice(0, edge) if rng.random() < 0.5 else slice(columns - edge, columns)
    return (slice(int(rows * rng.uniform(0.0, 0.4)), rows), across), colour


def _make_wall(rng: np.random.Generator) -> Float32[np.ndarray, "r c 3"]:
    wall = _clouds(rng, 34, (150, 146, 140))
    for _ in range(150):
        top, left = int(rng.uniform(0, ROWS)), int(rng.uniform(0, COLUMNS))
        tall, wide = int(rng.uniform(12, 110)), int(rng.uniform(8, 80))
        colour = _MATERIALS[rng.integers(len(_MATERIALS))] * rng.uniform(0.6, 1.15) + rng.uniform(-14, 14, 3)
        area = wall[top : top + tall, left : left + wide]
        area += np.float32(rng.uniform(0.45, 0.9)) * (colour.astype(np.float32) - area)
        if rng.random() < 0.3:  # a window or a door has a frame
            area[:2] *= np.float32(0.7)
            area[:, :2] *= np.float32(0.7)
    for _ in range(50):  # shrubs
        row, column, size = rng.uniform(0, ROWS), rng.uniform(0, COLUMNS), rng.uniform(8, 26)
        r, c = np.ogrid[:ROWS, :COLUMNS]
        near = np.exp(-(((r - row) / size) ** 2) - ((c - column) / size) ** 2)[:, :, None].astype(np.float32)
        leaves = np.array([92, 116, 80], dtype=np.float32) * np.float32(rng.uniform(0.7, 1.2))
        wall += np.clip(near * 1.4, 0, 0.85) * (leaves - wall)
    return _grain(rng, gaussian_filter(wall, (0.7, 0.7, 0), mode="wrap"))


def _make_ground(rng: np.random.Generator) -> Float32[np.ndarray, "r c 3"]:
    ground = _clouds(rng, 22, (146, 144, 142))
    for _ in range(40):
        top, tall = int(rng.uniform(0, ROWS)), int(rng.uniform(6, 50))
        left, wide = int(rng.uniform(0, COLUMNS)), int(rng.uniform(60, 360))
        colour = np.array(
            [(112, 128, 92), (160, 140, 124), (176, 174, 168), (118, 118, 122)][rng.integers(4)], dtype=np.float32
        )
        area = ground[top : top + tall, left : left + wide]
        area += np.float32(rng.uniform(0.3, 0.7)) * (colour - area)
    ground[::32] *= np.float32(0.9)  # paving
    ground[:, ::48] *= np.float32(0.93)
    return _grain(rng, gaussian_filter(ground, (0.7, 0.7, 0), mode="wrap"))


def _clouds(
    rng: np.random.Generator, strength: float | int, colour: tuple[int, int, int]
) -> Float32[np.ndarray, "r c 3"]:
    canvas = np.empty((ROWS, COLUMNS, 3), dtype=np.float32)
    canvas[:] = np.array(colour, dtype=np.float32)
    for size, share in ((40, 1.0), (14, 0.6), (5, 0.3)):
        noise = gaussian_filter(rng.standard_normal((ROWS, COLUMNS, 3)), (size, size, 0), mode="wrap")
        noise = 0.8 * noise.mean(axis=2, keepdims=True) / noise.mean(axis=2).std() + 0.2 * noise / noise.std()
        canvas += (strength * share * noise).astype(np.float32)
    return canvas


def _grain(rng: np.random.Generator, canvas: Float32[np.ndarray, "r c 3"]) -> Float32[np.ndarray, "r c 3"]:
    return np.clip(canvas + rng.normal(0, 3.0, canvas.shape), 20, 240).astype(np.float32)
