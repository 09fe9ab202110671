"""Meshes of one person got in four ways, side by side, and how well they agree with the known body."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8
from matplotlib.figure import Figure

from gcl_core.data.bodies import TABLE
from gcl_core.data.index import SPLITS
from gcl_core.data.people.estimates import known_bodies, noisy_keypoints
from gcl_core.data.person_set import PersonSet
from gcl_core.figures.galleries import canvas_figure, choose_people, mark_columns
from gcl_core.figures.style import styled
from gcl_core.layout import Layout
from gcl_core.mesh.body import Body, load_bodies
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import GOOD, FittedBodies, judge, load_table
from gcl_core.mesh.projection import YAWS, project_body
from gcl_core.mesh.smpl import SmplBodies
from gcl_core.mesh.stick_figure import StickFigure, make_family
from gcl_core.mesh.transfer import TransferredBodies

INK = 250  # a pixel darker than that shows the body

PEOPLE = 12  # compared
KNOWN = "known body"


@dataclass(frozen=True)
class MeshWays:
    """Pictures, and their eight projections by each way: way → (n, 8, H, W), the known body first."""

    rows: Int64[np.ndarray, " n"]
    views: Mapping[str, UInt8[np.ndarray, "n 8 h w"]]


def mesh_ways(layout: Layout, people: PersonSet) -> MeshWays:
    """Return projections of some synthetic training people by each way in which meshes come to a study.

    First the known body; then as read from files in the released layout; from noisy keypoints (1.5 pixels at 64x128,
    one in ten dropped); and from SMPL parameters, carried to the free body of an average adult.
    """
    rows = choose_people(people, "train", PEOPLE)
    height, width = people.pictures.shape[1:3]
    skeleton, rest_body = load_bodies()
    names = [Path(file).name for file in people.index["file"].to_numpy()[rows]]
    found = known_bodies(layout.data_root, names, skeleton, rest_body)
    known = [found[name] for name in names]
    family = make_family(skeleton, rest_body)
    true = np.array([each.keypoints(height, width) for each in known])
    keypoints = noisy_keypoints(names, true, height)
    fit = fit_figures(StickFigure(family), keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights)
    smpl = np.array([each.smpl for each in known])
    fitted = FittedBodies(family, judge(keypoints, fit).assign(quality=GOOD))
    posed = TransferredBodies(SmplBodies(tuple(names), np.zeros((len(names), 10), dtype=np.float32), smpl))

    def projections(bodies: list[Body | None]) -> UInt8[np.ndarray, "n 8 h w"]:
        return np.array(
            [
                [project_body(body, yaw, height=height, width=width) for yaw in YAWS]
                for body in bodies
                if body is not None
            ]
        )

    places = range(len(names))
    views = {
        KNOWN: projections([each.body for each in known]),
        "files as released": people.projections[rows],
        "keypoints, fitted": projections([fitted.body(place) for place in places]),
        "SMPL pose, carried over": projections([posed.body(place) for place in places]),
    }
    return MeshWays(rows, views)


def ways_table(ways: MeshWays) -> pd.DataFrame:
    """Return how well each way's silhouettes agree with the known body's: intersection over union, mean over people."""
    rows = []
    for way, views in ways.views.items():
        if way != KNOWN:
            overlap = [_overlap(ways.views[KNOWN][:, view], views[:, view]) for view in range(len(YAWS))]
            cells = {f"{yaw}°": value for yaw, value in zip(YAWS, overlap, strict=True)}
            rows.append({"way": way, "people": len(ways.rows), **cells, "mean": float(np.mean(overlap))})
    return pd.DataFrame(rows)


def _overlap(one: UInt8[np.ndarray, "n h w"], other: UInt8[np.ndarray, "n h w"]) -> float:
    here, there = one < INK, other < INK
    return float(((here & there).sum((1, 2)) / (here | there).sum((1, 2))).mean())


@styled()
def ways_figure(people: PersonSet, ways: MeshWays) -> Figure:
    """Return one of the people: the picture at the left, a row of eight projections for each way at the right."""
    height, width = people.pictures.shape[1:3]
    gap, tall = max(1, width // 12), len(ways.views) * height
    first = width + int(0.22 * (width + len(YAWS) * (width + gap)))  # picture, then room for a label
    lefts = [first + place * (width + gap) for place in range(len(YAWS))]
    canvas = np.full((tall, lefts[-1] + width, 3), 255, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.0)
    middle = (tall - height) // 2
    canvas[middle : middle + height, :width] = people.pictures[ways.rows[0]]
    for place, (way, views) in enumerate(ways.views.items()):
        row = place * height
        for left, view in zip(lefts, views[0], strict=True):
            canvas[row : row + height, left : left + width] = view[..., None]
        axes.text(first - gap, row + height / 2, way, ha="right", va="center", fontsize=6.5)
    axes.images[0].set_data(canvas)
    mark_columns(
        axes,
        [(x + width / 2, text) for x, text in zip((0, *lefts), ("picture", *(f"{yaw}°" for yaw in YAWS)), strict=True)],
    )
    return figure


def ways_reading(table: pd.DataFrame) -> str:
    """Return a paragraph that reads the table."""
    told = []
    for row in table.to_dict("records"):
        cells = {yaw: row[f"{yaw}°"] for yaw in YAWS}
        worst = min(cells, key=lambda yaw: cells[yaw])
        told.append(f"{row['way']} {row['mean']:.2f} (least at {worst}°: {cells[worst]:.2f})")
    return (
        f"Intersection over union with the known body's silhouettes, {PEOPLE} people or all there are: "
        f"{'; '.join(told)}. Files differ from the known body by JPEG alone. A fit knows limbs but not girth, and its "
        "depth is a guess, which shows from the sides; a pose carried over is worn by the average adult."
    )


def meshes_reading(layout: Layout, people: PersonSet) -> str:
    """Return a sentence on how many pictures have meshes, and of meshes fitted here how good the fits are."""
    rows = {split: people.rows(split) for split in SPLITS}
    parts = [f"{len(people.with_mesh(of))} of {len(of)} {split} pictures" for split, of in rows.items()]
    told = f"Usable meshes: {', '.join(parts)}."
    path = layout.mesh_root / TABLE
    if path.is_file():
        table = load_table(path)
        shares = table["quality"].value_counts(normalize=True)
        error = np.median(table["error"].to_numpy()[table["quality"] == GOOD])
        told += (
            f" They were fitted to keypoints: {', '.join(f'{share:.1%} {name}' for name, share in shares.items())}; of "
            f"the good ones {error:.2f} pixels lie between a trusted point and the figure's in the median."
        )
    return told
