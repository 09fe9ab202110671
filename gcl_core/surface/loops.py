"""The loops over triangles, vertices and pixels that numpy has no call for; compiled, deterministic."""

from typing import no_type_check

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
@no_type_check
def transform(points, matrix, shift):
    """Return `points @ matrix.T + shift` without the copies between."""
    moved = np.empty_like(points)
    for point in range(points.shape[0]):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        for axis in range(3):
            moved[point, axis] = matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2] * z + shift[axis]
    return moved


@njit(cache=True, nogil=True)
@no_type_check
def extent(points, matrix):
    """Return the lowest and the highest coordinates (2, 3) of `points @ matrix.T`."""
    corners = np.empty((2, 3), dtype=np.float32)
    corners[0], corners[1] = np.float32(np.inf), np.float32(-np.inf)
    for point in range(points.shape[0]):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        for axis in range(3):
            value = matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2] * z
            corners[0, axis] = min(corners[0, axis], value)
            corners[1, axis] = max(corners[1, axis], value)
    return corners


@njit(cache=True, nogil=True)
@no_type_check
def nearest_triangles(points, faces, height, width):
    """Return each pixel's nearest triangle (-1: none) and its depth, of those that turn their front to the camera.

    As `gcl_core.mesh.rasterizer.rasterize`, for closed surfaces: their backs are always behind a front.
    """
    half, one = np.float32(0.5), np.float32(1)
    # first which triangles show anything, without a branch: most show nothing, which processors guess badly
    chosen, count = np.empty(faces.shape[0], dtype=np.int32), 0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        front = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0
        # a pixel (r, c) has its centre at (c + 0.5, r + 0.5)
        top, bottom = max(min(ay, by, cy), half), min(max(ay, by, cy), height - half)
        left, right = max(min(ax, bx, cx), half), min(max(ax, bx, cx), width - half)
        chosen[count] = face
        count += front & (np.ceil(top - half) <= bottom - half) & (np.ceil(left - half) <= right - half)
    depth = np.full((height, width), np.float32(np.inf), dtype=np.float32)
    shown = np.full((height, width), -1, dtype=np.int32)
    for face in chosen[:count]:
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        first_row = max(0, int(np.ceil(min(ay, by, cy) - half)))
        last_row = min(height - 1, int(np.floor(max(ay, by, cy) - half)))
        first_column = max(0, int(np.ceil(min(ax, bx, cx) - half)))
        last_column = min(width - 1, int(np.floor(max(ax, bx, cx) - half)))
        az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
        share = one / area
        for row in range(first_row, last_row + 1):
            y = np.float32(row) + half
            for column in range(first_column, last_column + 1):
                x = np.float32(column) + half
                in_a = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * share
                in_b = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * share
                in_c = one - in_a - in_b
                if in_a < 0 or in_b < 0 or in_c < 0:
                    continue
                z = in_a * az + in_b * bz + in_c * cz
                if z < depth[row, column]:
                    depth[row, column] = z
                    shown[row, column] = face
    return shown, depth


@njit(cache=True, nogil=True)
@no_type_check
def seen_weights(points, facing, depth, reach, slack):
    """Return how well each vertex is seen, 0 to 1: 0 where hidden or outside, less the more it looks aside.

    `points` (column, row, depth) in pixels of `depth`, `facing` = -n_y of the unit normals in view axes. A vertex is
    hidden where, within `reach` pixels, something lies more than `slack` nearer.
    """
    height, width = depth.shape
    weights = np.zeros(points.shape[0], dtype=np.float32)
    for vertex in range(points.shape[0]):
        weight = min((facing[vertex] - np.float32(0.1)) / np.float32(0.4), np.float32(1))
        column, row = points[vertex, 0], points[vertex, 1]
        if not (weight > 0 and 0 <= column < width and 0 <= row < height):
            continue
        limit = points[vertex, 2] - slack
        hidden = False
        for r in range(max(0, int(row) - reach), min(height, int(row) + reach + 1)):
            for c in range(max(0, int(column) - reach), min(width, int(column) + reach + 1)):
                hidden |= depth[r, c] < limit
        if not hidden:
            weights[vertex] = weight
    return weights


@njit(cache=True, nogil=True)
@no_type_check
def sample(picture, places, wanted):
    """Return the colours (n, 3) of a picture at n places (column, row), bilinear; black for those not `wanted`."""
    height, width, _ = picture.shape
    colours = np.zeros((places.shape[0], 3), dtype=np.float32)
    for place in range(places.shape[0]):
        if not wanted[place]:
            continue
        x = min(max(places[place, 0] - np.float32(0.5), np.float32(0)), np.float32(width - 1))
        y = min(max(places[place, 1] - np.float32(0.5), np.float32(0)), np.float32(height - 1))
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        across, down = x - np.float32(left), y - np.float32(top)
        for channel in range(3):
            above = picture[top, left, channel] * (1 - across) + picture[top, right, channel] * across
            below = picture[bottom, left, channel] * (1 - across) + picture[bottom, right, channel] * across
            colours[place, channel] = above * (1 - down) + below * down
    return colours


@njit(cache=True, nogil=True)
@no_type_check
def patch_sums(patch, weights, colours, count):
    """Return the sum of the weights of each patch's vertices, and of their colours by weight: (count, 4)."""
    sums = np.zeros((count, 4), dtype=np.float32)
    for vertex in range(patch.shape[0]):
        weight = weights[vertex]
        if weight > 0:
            into = sums[patch[vertex]]
            into[0] += weight
            for channel in range(3):
                into[channel + 1] += weight * colours[vertex, channel]
    return sums


@njit(cache=True, nogil=True)
@no_type_check
def blend(own, seen, mirror, filling, patch):
    """Return the colours of vertices and the shares (v, 3) of the filling, the mirror vertex and the own colour."""
    colours, shares = np.empty_like(own), np.empty_like(own)
    for vertex in range(own.shape[0]):
        twin, at = mirror[vertex], patch[vertex]
        mine = seen[vertex]
        other = (np.float32(1) - mine) * seen[twin]
        rest = np.float32(1) - mine - other
        shares[vertex, 0], shares[vertex, 1], shares[vertex, 2] = rest, other, mine
        for channel in range(3):
            colour = mine * own[vertex, channel] + other * own[twin, channel] + rest * filling[at, channel]
            colours[vertex, channel] = colour
    return colours, shares


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def within(a, b, c, row, column):
    """Return the shares that a triangle's corners have in the middle of a pixel; they add up to one."""
    x, y = np.float32(column) + np.float32(0.5), np.float32(row) + np.float32(0.5)
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    in_a = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
    in_b = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
    return in_a, in_b, np.float32(1) - in_a - in_b


@njit(cache=True, nogil=True)
@no_type_check
def paint(shown, points, faces, colours, shares, background):
    """Return a picture (uint8) of vertex colours over a background at half the size, and whose share of it is largest.

    `shares` (v, 3) say how far each vertex' colour is filled, mirrored, seen; the second result (uint8) is 0 where the
    background has the largest share of the pixel, else 1, 2, 3.
    """
    height, width, _ = background.shape
    view = np.empty((height, width, 3), dtype=np.uint8)
    source = np.zeros((height, width), dtype=np.uint8)
    total, part = np.empty(3, dtype=np.float32), np.empty(4, dtype=np.float32)
    half = np.float32(0.5)
    for row in range(height):
        for column in range(width):
            total[:] = 0
            part[:] = 0
            for r in range(2 * row, 2 * row + 2):
                for c in range(2 * column, 2 * column + 2):
                    face = shown[r, c]
                    if face < 0:
                        part[0] += 1
                        for channel in range(3):
                            total[channel] += background[row, column, channel]
                        continue
                    i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
                    in_i, in_j, in_k = within(points[i], points[j], points[k], r, c)
                    for channel in range(3):
                        total[channel] += in_i * colours[i, channel] + in_j * colours[j, channel]
                        total[channel] += in_k * colours[k, channel]
                        part[channel + 1] += in_i * shares[i, channel] + in_j * shares[j, channel]
                        part[channel + 1] += in_k * shares[k, channel]
            for channel in range(3):
                view[row, column, channel] = np.uint8(min(max(total[channel] / 4 + half, 0), 255))
            for each in range(1, 4):
                if part[each] > part[source[row, column]]:
                    source[row, column] = each
    return view, source


@njit(cache=True, nogil=True)
@no_type_check
def grow(mask, radius):
    """Return a mask that also holds all pixels within `radius` pixels of it."""
    height, width = mask.shape
    grown = mask.copy()
    reach = int(radius)
    for row in range(height):
        for column in range(width):
            if not mask[row, column]:
                continue
            inner = 0 < row < height - 1 and 0 < column < width - 1
            if inner and mask[row - 1 : row + 2, column].all() and mask[row, column - 1] and mask[row, column + 1]:
                continue  # what it would reach, the edge reaches
            for r in range(max(0, row - reach), min(height, row + reach + 1)):
                for c in range(max(0, column - reach), min(width, column + reach + 1)):
                    if (r - row) ** 2 + (c - column) ** 2 <= radius * radius:
                        grown[r, c] = True
    return grown


@njit(cache=True, nogil=True)
@no_type_check
def halve(colours, weights):
    """Return the weighted means of 2 x 2 blocks of pixels (h, w, 3), and their weights, at most 1."""
    height, width, _ = colours.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    mean = np.zeros((rows, columns, 3), dtype=np.float32)
    total = np.zeros((rows, columns), dtype=np.float32)
    for row in range(height):
        for column in range(width):
            weight = weights[row, column]
            total[row // 2, column // 2] += weight
            for channel in range(3):
                mean[row // 2, column // 2, channel] += weight * colours[row, column, channel]
    for row in range(rows):
        for column in range(columns):
            if total[row, column] > 0:
                mean[row, column] /= total[row, column]
                total[row, column] = min(total[row, column], np.float32(1))
    return mean, total


@njit(cache=True, nogil=True)
@no_type_check
def spread(coarse, colours, weights):
    """Give pixels of too little weight, in place, the colours of a picture half as large, interpolated."""
    height, width, _ = colours.shape
    rows, columns, _ = coarse.shape
    for row in range(height):
        for column in range(width):
            weight = weights[row, column]
            if weight >= 1:
                continue
            y, x = (row - np.float32(0.5)) / 2, (column - np.float32(0.5)) / 2
            y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            down, across = y - top, x - left
            for channel in range(3):
                above = coarse[top, left, channel] * (1 - across) + coarse[top, right, channel] * across
                below = coarse[bottom, left, channel] * (1 - across) + coarse[bottom, right, channel] * across
                wide = above * (1 - down) + below * down
                colours[row, column, channel] = weight * colours[row, column, channel] + (1 - weight) * wide
