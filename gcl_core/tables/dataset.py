"""What a study sees: sizes of its splits, and some of its people with their meshes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.galleries import canvas_figure, choose_people, mark_columns
from gcl_core.figures.style import styled
from gcl_core.measure.published import published_value
from gcl_core.mesh.projection import YAWS

CAMERAS_SHOWN = 4


def dataset_table(people: PersonSet) -> pd.DataFrame:
    """Return one row a split: pictures, people, pictures a person, cameras, distractors, pictures with a mesh.

    Distractors (identity 0 outside training) are pictures of nobody searched for; they count as no person.
    """
    rows = []
    for split in ("train", "query", "gallery"):
        chosen = people.rows(split)
        lines = people.index.iloc[chosen]
        distractors = int((lines["pid"] == 0).sum()) if split != "train" else 0
        persons = int(lines.loc[(lines["pid"] != 0) | (split == "train"), "pid"].nunique())
        rows.append(
            {
                "split": split,
                "pictures": len(lines),
                "people": persons,
                "pictures a person": (len(lines) - distractors) / persons,
                "cameras": int(lines["camid"].nunique()),
                "distractors": distractors,
                "with a mesh": len(people.with_mesh(chosen)),
            }
        )
    return pd.DataFrame(rows)


@styled()
def dataset_figure(people: PersonSet, count: int) -> Figure:
    """Return training people, one a row: as several cameras see them, and the eight mesh projections of the first."""
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
    mark_columns(axes, [(middle, "one person a row, by different cameras"), *heads])
    return figure


def _one_per_camera(people: PersonSet, row: int) -> Sequence[int]:
    """Return `row` and one picture of the same person from each of some other cameras."""
    lines = people.index.iloc[people.rows("train")]
    same = lines[(lines["pid"] == people.index["pid"][row]) & (lines["camid"] != people.index["camid"][row])]
    others = same.drop_duplicates("camid").index[: CAMERAS_SHOWN - 1]
    return [row, *(int(other) for other in others)]


def dataset_reading(people: PersonSet, truth: Truth | None) -> str:
    """Return a paragraph that reads the table: how large, how many a person or without a mesh, how one-sided a view."""
    train = dataset_table(people).to_dict("records")[0]
    sentences = [
        f"{train['pictures']} training pictures show {train['people']} people, {train['pictures a person']:.1f} each, "
        f"in {train['cameras']} cameras (Market-1501, for scale: "
        f"{published_value('-', 'Market-1501', 'identities'):.0f} people)."
    ]
    if train["with a mesh"] < train["pictures"]:
        sentences.append(
            f"{train['pictures'] - train['with a mesh']} of them have no usable mesh (listed in without_mesh.csv): "
            "they are clustered, but joint training draws no view of them and takes no step on them."
        )
    if truth is not None:
        yaw = truth.people.set_index("file")["yaw"].reindex(people.index["file"]).to_numpy()
        turns, cameras = np.exp(1j * np.deg2rad(yaw)), people.index["camid"].to_numpy()
        one_sided = [abs(turns[cameras == camera].mean()) for camera in np.unique(cameras)]
        sentences.append(
            f"A camera's yaw angles agree to {np.mean(one_sided):.2f} on average (1: it sees everybody from one side; "
            f"0: from all sides alike; all cameras together {abs(turns.mean()):.2f}): this is what makes the view a "
            "nuisance that comes with the camera."
        )
    return " ".join(sentences)
