"""Taking a picture: a posed, dressed figure before a piece of street, as a camera of the rig sees it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8
from scipy.ndimage import gaussian_filter

from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.figure import Figure
from gcl_core.data.people.paint import paint
from gcl_core.data.people.plan import Shot
from gcl_core.data.people.scene import Street, draw_backdrop, draw_occluder
from gcl_core.data.people.wardrobe import Looks
from gcl_core.mesh.body import Body, RestBody, Skeleton
from gcl_core.mesh.pose import bone_transforms, skin, walking_rotations
from gcl_core.mesh.projection import (
    OVERSAMPLING,
    Frame,
    fit_frame,
    interpolate,
    project_body,
    shrink,
    to_pixels,
    view_matrix,
)
from gcl_core.mesh.rasterizer import rasterize, vertex_normals
from gcl_core.seeding import numpy_rng

Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Moment:
    """All that the views of one picture share: pose, surroundings and grain."""

    shot: Shot
    looks: Looks
    figure: Figure
    body: Body  # without clothes, for the projections and for the frame
    surface: Float32[np.ndarray, "n 3"]  # the figure, posed
    normals: Float32[np.ndarray, "n 3"]
    backdrop: Callable[[float | int], Float32[np.ndarray, "hh ww 3"]]  # of the view at a turn
    follows: bool  # whether the light turns with the person, since it is the camera that walks
    hidden: tuple[tuple[slice, slice], Float32[np.ndarray, " 3"]] | None
    grain: Float32[np.ndarray, "h w 3"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.grain.shape[0], self.grain.shape[1]


def pose_moment(
    shot: Shot,
    looks: Looks,
    figure: Figure,
    rest: RestBody,
    skeleton: Skeleton,
    street: Street,
    surroundings: Literal["still", "moving"] = "still",
    *,
    seed: int,
    height: int,
    width: int,
) -> Moment:
    """Pose a person and set up the surroundings: a function of (seed, person, index of the picture) alone."""
    transforms = bone_transforms(skeleton, rest, walking_rotations(skeleton, rest, shot.gait))
    elevation = CAMERAS[shot.camid - 1].elevation
    body = Body(skin(rest.vertices, skeleton.weights, transforms), skeleton.faces, elevation)
    surface = skin(figure.vertices, figure.weights, transforms)
    moving, drawn = (
        surroundings == "moving",
        (f"people/{shot.person.kind}/surroundings", shot.person.number, shot.index),
    )
    rng = numpy_rng(seed, *drawn)
    still = draw_backdrop(street, rng, height, width)

    def backdrop(turn: float | int) -> Float32[np.ndarray, "hh ww 3"]:
        return draw_backdrop(street, numpy_rng(seed, *drawn), height, width, turn) if moving else still.copy()

    occluded = rng.random() < CAMERAS[shot.camid - 1].occluded
    hidden = draw_occluder(rng, height, width) if occluded else None
    grain = rng.normal(0, 2.5, (height, width, 3)).astype(np.float32)
    normals = vertex_normals(surface, figure.faces)
    return Moment(shot, looks, figure, body, surface, normals, backdrop, moving, hidden, grain)


def take_picture(moment: Moment, turn: float | int = 0) -> Picture:
    """Return the true view (RGB) with the person turned by `turn` degrees: all else is equal, or turns with them."""
    shot, camera = moment.shot, CAMERAS[moment.shot.camid - 1]
    height, width = moment.size
    view = view_matrix(shot.yaw + turn, camera.elevation)
    frame = picture_frame(moment.body.vertices @ view.T, shot, height, width)
    points = to_pixels(moment.surface @ view.T, frame)
    shown, inside = rasterize(points, moment.figure.faces, height * OVERSAMPLING, width * OVERSAMPLING)
    canvas = moment.backdrop(turn)
    _cast_shadow(canvas, points, frame)
    covered = shown >= 0
    light = camera.light + (turn if moment.follows else 0)
    canvas[covered] = _shade(moment, view, light, shown[covered], inside[covered])
    if moment.hidden is not None:
        canvas[moment.hidden[0]] = moment.hidden[1]
    sigma = camera.blur * height / 128
    seen = gaussian_filter(shrink(canvas), (sigma, sigma, 0), mode="nearest")
    seen = seen * np.array(camera.cast, dtype=np.float32) * np.float32(camera.exposure * shot.exposure) + moment.grain
    return np.clip(np.round(seen), 0, 255).astype(np.uint8)


def take_projection(moment: Moment, turn: float | int) -> UInt8[np.ndarray, "h w"]:
    """Return the grey mesh projection of the picture's body, turned by `turn` degrees."""
    height, width = moment.size
    return project_body(moment.body, moment.shot.yaw + turn, height=height, width=width)


def picture_frame(seen: Float32[np.ndarray, "v 3"], shot: Shot, height: int, width: int) -> Frame:
    """Return the frame of a picture of a body (view axes): a detector's box is never quite right."""
    frame = fit_frame(seen, height, width)
    column = width * (0.5 + shot.shift[0]) + shot.zoom * (frame.column - width / 2)
    row = height * (0.5 + shot.shift[1]) + shot.zoom * (frame.row - height / 2)
    return replace(frame, scale=frame.scale * shot.zoom, column=column, row=row)


def _shade(
    moment: Moment,
    view: Float32[np.ndarray, "3 3"],
    azimuth: float,
    shown: np.ndarray,
    inside: Float32[np.ndarray, "p 3"],
) -> Float32[np.ndarray, "p 3"]:
    figure = moment.figure
    coords = interpolate(figure.coords, figure.faces, shown, inside)
    colour = paint(moment.looks, coords, figure.part[shown])
    normal = interpolate(moment.normals, figure.faces, shown, inside) @ view.T
    angle = np.deg2rad(azimuth)
    light = np.array([np.sin(angle), -np.cos(angle), 0.75]) / 1.25
    key = np.clip(normal @ light, 0, None)
    sky = 0.5 + 0.5 * normal[:, 2]
    folds = 1 + 0.035 * np.sin(41 * coords[:, 2] + 3 * np.sin(17 * coords[:, 0] + 11 * coords[:, 1]))
    return (colour * ((0.42 + 0.16 * sky + 0.52 * key) * folds)[:, None]).astype(np.float32)


def _cast_shadow(canvas: Float32[np.ndarray, "hh ww 3"], points: Float32[np.ndarray, "n 3"], frame: Frame) -> None:
    """Darken the ground softly around the feet, which ties the person to it."""
    columns, rows = points[:, 0], points[:, 1]
    low = float(rows.max())
    feet = columns[rows > low - 0.25 * frame.scale * OVERSAMPLING]
    middle, wide = float(feet.mean()), 0.28 * frame.scale * OVERSAMPLING
    r, c = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    near = np.exp(-(((r - low + 0.05 * wide) / (0.28 * wide)) ** 2) - ((c - middle) / wide) ** 2)
    canvas *= (1 - 0.45 * near[:, :, None]).astype(np.float32)
