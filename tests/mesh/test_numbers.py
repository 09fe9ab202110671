"""Numbers of other people's files: what passes, and what is told of what does not."""

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.numbers import read_number, read_numbers, show, text_of


def test_numbers_pass_as_they_are():
    for value in (0, 2, 2.5, -3, np.float16(1.5), np.int64(7)):
        assert read_number(value, "k.json: a.jpg", "score", "a number", -3.0, 7.0) == float(value)
    values = [[1, 2.5], [3, -4]]
    np.testing.assert_array_equal(read_numbers(values, "f", "x", "numbers", most=4.0), np.array(values))
    gaps = np.array([1.0, np.nan], dtype=np.float16)
    np.testing.assert_array_equal(read_numbers(gaps, "f", "x", "numbers", most=4.0, gaps=True), [1.0, np.nan])
    objects = np.array([1, 2.5, np.float32(3)], dtype=object)
    assert read_numbers(objects, "f", "x", "numbers", most=4.0).tolist() == [1, 2.5, 3]


@pytest.mark.parametrize("value", [None, True, "1", [1], {}, float("nan"), float("inf"), -1e300, 10**400, 8, 1j, b"1"])
def test_what_is_no_number_of_that_size_is_told_with_picture_and_field(value):
    with pytest.raises(MeshError, match=r"k\.json: a\.jpg: score is .*; expected a share") as told:
        read_number(value, "k.json: a.jpg", "score", "a share", -7.0, 7.0)
    assert len(str(told.value)) < 150


@pytest.mark.parametrize(
    "values",
    [
        [1, None],
        [1, "2"],
        [1, float("nan")],
        [1, float("-inf")],
        [1, 10**400],
        [1, 2**70],
        [[1, 2], [3]],
        ["1", "2"],
        [True, False],
        [1j, 2],
        {"a": 1},
        None,
        "text",
        [1, 9],
        np.array(["2001-01-01"], dtype="datetime64[D]"),
        np.array([{"a": 1}, 2], dtype=object),
    ],
)
def test_arrays_with_anything_else_are_told(values):
    with pytest.raises(MeshError, match=r"k\.json: a\.jpg: keypoints (is no array|holds).*; expected 17 points"):
        read_numbers(values, "k.json: a.jpg", "keypoints", "17 points", most=8.0)


def test_anything_can_be_shown_on_one_short_line():
    for value in (None, "\ud800\n", 10**5000, [0] * 1000, b"\xff"):
        assert show(value).isprintable()
        assert len(show(value)) < 70
    assert text_of("query/ä 1.jpg") == "query/ä 1.jpg"
    assert text_of("\ud800\n").isascii()
    assert len(text_of("a" * 10000)) < 220
