"""Drawn views of people by a finished run's networks."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.device import resolve_device
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator


def gallery_splits(people: PersonSet) -> list[str]:
    """Return the splits of which galleries can be shown: `train`, and `test` where test pictures have meshes."""
    test = np.concatenate([people.rows("query"), people.rows("gallery")])
    return ["train", "test"] if len(people.with_mesh(test)) else ["train"]


def artist(
    layout: Layout, people: PersonSet, stage: str, seed: int
) -> Callable[[Int64[np.ndarray, " n"]], UInt8[np.ndarray, "n 7 h w 3"]]:
    """Return what draws the seven novel views of rows of the set, by the networks of a finished run, loaded here.

    After the warm-up the encoder is the baseline's, which it leaves as it was. The views are in memory, 7 H W 3 bytes
    per picture: ask for some hundred at a time. Rows that are parts of others are drawn alike, to the bit, where the
    parts are of whole batches (`evaluation.batch_size`). Raises RunError as `finished_run` does.
    """
    study, run = layout.study, finished_run(layout, stage, seed)
    owner = finished_run(layout, "baseline", seed) if stage == "warm_up" else run
    device = resolve_device(study.device)
    encoder, generator = load_encoder(study, owner, device), load_generator(study, run, device)

    def draw(rows: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 7 h w 3"]:
        given, size = (people.pictures[rows], people.projections[rows, 1:]), study.evaluation.batch_size
        return draw_views(encoder, generator, *given, batch_size=size)

    return draw


def draw_people(
    layout: Layout, people: PersonSet, stage: str, seed: int, rows: Int64[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n 7 h w 3"]:
    """Return what `artist` draws of a few rows; raises RunError as it does."""
    return artist(layout, people, stage, seed)(rows)
