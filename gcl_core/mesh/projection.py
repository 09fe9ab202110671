"""Grey projections of a body at a yaw angle, and where they are kept (METHOD.md §1.3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError

YAWS: tuple[int, ...] = (0, 45, 90, 135, 180, 225, 270, 315)
"""The study's angles in degrees, counter-clockwise seen from above: a body facing image-left is frontal at +90."""
NOVEL = YAWS[1:]  # those of new views: 0 is the picture's own

WHITE = 255  # behind the body (METHOD.md §1.3)
OVERSAMPLING = 2
MARGIN = 0.05  # of the picture's height or width, left free on each side
_LIGHT = np.array([-0.35, -0.8, 0.5], dtype=np.float32) / np.float32(np.sqrt(0.35**2 + 0.8**2 + 0.5**2))


@dataclass(frozen=True)
class Frame:
    """Where a picture's window lies in the image plane: metres to pixels, one scale for both directions."""

    scale: float  # pixels per metre
    column: float  # of the plane's origin, in pixels
    row: float


def project_body(
    body: Body, yaw_degrees: float | int, *, height: int, width: int
) -> UInt8[np.ndarray, "{height} {width}"]:
    """Draw a body as a smooth-shaded light-grey figure on white: whole body in frame, centred (METHOD.md §1.3).

    `yaw_degrees` turns the body about the vertical, counter-clockwise seen from above: facing image-left becomes
    frontal at +90, seen from behind becomes facing image-left. Raises MeshError: a body without extent.
    """
    from gcl_core.mesh.rasterizer import rasterize  # numba: only where something is drawn

    if body.extent.min() == 0:
        raise MeshError(f"a body of {len(body.vertices)} vertices is empty or flat and shows nothing; leave it out")

    turn = view_matrix(yaw_degrees, body.elevation)
    seen = body.vertices @ turn.T
    frame = fit_frame(seen, height, width)
    size = (height * OVERSAMPLING, width * OVERSAMPLING)
    shown, inside = rasterize(to_pixels(seen, frame), body.faces, *size)
    normals = body.normals @ turn.T
    grey = np.full(size, WHITE, dtype=np.float32)
    covered = shown >= 0
    facing = dot(interpolate(normals, body.faces, shown[covered], inside[covered]), _LIGHT)
    grey[covered] = 95 + 130 * np.clip(facing, 0, None)
    return np.round(shrink(grey)).astype(np.uint8)


def projection_folder(mesh_root: Path, split: Literal["train", "test"], yaw: int) -> Path:
    """Return the folder of the projections at a yaw: `<mesh_root>/{train,test}/render[_DEG]` (METHOD.md §1.3)."""
    if yaw not in YAWS:
        raise ValueError(f"no projections at yaw {yaw}; they are made at {YAWS}")
    return Path(mesh_root) / split / ("render" if yaw == 0 else f"render_{yaw}")


def view_matrix(yaw_degrees: float | int, elevation: float) -> Float32[np.ndarray, "3 3"]:
    """Return the rotation to view axes (x image-right, y away from the camera, z image-up) from body axes."""
    yaw, tilt = np.deg2rad(yaw_degrees), np.deg2rad(elevation)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    look = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    return (look @ turn).astype(np.float32)


def fit_frame(seen: Float32[np.ndarray, "v 3"], height: float | int, width: float | int) -> Frame:
    """Return the frame that shows all of `seen` (view axes, metres) as large as the margins allow, centred."""
    across, upwards = np.ascontiguousarray(seen[:, 0]), np.ascontiguousarray(seen[:, 2])
    left, right, bottom, top = (float(edge) for edge in (across.min(), across.max(), upwards.min(), upwards.max()))
    scale = (1 - 2 * MARGIN) * min(width / (right - left), height / (top - bottom))
    return Frame(scale, width / 2 - scale * (left + right) / 2, height / 2 + scale * (bottom + top) / 2)


def to_pixels(seen: Float32[np.ndarray, "v 3"], frame: Frame) -> Float32[np.ndarray, "v 3"]:
    """Return (column, row, depth) at OVERSAMPLING times the picture's size, as the rasterizer takes them."""
    columns, rows = frame.column + frame.scale * seen[:, 0], frame.row - frame.scale * seen[:, 2]
    return np.stack([columns * OVERSAMPLING, rows * OVERSAMPLING, seen[:, 1]], axis=1).astype(np.float32)


def interpolate(
    values: Float[np.ndarray, "v k"],
    faces: Int32[np.ndarray, "f 3"],
    shown: Int32[np.ndarray, " n"],
    inside: Float32[np.ndarray, "n 3"],
) -> Float[np.ndarray, "n k"]:
    """Return vertex values at n pixels, from each pixel's triangle and barycentric coordinates."""
    return np.einsum("nc,nck->nk", inside, values[faces[shown]])


def dot(vectors: Float32[np.ndarray, "n 3"], axis: Float32[np.ndarray, " 3"]) -> Float32[np.ndarray, " n"]:
    """Return `vectors @ axis` with the same bits on every processor, which BLAS does not promise."""
    x, y, z = vectors.T
    return x * axis[0] + y * axis[1] + z * axis[2]


def shrink(picture: Float32[np.ndarray, "h w *c"]) -> Float32[np.ndarray, "h2 w2 *c"]:
    """Return the mean of each OVERSAMPLING x OVERSAMPLING block of pixels."""
    height, width = picture.shape[0] // OVERSAMPLING, picture.shape[1] // OVERSAMPLING
    return picture.reshape(height, OVERSAMPLING, width, OVERSAMPLING, *picture.shape[2:]).mean(axis=(1, 3))
