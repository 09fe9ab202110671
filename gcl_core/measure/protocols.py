"""What each encoder of a study reaches by three protocols of retrieval."""

from collections.abc import Iterator

import pandas as pd
import torch

from gcl_core.data.person_set import load_person_set
from gcl_core.device import resolve_device
from gcl_core.evaluation.protocols import protocol_accuracies
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import build_encoder, load_encoder
from gcl_core.records import RECORDS
from gcl_core.seeding import training_draws
from gcl_core.typed_frames import typed

START = "start"  # of stage 1, where that is no checkpoint and learned from no source set


def protocol_lines(layout: Layout) -> pd.DataFrame:
    """Return the record `protocols`: one line per encoder, seed and protocol, accuracies in [0, 1].

    Encoders are the start of stage 1, the baseline and every variant, of these the first training on a seed. A start
    whose weights cannot be had here, such as ImageNet's without a network to fetch them by, is left out, which is said.
    Raises RunError as `finished_run` does.
    """
    lines = []
    for seed in range(layout.study.seeds):
        own = layout.of_seed(seed)
        people = load_person_set(own)
        for stage, encoder in _encoders(own, seed):
            for protocol, accuracy in protocol_accuracies(encoder, people, layout.study.evaluation).items():
                lines.append({"stage": stage, "seed": seed, "protocol": protocol, **accuracy})
    return typed(pd.DataFrame(lines), RECORDS["protocols"][1])


def _encoders(layout: Layout, seed: int) -> Iterator[tuple[str, IdentityEncoder]]:
    study = layout.study
    device: torch.device = resolve_device(study.device)
    if study.baseline.method != "checkpoint" and study.source is None:
        try:
            start = build_encoder(study, training_draws(study.training_seed, seed))
        except RunError as error:  # of runs from elsewhere, whose training is over
            print(f"The start of stage 1 is left out of the protocols: {error}")
        else:
            yield START, start.to(device).eval()
    for stage in ("baseline", *study.variants):
        yield stage, load_encoder(study, finished_run(layout, stage, seed), device)
