"""What a study sees: sizes of its splits, and how many people and cameras they hold."""

import numpy as np
import pandas as pd

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.measure.published import published_value


def dataset_table(people: PersonSet) -> pd.DataFrame:
    """Return one row per split: pictures, people, pictures per person, cameras, distractors, pictures with a mesh.

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
                "pictures per person": (len(lines) - distractors) / persons,
                "cameras": int(lines["camid"].nunique()),
                "distractors": distractors,
                "with a mesh": len(people.with_mesh(chosen)),
            }
        )
    return pd.DataFrame(rows).astype({"pictures": "Int64"})


def dataset_reading(people: PersonSet, truth: Truth | None) -> str:
    """Return a paragraph that reads the table: how large, how many a person or without a mesh, how one-sided a view."""
    train = dataset_table(people).to_dict("records")[0]
    sentences = [
        f"{train['pictures']} training pictures show {train['people']} people, {train['pictures per person']:.1f} each"
        f", in {train['cameras']} cameras (Market-1501, for scale: "
        f"{published_value('-', 'identities'):.0f} people)."
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
