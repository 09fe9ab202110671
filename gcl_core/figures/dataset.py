"""Pictures of a dataset: a few people as their cameras see them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.figures.galleries import canvas_figure, choose_people, mark_columns
from gcl_core.figures.style import styled
from gcl_core.mesh.projection import YAWS

CAMERAS_SHOWN = 4


@styled()
def dataset_figure(people: PersonSet, count: int) -> Figure:
    """Return training people, one per row: as several cameras see them, and the eight mesh projections of the first."""
    rows = choose_people(people, "train", count)
    height, width = people.pictures.shape[1:3]
    gap, between = max(1, width // 12), width // 2
    shown = [_one_per_camera(people, int(row)) for row in rows]
    lefts = [place * (width + gap) for place in range(CAMERAS_SHOWN)]
    lefts += [lefts[-1] + width + between + place * (width + gap) for place in range(len(YAWS))]
    canvas = np.full((len(rows) * (height + gap) - gap, lefts[-1] + width, 3), 255, dtype=np.uint8)
    for place, others in enumerate(shown):
        top = place * (height + gap)
        images = [*(people.pictures[row] for row in others), *[None] * (CAMERAS_SHOWN - len(others))]
        images += [np.repeat(mesh[..., None], 3, axis=-1) for mesh in people.projections[others[0]]]
        for left, image in zip(lefts, images, strict=True):
            if image is not None:
                canvas[top : top + height, left : left + width] = image
    figure, axes = canvas_figure(canvas, margin=0.0)
    heads = [(left + width / 2, f"{yaw}°") for left, yaw in zip(lefts[CAMERAS_SHOWN:], YAWS, strict=True)]
    middle = (lefts[CAMERAS_SHOWN - 1] + width) / 2
    mark_columns(axes, [(middle, "one person per row, by different cameras"), *heads])
    return figure


def _one_per_camera(people: PersonSet, row: int) -> Sequence[int]:
    """Return `row` and one picture of the same person from each of some other cameras."""
    lines = people.index.iloc[people.rows("train")]
    same = lines[(lines["pid"] == people.index["pid"][row]) & (lines["camid"] != people.index["camid"][row])]
    others = same.drop_duplicates("camid").index[: CAMERAS_SHOWN - 1]
    return [row, *(int(other) for other in others)]
