"""The free body, a few people's bodies in their poses, and a painter of pictures of them."""

from collections.abc import Callable

import numpy as np
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.people.estimates import KnownBody, known_body
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.mesh.projection import Frame, interpolate, shrink
from gcl_core.mesh.rasterizer import rasterize
from gcl_core.surface.placement import KNOWN, Placement
from gcl_core.surface.topology import Topology, make_topology

HEIGHT, WIDTH = 64, 32
Painter = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def topology(skeleton, rest) -> Topology:
    return make_topology(skeleton, rest)


@pytest.fixture(scope="session")
def known(bodies) -> list[KnownBody]:
    """Four people, seen from the front, the back, the side and between."""
    skeleton, rest_body = bodies
    shots = [shot for shots in plan_people(PeopleSettings(train_identities=6)) for shot in shots]
    chosen = [min(shots, key=lambda shot: abs((shot.yaw - yaw + 180) % 360 - 180)) for yaw in (0, 180, 90, 45)]
    looks = [draw_looks(0, shot.person.kind, shot.person.number) for shot in chosen]
    return [known_body(shot, skeleton, rest_body(each.body)) for shot, each in zip(chosen, looks, strict=True)]


@pytest.fixture(scope="session")
def placed(known) -> list[Placement]:
    """The same in pictures of 64 x 32."""
    frames = [each.frame(HEIGHT, WIDTH) for each in known]
    frames = [Frame(frame.scale / HEIGHT, frame.column / HEIGHT, frame.row / HEIGHT) for frame in frames]
    return [Placement(each.body, frame, WIDTH / HEIGHT, KNOWN) for each, frame in zip(known, frames, strict=True)]


@pytest.fixture(scope="session")
def painted() -> Painter:
    """Return a function that paints a placed body, whose vertices have colours (v, 3), before one colour, at a yaw."""

    def paint(placement: Placement, colours: np.ndarray, yaw: int = 0, behind: float = 40.0) -> np.ndarray:
        faces, size = placement.body.faces, (2 * HEIGHT, 2 * WIDTH)
        shown, inside = rasterize(placement.places(placement.body.vertices, yaw, size), faces, *size)
        canvas = np.full((*size, 3), behind, dtype=np.float32)
        body = shown >= 0
        canvas[body] = interpolate(colours, faces, shown[body], inside[body])
        return np.round(shrink(canvas)).astype(np.uint8)

    return paint
