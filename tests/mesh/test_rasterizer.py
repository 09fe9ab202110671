"""The z-buffer against a loop over all pixels and triangles, and normals of a known solid."""

import numpy as np

from gcl_core.mesh.rasterizer import rasterize, vertex_normals


def _brute_force(points: np.ndarray, faces: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest triangle of each pixel, by solving for the barycentric coordinates at every pixel of every triangle."""
    shown, depth = np.full((height, width), -1), np.full((height, width), np.inf)
    for face, corners in enumerate(faces):
        a, b, c = points[corners].astype(float)
        for row in range(height):
            for column in range(width):
                system = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
                share = np.linalg.solve(system, [column + 0.5, row + 0.5, 1])
                z = share @ [a[2], b[2], c[2]]
                if share.min() >= 0 and z < depth[row, column]:
                    shown[row, column], depth[row, column] = face, z
    return shown


def test_random_triangles_are_shown_as_by_brute_force():
    rng = np.random.default_rng(3)
    points = (rng.uniform(-3, 15, size=(24, 3))).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(24), (12, 1)), axis=1)[:, :3].astype(np.int32)
    shown, inside = rasterize(points, faces, 14, 11)
    np.testing.assert_array_equal(shown, _brute_force(points, faces, 14, 11))
    for row, column in np.argwhere(shown >= 0):
        corners = points[faces[shown[row, column]]]
        np.testing.assert_allclose(inside[row, column] @ corners[:, :2], [column + 0.5, row + 0.5], atol=1e-3)


def test_the_nearer_of_two_wins_whatever_their_order_and_winding():
    near = [[0, 0, 1], [8, 0, 1], [0, 8, 1]]
    far = [[0, 0, 2], [8, 0, 2], [0, 8, 2]]
    points = np.array([*near, *far], dtype=np.float32)
    for faces in ([[0, 1, 2], [3, 4, 5]], [[5, 4, 3], [2, 1, 0]]):
        order = np.array(faces, dtype=np.int32)
        shown, _ = rasterize(points, order, 8, 8)
        assert set(np.unique(shown)) == {-1, int(np.argmin(order[:, 0] > 2))}


def test_what_lies_outside_or_has_no_area_is_not_drawn():
    points = np.array([[-9, -9, 0], [-1, -9, 0], [-1, -1, 0], [2, 2, 0], [4, 4, 0], [6, 6, 0]], dtype=np.float32)
    shown, _ = rasterize(points, np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32), 8, 8)
    assert (shown == -1).all()


def test_normals_of_an_octahedron_point_along_the_axes():
    vertices = np.array(
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [5, 5, 5]], dtype=np.float32
    )
    faces = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    normals = vertex_normals(vertices, np.array(faces, dtype=np.int32))
    np.testing.assert_allclose(normals[:6], vertices[:6], atol=1e-6)
    np.testing.assert_array_equal(normals[6], 0)  # belongs to no triangle
