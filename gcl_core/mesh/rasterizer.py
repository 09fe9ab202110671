"""A z-buffer on CPU: which triangle each pixel shows, and where in it."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit


def rasterize(
    points: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], height: int, width: int
) -> tuple[Int32[np.ndarray, "{height} {width}"], Float32[np.ndarray, "{height} {width} 3"]]:
    """Return every pixel's nearest triangle (-1: none) and the barycentric coordinates of the pixel's centre in it.

    `points` are (column, row, depth) in pixels, column 0 and row 0 at the outer edge of the first pixel, smaller depth
    nearer. Orthographic, both sides of a triangle are seen. Equal inputs give equal outputs, bit for bit.
    """
    return _rasterize(np.ascontiguousarray(points), np.ascontiguousarray(faces), height, width)


def vertex_normals(vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]) -> Float32[np.ndarray, "v 3"]:
    """Return unit normals at vertices: the mean of the triangles around, weighted by area; zero where there is none."""
    return _vertex_normals(np.ascontiguousarray(vertices), np.ascontiguousarray(faces))


@njit(cache=True, nogil=True)
@no_type_check
def _rasterize(points, faces, height, width):
    depth = np.full((height, width), np.float32(np.inf), dtype=np.float32)
    shown = np.full((height, width), -1, dtype=np.int32)
    inside = np.zeros((height, width, 3), dtype=np.float32)
    for face in range(faces.shape[0]):
        a = faces[face, 0]
        ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
        b = faces[face, 1]
        bx, by, bz = points[b, 0], points[b, 1], points[b, 2]
        c = faces[face, 2]
        cx, cy, cz = points[c, 0], points[c, 1], points[c, 2]
        # pixel (r, c) has its centre at (c + 0.5, r + 0.5)
        first_column = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        last_column = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        first_row = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        last_row = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if first_column > last_column or first_row > last_row:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        for row in range(first_row, last_row + 1):
            y = np.float32(row + 0.5)
            for column in range(first_column, last_column + 1):
                x = np.float32(column + 0.5)
                in_a = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                in_b = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                in_c = np.float32(1.0) - in_a - in_b
                if in_a < 0 or in_b < 0 or in_c < 0:
                    continue
                z = in_a * az + in_b * bz + in_c * cz
                if z < depth[row, column]:
                    depth[row, column] = z
                    shown[row, column] = face
                    inside[row, column, 0] = in_a
                    inside[row, column, 1] = in_b
                    inside[row, column, 2] = in_c
    return shown, inside


@njit(cache=True, nogil=True)
@no_type_check
def _vertex_normals(vertices, faces):
    normals = np.zeros_like(vertices)
    for face in range(faces.shape[0]):
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
        wx, wy, wz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in (i, j, k):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for vertex in range(normals.shape[0]):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[vertex, 0] /= length
            normals[vertex, 1] /= length
            normals[vertex, 2] /= length
    return normals
