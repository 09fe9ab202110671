"""Where a body stands in its picture, and where it will stand in views from elsewhere."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import Frame, fit_frame, view_matrix
from gcl_core.surface.loops import extent, transform

Size = tuple[int, int]  # rows and columns


class Camera(NamedTuple):
    """Points of a body (metres) to column, row and depth (metres) in a view: `points @ matrix.T + shift`."""

    matrix: Float32[np.ndarray, "3 3"]
    shift: Float32[np.ndarray, " 3"]


class Slack(NamedTuple):
    """How far a person reaches beyond the body that stands for them."""

    clothes: float  # metres that the surface is moved outwards
    margin: float  # picture heights that its silhouette is grown when the person is taken out of the background


LARGEST = 10.0  # metres that no body reaches
KNOWN = Slack(0.006, 1.7 / 64)
FITTED = Slack(0.012, 1.7 / 64)  # of average girth


@dataclass(frozen=True)
class Placement:
    """A body and the frame in which its picture shows it at yaw 0, for a picture of any height.

    The picture is as high as 1; columns, too, are in picture heights, before a picture is squeezed to its working size.
    """

    body: Body
    frame: Frame  # scale in picture heights per metre
    aspect: float  # width of the picture by its height, before it was squeezed
    slack: Slack

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn. Raises MeshError."""
        frame = self.frame
        numbers = [frame.scale, frame.column, frame.row, self.aspect, *self.slack, self.body.elevation]
        if not (np.isfinite(numbers).all() and np.isfinite(self.body.vertices).all()):
            raise MeshError("a body or its camera has a number that is not finite; leave this body out")
        if frame.scale <= 0 or self.aspect <= 0 or min(self.slack) < 0:
            raise MeshError(
                f"scale {frame.scale} and aspect {self.aspect} must be above 0, {self.slack} not below: "
                "the body would be behind the camera; leave it out"
            )
        if not (self.body.extent.min() > 0 and self.body.extent.max() < LARGEST):
            raise MeshError(
                f"a body of {self.body.extent} metres is flat or a point, or larger than anybody; leave it out"
            )

    def turned(self, yaw: float | int) -> Frame:
        """Return the frame of the view at a yaw (degrees): the picture's own at 0.

        A detector's box would be drawn anew around the turned body: what stays is how far the picture's zoom and shift
        differ from those of a box that fits exactly.
        """
        before, after = self._exact, self._box(yaw)
        zoom = self.frame.scale / before.scale
        return Frame(
            scale=zoom * after.scale,
            column=self.frame.column + zoom * (after.column - before.column),
            row=self.frame.row + zoom * (after.row - before.row),
        )

    def places(self, vertices: Float32[np.ndarray, "v 3"], yaw: float | int, size: Size) -> Float32[np.ndarray, "v 3"]:
        """Return column, row and depth (metres) of points of the body in a view at a yaw, of `size` (rows, columns)."""
        return transform(vertices, *self.camera(yaw, size))

    def camera(self, yaw: float | int, size: Size) -> Camera:
        """Return the camera of the view at a yaw, of `size` (rows, columns)."""
        frame, (rows, columns) = self.turned(yaw), size
        view = view_matrix(yaw, self.body.elevation)
        across, down = frame.scale * columns / self.aspect, -frame.scale * rows
        matrix = np.stack([across * view[0], down * view[2], view[1]]).astype(np.float32)
        shift = np.array([frame.column * columns / self.aspect, frame.row * rows, 0], dtype=np.float32)
        return Camera(matrix, shift)

    @cached_property
    def _exact(self) -> Frame:
        return self._box(0)

    def _box(self, yaw: float | int) -> Frame:
        """Return the frame that a picture drawn around the turned body would have."""
        corners = extent(self.body.vertices, view_matrix(yaw, self.body.elevation))
        return fit_frame(corners, 1, self.aspect)
