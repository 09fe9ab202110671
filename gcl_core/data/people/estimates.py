"""What faultless estimators would say of synthetic people, whose bodies are known: keypoints, SMPL parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from gcl_core.config import PeopleSettings
from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.folder import settings_of
from gcl_core.data.people.picture import picture_frame
from gcl_core.data.people.plan import Person, Shot, plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.mesh.body import Body, RestBody, Skeleton
from gcl_core.mesh.keypoints import Keypoints
from gcl_core.mesh.pose import bone_transforms, skin, walking_rotations
from gcl_core.mesh.projection import Frame, view_matrix
from gcl_core.mesh.stick_figure import JOINTS, POINTS, SIDES
from gcl_core.mesh.transfer import smpl_rotations
from gcl_core.seeding import numpy_rng

NOISE, DROPPED = 1.5 / 128, 0.1  # of an estimator's keypoints: picture heights, share
MISTAKEN = 2 / 3  # of the people who show their backs, by an estimator that prefers fronts


@dataclass(frozen=True)
class KnownBody:
    """The body behind one picture, in the pose of its moment and turned to its yaw."""

    shot: Shot
    body: Body
    points: Float32[np.ndarray, "17 3"]  # POINTS of the body, in its axes
    smpl: Float32[np.ndarray, "24 3 3"]  # as an estimator of the HMR family writes them (smpl.SmplBodies)

    def frame(self, height: int, width: int) -> Frame:
        """Return where the picture, at a size, shows the body."""
        return picture_frame(self.body.vertices @ view_matrix(0, self.body.elevation).T, self.shot, height, width)

    def keypoints(self, height: int, width: int) -> Float32[np.ndarray, "17 2"]:
        """Return POINTS as columns and rows of the picture at a size, whether or not something hides them."""
        frame = self.frame(height, width)
        seen = self.points @ view_matrix(0, self.body.elevation).T
        columns, rows = frame.column + frame.scale * seen[:, 0], frame.row - frame.scale * seen[:, 2]
        return np.stack([columns, rows], axis=1).astype(np.float32)


class KnownPeople:
    """The bodies behind the pictures of a folder of synthetic people.

    Raises RunError: the folder has no people.json, which says how they were made; DataError: it has another's.
    """

    def __init__(self, root: Path, skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]):
        made = settings_of(root / "people.json")
        settings = PeopleSettings.model_validate(
            {name: made[name] for name in PeopleSettings.model_fields if name in made}
        )
        self._shots = {shot.name: shot for shots in plan_people(settings) for shot in shots}
        self._skeleton = skeleton

        @lru_cache(maxsize=8)  # pictures are asked for person by person
        def rest(person: Person) -> RestBody:
            return rest_body(draw_looks(settings.seed, person.kind, person.number).body)

        self._rest = rest

    def __contains__(self, name: str) -> bool:
        return name in self._shots

    def body(self, name: str) -> KnownBody:
        """Return the body behind the picture of a base name."""
        shot = self._shots[name]
        return known_body(shot, self._skeleton, self._rest(shot.person))


def known_bodies(
    root: Path, files: Sequence[str], skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]
) -> dict[str, KnownBody]:
    """Return those of the pictures (base names) that a folder of synthetic people has, with the bodies behind them.

    Raises RunError as `KnownPeople` does.
    """
    people = KnownPeople(root, skeleton, rest_body)
    return {name: people.body(name) for name in files if name in people}


def noisy_keypoints(
    files: Sequence[str], points: Float32[np.ndarray, "n 17 2"], height: int, noise: float = NOISE
) -> Keypoints:
    """Return true points of pictures `height` high as estimators do: off by `noise` heights, some missing (DROPPED)."""
    random = numpy_rng(0, "noisy keypoints")
    noisy = (points + random.normal(0, noise * height, points.shape)).astype(np.float32)
    weights = (random.random(points.shape[:2]) >= DROPPED).astype(np.float32)
    heights = np.full(len(points), height, dtype=np.float32)
    unknown = np.full_like(heights, np.nan)
    return Keypoints(tuple(files), heights, unknown, noisy, weights, np.full_like(weights, np.nan))


def backs_as_fronts(points: Float32[np.ndarray, "n 17 2"]) -> Float32[np.ndarray, "n 17 2"]:
    """Return true points with left and right exchanged in two thirds (MISTAKEN) of the pictures that show a back."""
    left, right = POINTS.index("left_shoulder"), POINTS.index("right_shoulder")
    back = points[:, left, 0] < points[:, right, 0]
    mistaken = back & (numpy_rng(0, "backs taken for fronts").random(len(points)) < MISTAKEN)
    other = {"left": "right", "right": "left"}
    sides = [name.split("_", 1) for name in POINTS]
    exchanged = [POINTS.index("_".join([other.get(side, side), *rest])) for side, *rest in sides]
    return np.where(mistaken[:, None, None], points[:, exchanged], points)


def known_body(shot: Shot, skeleton: Skeleton, rest: RestBody) -> KnownBody:
    """Return the body of a shot, `rest` being its person's."""
    camera = CAMERAS[shot.camid - 1]
    rotations = walking_rotations(skeleton, rest, shot.gait)
    transforms = bone_transforms(skeleton, rest, rotations)
    yaw = view_matrix(shot.yaw, 0.0)
    vertices = skin(rest.vertices, skeleton.weights, transforms)
    matrices = transforms.reshape(-1, 3, 4)
    heads = np.einsum("bij,bj->bi", matrices[:, :, :3], rest.heads) + matrices[:, :, 3]
    posed = dict(zip(skeleton.bones, heads, strict=True))
    places = {f"{side}_{name}": posed[f"{bone}.{side[0].upper()}"] for side in SIDES for name, bone in JOINTS.items()}
    places |= {"left_eye": posed["eye.L"], "right_eye": posed["eye.R"]}
    places |= {name: vertices[vertex] for name, vertex in _face(skeleton, rest).items()}
    return KnownBody(
        shot,
        Body(vertices @ yaw.T, skeleton.faces, camera.elevation),
        np.array([places[name] for name in POINTS], dtype=np.float32) @ yaw.T,
        smpl_rotations(view_matrix(shot.yaw, camera.elevation) @ rotations, skeleton, rest),
    )


def _face(skeleton: Skeleton, rest: RestBody) -> dict[str, int]:
    """Return the vertices of nose and ears: of the head at rest the foremost, and the outermost at the eyes' height."""
    head = np.flatnonzero(skeleton.weights[:, [skeleton.bones.index("head")]].toarray()[:, 0] > 0.5)
    x, y, z = rest.vertices[head].T
    level = np.abs(z - rest.heads[skeleton.bones.index("eye.L")][2]) < 0.03
    behind = level & (y > rest.heads[skeleton.bones.index("head")][1] - 0.02)
    ears = {"left_ear": np.where(behind, x, -np.inf).argmax(), "right_ear": np.where(behind, -x, -np.inf).argmax()}
    return {"nose": int(head[y.argmin()]), **{name: int(head[place]) for name, place in ears.items()}}
