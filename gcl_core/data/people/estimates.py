"""What faultless estimators would say of synthetic people, whose bodies are known: keypoints, SMPL parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from gcl_core.config import PeopleSettings
from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.picture import picture_frame
from gcl_core.data.people.plan import Shot, plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.files import read_json
from gcl_core.mesh.body import Body, RestBody, Skeleton
from gcl_core.mesh.pose import bone_transforms, skin, walking_rotations
from gcl_core.mesh.projection import view_matrix
from gcl_core.mesh.stick_figure import JOINTS, POINTS, SIDES
from gcl_core.mesh.transfer import smpl_rotations


@dataclass(frozen=True)
class KnownBody:
    """The body behind one picture, in the pose of its moment and turned to its yaw."""

    shot: Shot
    body: Body
    points: Float32[np.ndarray, "17 3"]  # POINTS of the body, in its axes
    smpl: Float32[np.ndarray, "24 3 3"]  # as an estimator of the HMR family writes them (smpl.SmplBodies)

    def keypoints(self, height: int, width: int) -> Float32[np.ndarray, "17 2"]:
        """Return POINTS as columns and rows of the picture at a size, whether or not something hides them."""
        view = view_matrix(0, self.body.elevation)
        frame = picture_frame(self.body.vertices @ view.T, self.shot, height, width)
        seen = self.points @ view.T
        columns, rows = frame.column + frame.scale * seen[:, 0], frame.row - frame.scale * seen[:, 2]
        return np.stack([columns, rows], axis=1).astype(np.float32)


def known_bodies(
    root: Path, files: list[str], skeleton: Skeleton, rest_body: Callable[[dict[str, float]], RestBody]
) -> dict[str, KnownBody]:
    """Return the bodies behind pictures (base names) of a folder of synthetic people.

    Raises RunError: the folder has no people.json, which says how they were made.
    """
    made = read_json(root / "people.json")["settings"]
    settings = PeopleSettings.model_validate({name: made[name] for name in PeopleSettings.model_fields})
    found = {}
    for shots in plan_people(settings):
        for shot in shots:
            if shot.name in files:
                looks = draw_looks(settings.seed, shot.person.kind, shot.person.number)
                found[shot.name] = known_body(shot, skeleton, rest_body(looks.body))
    return found


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
