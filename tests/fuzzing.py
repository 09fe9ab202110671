"""Made-up values for fuzz tests, and the profile under which they run: few examples, always the same ones."""

import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

EXAMPLES = 60


def bounded(examples: int = EXAMPLES) -> settings:
    """Return settings that try the same few examples in every run and keep nothing on disk."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


strange_numbers = st.one_of(
    st.sampled_from([0, 1, 2, -1, 0.5, 1e9, 1e30, -1e308, 10**400, math.nan, math.inf, -math.inf, True, None]),
    st.floats(),
    st.integers(),
)
strange_texts = st.one_of(
    st.sampled_from(["", "/", ".", "..", "\ud800", "a\0b", "x" * 300, "0.9", "nan"]), st.text(max_size=8)
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(strange_numbers, strange_texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)
strange_arrays = st.one_of(
    arrays.arrays(
        dtype=st.sampled_from(["f2", "f4", "f8", "i4", "u1", "b1", "c8", "U3", "S2"]),
        shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    json_values.map(lambda value: np.array([value, None], dtype=object)[:1]),
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return where a nest of dicts and lists holds something, as paths of keys."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def put(value: Any, path: tuple, new: Any) -> Any:
    """Return a nest with something else at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy
