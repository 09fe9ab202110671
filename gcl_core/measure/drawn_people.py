"""Drawn views of people by a finished run's networks."""

import numpy as np

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


def draw_people(layout: Layout, people: PersonSet, stage: str, seed: int, rows: np.ndarray) -> np.ndarray:
    """Return the seven novel views (n, 7, H, W, 3) that the generator of a finished run draws of `rows`.

    After the warm-up the encoder is the baseline's, which it leaves as it was.
    """
    study, run = layout.study, finished_run(layout, stage, seed)
    owner = finished_run(layout, "baseline", seed) if stage == "warm_up" else run
    device = resolve_device(study.device)
    encoder, generator = load_encoder(study, owner, device), load_generator(study, run, device)
    size = study.evaluation.batch_size
    return draw_views(encoder, generator, people.pictures[rows], people.projections[rows, 1:], batch_size=size)
