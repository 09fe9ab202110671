"""Bodies as the SMPL model describes them: joint tree, axes, and vertices for those who have the model.

SMPL's body axes: x to the body's left hand, y up, z forwards. Estimators of the HMR family turn these, by the first
rotation ("global orientation"), into camera axes: x image-right, y image-down, z away from the camera; an upright
person who faces the camera is turned by 180 degrees about x. Ours (body.py): x image-right, y away, z image-up.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32

from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.plain_files import read_plain
from gcl_core.mesh.projection import Frame, view_matrix

JOINTS = (
    *("pelvis", "hip.L", "hip.R", "spine1", "knee.L", "knee.R", "spine2", "ankle.L", "ankle.R", "spine3"),
    *("foot.L", "foot.R", "neck", "collar.L", "collar.R", "head", "shoulder.L", "shoulder.R", "elbow.L", "elbow.R"),
    *("wrist.L", "wrist.R", "hand.L", "hand.R"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

CAMERA_TO_OURS = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
SMPL_TO_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # an upright SMPL body that faces the camera
PELVIS = (0.0, -0.22)  # where SMPL's surface has it in camera axes, right and down, however it is turned; metres
SIZE = 0.92  # metres of SMPL's mean body for one of the free average adult's: 1.376 and 1.494 from neck to ankle
_HALF_TURN = np.diag([1.0, -1.0, -1.0]).astype(np.float32)  # y up, z towards the camera -> y down, z away


@dataclass(frozen=True)
class SmplBodies:
    """The people of a set of pictures, one per picture, in SMPL's parameters and camera axes (y down, z away)."""

    files: tuple[str, ...]  # as their file names them: relative paths, base names or stems
    betas: Float32[np.ndarray, "n 10"]  # shape
    rotations: Float32[np.ndarray, "n 24 3 3"]  # in the order of JOINTS, each relative to its parent
    # scale, then metres to the right and down, of a square around the picture's middle which is as wide as its longer
    # side and spans -1 to 1; NaN: not known
    cameras: Float32[np.ndarray, "n 3"] | None = None
    known_elevation: float | None = None  # of bodies of the same cameras that were drawn before

    @cached_property
    def elevation(self) -> float:
        """Return how far the cameras look down, in degrees: people stand upright in the median, so what leans is they.

        Turned about the picture's vertical, bodies would lean to the side by as much.
        """
        if self.known_elevation is not None:
            return self.known_elevation
        up = CAMERA_TO_OURS @ self.rotations[:, 0, :, 1].T.astype(np.float64)
        return float(np.rad2deg(np.arctan2(np.median(-up[1]), np.median(up[2]))))

    def frame(self, place: int, pelvis: Float[np.ndarray, " 3"], aspect: float) -> Frame:
        """Return where the free body at a place lies in its picture, in picture heights, `aspect` heights wide.

        It is as large there as SMPL's, in whose metres the camera is. `pelvis`: where the posed body, as its camera
        sees it, has its pelvis (our axes, view axes). Raises MeshError where the camera is not known.
        """
        camera = np.full(3, np.nan) if self.cameras is None else self.cameras[place].astype(np.float64)
        if not np.isfinite(camera).all():
            raise MeshError(
                "an SMPL body without camera: give `pred_cam` (scale, right, down) beside its pose, and run pose-bodies"
            )
        scale = camera[0] * max(1.0, aspect) / 2
        column = aspect / 2 + scale * (camera[1] + PELVIS[0] - SIZE * pelvis[0])
        row = 0.5 + scale * (camera[2] + PELVIS[1] + SIZE * pelvis[2])
        return Frame(float(SIZE * scale), float(column), float(row))

    def upright(self, vertices: Float[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]) -> Body:
        """Return a body whose vertices are given as its camera sees it (our axes)."""
        elevation = self.elevation
        return Body((vertices @ view_matrix(0, elevation)).astype(np.float32), faces, elevation)


def face_camera_axes(bodies: SmplBodies) -> SmplBodies:
    """Return the bodies in camera axes (y down), turned if the set is upright in axes with y up, z to the camera.

    Pictures show people on their feet: the median of how far "up" the bodies stand, over the whole set, decides. Turned
    sets are told of once. Raises MeshError when the bodies stand along neither direction.
    """
    up = float(np.median(-bodies.rotations[:, 0, 1, 1]))  # camera axes: +1 on the feet, -1 on the head
    if abs(up) < 0.3:
        raise MeshError(
            f"the bodies lie on their side: the median cosine of their upward axis with the picture's is {up:.2f}, "
            "near 1 (y down, as HMR, 4D-Humans and ROMP write) or -1 (y up) was expected. Are the global orientations "
            "in world axes with z up, or in degrees? Save those in camera axes, in radians"
        )
    if up > 0:
        return bodies
    print("SMPL bodies: most stand on their head in axes with y down; read as axes with y up, z towards the camera")
    rotations = bodies.rotations.copy()
    rotations[:, 0] = _HALF_TURN @ rotations[:, 0]
    return replace(bodies, rotations=rotations, cameras=None)  # these axes' cameras are not known


def world_rotations(rotations: Float[np.ndarray, "24 3 3"]) -> Float[np.ndarray, "24 3 3"]:
    """Return what turns each part of an upright body that faces us in T-pose into its pose, in our axes.

    `rotations`: of SMPL, each relative to its parent, the first into camera axes.
    """
    turned = np.empty((len(PARENTS), 3, 3))
    for joint, parent in enumerate(PARENTS):
        turned[joint] = turned[parent] @ rotations[joint] if parent >= 0 else rotations[joint]
    return CAMERA_TO_OURS @ turned @ SMPL_TO_OURS.T


def relative_rotations(turned: Float[np.ndarray, "24 3 3"]) -> Float32[np.ndarray, "24 3 3"]:
    """Return SMPL's rotations, each relative to its parent, the first into camera axes: undoes `world_rotations`."""
    turned = CAMERA_TO_OURS.T @ turned @ SMPL_TO_OURS
    parents = [turned[parent] if parent >= 0 else np.eye(3) for parent in PARENTS]
    return np.array([parent.T @ each for parent, each in zip(parents, turned, strict=True)], dtype=np.float32)


class SmplModelBodies:
    """SMPL bodies on SMPL's own surface, by a user's model through the package `smplx`.

    `model_path`: SMPL_NEUTRAL.npz or .pkl. Model and its licence are the user's matter (https://smpl.is.tue.mpg.de).
    An .npz is read without running anything in it; a .pkl is unpickled by smplx, which can run code: trust its source.

    Raises MeshError: no smplx, no such model, or a file that is no SMPL model.
    """

    def __init__(self, bodies: SmplBodies, model_path: Path):
        self._bodies, self._model = bodies, _load_model(Path(model_path))
        self._faces = np.asarray(self._model.faces, dtype=np.int32)

    def body(self, place: int) -> Body:
        """Return the body at a place as its picture's camera sees it."""
        import torch

        betas = torch.from_numpy(self._bodies.betas[place : place + 1, : self._model.num_betas])
        rotations = torch.from_numpy(self._bodies.rotations[place : place + 1])
        with torch.no_grad():
            out = self._model(betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], pose2rot=False)
        return self._bodies.upright(out.vertices[0].numpy() @ CAMERA_TO_OURS.T, self._faces)


def _load_model(path: Path) -> Any:
    try:
        smplx = import_module("smplx")
    except ImportError as error:
        raise MeshError(
            f"SMPL bodies need the package smplx ({error}): pip install smplx, and get the model file "
            "(SMPL_NEUTRAL.pkl) under its licence from https://smpl.is.tue.mpg.de; or leave the model out: "
            "poses are then carried to the free body"
        ) from error
    if not path.is_file():
        raise MeshError(f"no SMPL model at {path}: give the file itself, SMPL_NEUTRAL.npz or .pkl")
    extra_joints = defaultdict(int)  # smplx also picks vertices as joints, which nobody reads here
    try:
        arrays = smplx.utils.Struct(**read_plain(path)) if path.suffix.lower() == ".npz" else None
        return smplx.SMPLLayer(str(path), data_struct=arrays, vertex_ids=extra_joints)
    except MeshError:
        raise
    except ImportError as error:
        raise MeshError(f"{path} needs a package to be unpickled ({error}); install it, or give an .npz") from error
    except Exception as error:  # whatever unpickling and smplx make of a file that is something else
        raise MeshError(f"{path} is no SMPL model that smplx can read: {type(error).__name__}: {error}") from error
