"""Fitted figures as bodies: how far each is to be trusted, a table of them on disk, and the body that each poses."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gcl_core.files import write_text
from gcl_core.mesh.body import Body
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.fit import Fit
from gcl_core.mesh.keypoints import Keypoints
from gcl_core.mesh.pose import about, bone_transforms, inherit, part_way, relax_hand, skin, towards
from gcl_core.mesh.projection import Frame, view_matrix
from gcl_core.mesh.stick_figure import FREE, JOINTS, SHAPE, SIDES, BodyFamily, arm_directions, leg_directions, turn

GOOD, UNSURE = "good", "facing unsure"
FEWEST = 8  # trusted points; with fewer a pose is mostly guessed
WORST = 0.035  # median distance of the trusted points from the figure's, as a share of the picture's height
SUREST = 10.0  # energy that a fit which faces elsewhere must cost more
CAMERA = ("scale", "column", "row")  # picture heights per metre; where the hips' middle lies, picture heights
COLUMNS = ("file", "quality", "error", "trusted", "yaw", "rival", *CAMERA, *FREE)


@dataclass(frozen=True)
class FittedBodies:
    """A body per picture: row i of `table` (columns COLUMNS) is picture i; angles in degrees, `error` in pixels."""

    family: BodyFamily
    table: pd.DataFrame

    def body(self, place: int) -> Body | None:
        """Return the body of a row as its picture's camera sees it; None where the fit is not good."""
        row = self.table.iloc[place]
        if row["quality"] != GOOD:
            return None
        return pose_body(self.family, {name: float(row[name]) for name in FREE}, float(row["yaw"]))

    def frame(self, place: int) -> Frame:
        """Return where a row's body lies in its picture, in picture heights, whatever the quality of its fit."""
        row = self.table.iloc[place]
        scale, column, line = (float(row[name]) for name in CAMERA)
        heads = self.family.rest({name: float(row[name]) for name in SHAPE}).heads
        hips = [self.family.skeleton.bones.index(f"{JOINTS['hip']}.{side}") for side in ("L", "R")]
        x, _, z = view_matrix(float(row["yaw"]), float(row["elevation"])) @ heads[hips].mean(axis=0)
        return Frame(scale, column - scale * float(x), line + scale * float(z))


def judge(keypoints: Keypoints, fit: Fit) -> pd.DataFrame:
    """Return the table of fitted bodies with each one's quality.

    `error` is the median distance in pixels between the trusted points and the figure's. `quality` is good, or why not:
    few points (fewer than 8 trusted), no fit (the fit ended in numbers that are not finite), poor fit (an error above
    3.5 % of the picture's height), facing unsure (a figure that faces elsewhere fits nearly as well).
    """
    trusted = keypoints.weights == 1
    distance = np.linalg.norm(fit.points - keypoints.points, axis=2)
    error = np.array(
        [np.median(row[mask]) if mask.any() else np.inf for row, mask in zip(distance, trusted, strict=True)]
    )
    numbers = np.column_stack([fit.values, fit.points.reshape(len(error), -1), fit.yaw, error])
    none = ~np.isfinite(numbers).all(axis=1) | np.isnan(fit.rival)
    few, poor = trusted.sum(1) < FEWEST, ~(error <= WORST * keypoints.heights)
    faults = {"few points": few, "no fit": none, "poor fit": poor, UNSURE: ~(fit.rival >= SUREST)}
    quality = np.select(list(faults.values()), list(faults), GOOD)
    facts = {"file": keypoints.files, "quality": quality, "error": error, "trusted": trusted.sum(1)}
    facts |= {"yaw": fit.yaw, "rival": fit.rival} | dict(zip(CAMERA, fit.camera.T, strict=True))
    return pd.DataFrame(facts | dict(zip(FREE, fit.values.T, strict=True)), columns=pd.Index(COLUMNS))


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table of fitted bodies as CSV, whole or not at all; every number reads back as it was."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def join_tables(kept: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return both tables' rows; the new ones' numbers are those that `load_table` would read of them."""
    told = _read(io.StringIO(new.to_csv(index=False)))
    return told if kept.empty else pd.concat([kept, told], ignore_index=True)


def _read(text: Path | io.StringIO) -> pd.DataFrame:
    """Return a table of fitted bodies as it was: words are words, and what has no number is NaN."""
    return pd.read_csv(text, keep_default_na=False, na_values={name: [""] for name in COLUMNS[2:]})


def load_table(path: Path) -> pd.DataFrame:
    """Read a table of fitted bodies. Raises MeshError for any other file, and for one that lacks the fits' cameras."""
    try:
        table = _read(path)
    except (OSError, ValueError) as error:
        raise MeshError(f"{path} cannot be read ({error}); delete it and run fit-bodies again") from error
    if tuple(table.columns) == tuple(name for name in COLUMNS if name not in CAMERA):
        raise MeshError(
            f"{path} is from before fits kept their cameras; delete this file and run fit-bodies again: it fits anew, "
            "in seconds per thousand pictures, and leaves the projections as they are"
        )
    if tuple(table.columns) != COLUMNS:
        raise MeshError(f"{path} is no table of fitted bodies: it lacks columns; delete it and run fit-bodies again")
    good = table.loc[table["quality"] == GOOD, ["error", "yaw", *CAMERA, *FREE]].apply(pd.to_numeric, errors="coerce")
    if not np.isfinite(good.to_numpy(dtype=np.float64)).all():
        raise MeshError(f"{path} calls a fit good whose numbers are not finite; delete it and run fit-bodies again")
    return table


def pose_body(family: BodyFamily, values: Mapping[str, float], yaw: float) -> Body:
    """Return the body of one figure (names of POSE and SHAPE; degrees), turned to its picture's yaw."""
    rest = family.rest({name: values[name] for name in SHAPE})
    heads = {name: place.astype(np.float64) for name, place in zip(family.skeleton.bones, rest.heads, strict=True)}
    given = {name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()}
    chest = _matrix(given, "twist", "lean", "sideways")
    head = _matrix(given, "head_turn", "head_nod", "head_tilt")
    turned = {"root": np.eye(3), "spine05": np.eye(3), "spine04": part_way(chest, 0.5), "spine03": chest}
    turned |= {"neck01": chest @ part_way(chest.T @ head, 0.5), "head": head}
    for side, sign in SIDES.items():
        of = {name.removeprefix(f"{side}_"): value for name, value in given.items() if name.startswith(side)}
        end = side[0].upper()
        thigh, shin = (direction[0].numpy() for direction in leg_directions(of, sign))
        _limb(turned, heads, ("upperleg01", "lowerleg01", "foot"), end, np.eye(3), thigh, shin)
        turned[f"foot.{end}"] = _foot(shin)
        upper, fore = (direction[0].numpy() for direction in arm_directions(of, sign))
        _limb(turned, heads, ("upperarm01", "lowerarm01", "wrist"), end, chest, upper, fore)
        turned[f"clavicle.{end}"] = chest
        turned[f"shoulder01.{end}"] = chest @ part_way(chest.T @ turned[f"upperarm01.{end}"], 0.35)
        relax_hand(turned, heads, end)
    rotations = inherit(family.skeleton, turned)
    posed = skin(rest.vertices, family.skeleton.weights, bone_transforms(family.skeleton, rest, rotations))
    return Body(posed @ view_matrix(yaw, 0.0).T, family.skeleton.faces, elevation=values["elevation"])


def _limb(
    turned: dict, heads: dict, bones: tuple[str, ...], end: str, base: np.ndarray, upper: np.ndarray, lower: np.ndarray
) -> None:
    """Turn a limb's two bones into directions given in the axes of what it hangs on (`base`)."""
    start, middle, last = (heads[f"{bone}.{end}"] for bone in bones)
    first = towards(middle - start, upper)
    second = towards(first @ (last - middle), lower) @ first
    turned[f"{bones[0]}.{end}"], turned[f"{bones[1]}.{end}"] = base @ first, base @ second


def _foot(shin: np.ndarray) -> np.ndarray:
    """Return a foot's rotation, of which keypoints say nothing: flat until the shin leans far, then carried along."""
    back = float(np.rad2deg(np.arctan2(shin[1], -shin[2])))
    return about("x", max(0.0, back - 25) + min(0.0, back + 40))


def _matrix(given: Mapping[str, Tensor], *names: str) -> np.ndarray:
    return turn(*(given[name] for name in names))[0].numpy()
