"""The free body model, loaded once for all tests."""

import pytest

from gcl_core.mesh.body import AVERAGE, RestBody, Skeleton, load_bodies


@pytest.fixture(scope="session")
def bodies():
    """The skeleton and the function from parameters to a rest body."""
    return load_bodies()


@pytest.fixture(scope="session")
def skeleton(bodies) -> Skeleton:
    return bodies[0]


@pytest.fixture(scope="session")
def rest(bodies) -> RestBody:
    """An average adult with the arms held out."""
    return bodies[1](AVERAGE)
