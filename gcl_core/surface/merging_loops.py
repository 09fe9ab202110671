"""The loops over pairs of pictures, patches, vertices and pixels that merging is made of; compiled, deterministic."""

from typing import no_type_check

import numpy as np
from numba import njit

from gcl_core.surface.loops import within


@njit(cache=True, nogil=True)
@no_type_check
def compare(own, others, prior, grey, most):
    """Return how other pictures' colours differ from one's on the patches that both see: gains (k, 3), levels (k).

    `own` (p, 4) and `others` (k, p, 4) have the area that is seen of each patch and its colour times that area. A gain
    takes the other's colours to those of `own`: 1 where nothing is shared, at most `most` or its inverse; `prior` is
    the area, of a `grey`, that both are taken to share beforehand. The levels (of 255) are the mean difference that is
    left, 0 where nothing is shared.
    """
    count, patches = others.shape[0], own.shape[0]
    gains, left = np.ones((count, 3), dtype=np.float32), np.zeros(count, dtype=np.float32)
    mine, theirs = np.empty(3, dtype=np.float32), np.empty(3, dtype=np.float32)
    for other in range(count):
        mine[:], theirs[:] = prior * grey, prior * grey
        for patch in range(patches):
            a, b = own[patch, 0], others[other, patch, 0]
            shared = min(a, b)
            if shared > 0:
                for channel in range(3):
                    mine[channel] += shared * own[patch, channel + 1] / a
                    theirs[channel] += shared * others[other, patch, channel + 1] / b
        for channel in range(3):
            gains[other, channel] = min(max(mine[channel] / max(theirs[channel], np.float32(1e-6)), 1 / most), most)
        area, total = np.float32(0), np.float32(0)
        for patch in range(patches):
            a, b = own[patch, 0], others[other, patch, 0]
            shared = min(a, b)
            if shared > 0:
                area += shared
                for channel in range(3):
                    colour = gains[other, channel] * others[other, patch, channel + 1] / b
                    total += shared * abs(own[patch, channel + 1] / a - colour)
        if area > 0:
            left[other] = total / (3 * area)
    return gains, left


@njit(cache=True, nogil=True)
@no_type_check
def merge(guess, seen, others, others_seen, weights, gains, mirror, wanted, trust, mirrored):
    """Return by how much (v, 3) the colours of the `wanted` vertices change when other pictures have a say.

    `guess` (v, 3) are a picture's own colours where it does not see its body, which it does by `seen` / 255. Another
    picture has a say of its weight where it sees the vertex, and of `mirrored` times that where it sees the vertex'
    mirror image; the guess has one of `trust[0]`, and of `trust[1]` more where it is the picture's own mirror image.
    """
    change = np.zeros(guess.shape, dtype=np.float32)
    sums = np.empty(3, dtype=np.float32)
    full = np.float32(1) / np.float32(255)
    for vertex in range(guess.shape[0]):
        if not wanted[vertex] or seen[vertex] == 255:
            continue
        twin, say = mirror[vertex], np.float32(0)
        sums[:] = 0
        for other in range(others.shape[0]):
            direct = weights[other] * others_seen[other, vertex] * full
            across = weights[other] * others_seen[other, twin] * full * mirrored
            if direct + across > 0:
                say += direct + across
                for channel in range(3):
                    colour = direct * others[other, vertex, channel] + across * others[other, twin, channel]
                    sums[channel] += gains[other, channel] * colour
        if say > 0:
            own = trust[0] + trust[1] * seen[twin] * full
            hidden = np.float32(1) - seen[vertex] * full
            for channel in range(3):
                mean = (sums[channel] + own * guess[vertex, channel]) / (say + own)
                change[vertex, channel] = hidden * (mean - guess[vertex, channel])
    return change


@njit(cache=True, nogil=True)
@no_type_check
def shown_vertices(shown, faces, count):
    """Return which of `count` vertices belong to a triangle that some pixel shows."""
    there = np.zeros(count, dtype=np.bool_)
    for row in range(shown.shape[0]):
        for column in range(shown.shape[1]):
            face = shown[row, column]
            if face >= 0:
                there[faces[face, 0]] = there[faces[face, 1]] = there[faces[face, 2]] = True
    return there


@njit(cache=True, nogil=True)
@no_type_check
def repaint(view, shown, points, faces, change):
    """Return a picture (uint8) plus the change of its vertices' colours, `shown` being at twice the picture's size."""
    height, width, _ = view.shape
    painted = np.empty_like(view)
    total = np.empty(3, dtype=np.float32)
    half = np.float32(0.5)
    for row in range(height):
        for column in range(width):
            total[:] = 0
            for r in range(2 * row, 2 * row + 2):
                for c in range(2 * column, 2 * column + 2):
                    face = shown[r, c]
                    if face < 0:
                        continue
                    i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
                    in_i, in_j, in_k = within(points[i], points[j], points[k], r, c)
                    for channel in range(3):
                        total[channel] += in_i * change[i, channel] + in_j * change[j, channel]
                        total[channel] += in_k * change[k, channel]
            for channel in range(3):
                value = np.float32(view[row, column, channel]) + total[channel] / 4 + half
                painted[row, column, channel] = np.uint8(min(max(value, 0), 255))
    return painted
