"""Views at test time: retrieval by the mean feature of a picture and its views, without any training (ours)."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, numbers, where
from gcl_core.measure.retrievals import stage_title
from gcl_core.measure.view_sources import Rows, Views, view_sources
from gcl_core.models.protocols import EncoderNetwork
from gcl_core.models.weights import load_encoder
from gcl_core.outputs import RETRIEVED
from gcl_core.surface.carrier import side_rows

CHUNK = 256  # pictures whose views are held at once
ALONE, MIRRORED = "alone", "mirrored"
KINDS = {  # what stands beside a picture, in tables and in words
    ALONE: "nothing",
    MIRRORED: "its mirror image",
    "drawn": "GCL's drawn views",
    "surface, fitted": "views over fitted bodies",
    "surface, known": "views over known bodies",
    "true": "true views",
}
SHOWN = {"mAP": "map", "rank-1": "rank1"}


def averaged_stages(study: Study) -> list[str]:
    """Return whose encoders are compared: the baseline's, and those of `RETRIEVED` that the study trains."""
    return ["baseline", *(name for name in RETRIEVED if name in study.variants)]


def mirrored(people: PersonSet, rows: Rows) -> Views:
    """Return the mirror image of each picture, as its only view."""
    return people.pictures[rows][:, None, :, ::-1], np.ones(len(rows), dtype=bool)


def averaged_accuracy(layout: Layout, people: PersonSet, truth: Truth | None, seed: int) -> pd.DataFrame:
    """Return one line per encoder of `averaged_stages` and kind of views: its accuracy, all in [0, 1].

    The feature of every query and gallery picture is the L2-normalised mean of its own unit feature and those of its
    views; a picture without views, as one without a body, keeps its own. Drawn views are GCL's, for all encoders
    alike. `viewed` is the share of pictures that have views. Raises RunError as `finished_run` does.
    """
    study, rows = layout.study, side_rows(people, "test")
    device = resolve_device(study.device)
    runs = {stage: finished_run(layout, stage, seed) for stage in averaged_stages(study)}
    encoders = {stage: load_encoder(study, run, device) for stage, run in runs.items()}
    own = {stage: extract_features(encoder, people.pictures, rows) for stage, encoder in encoders.items()}
    lines = [_line(study, people, stage, ALONE, 0.0, features) for stage, features in own.items()]
    sources = {MIRRORED: partial(mirrored, people), **view_sources(layout, people, truth, seed, "test")}
    for kind, source in sources.items():
        sums = {stage: features.clone() for stage, features in own.items()}
        viewed = 0
        for start in tqdm(range(0, len(rows), CHUNK), desc=f"features of views: {kind}", mininterval=2):
            views, there = source(rows[start : start + CHUNK])
            viewed += int(there.sum())
            places = start + np.flatnonzero(there)
            for stage, encoder in encoders.items():
                sums[stage][places] += summed_features(encoder, views[there])
        parts = sums.items()
        lines += [_line(study, people, stage, kind, viewed / len(rows), normalize(total)) for stage, total in parts]
    return pd.DataFrame(lines)


def summed_features(encoder: EncoderNetwork, views: UInt8[np.ndarray, "n v h w 3"]) -> Float[Tensor, "n d"]:
    """Return the sum of the unit features of each picture's views."""
    flat = np.ascontiguousarray(views).reshape(-1, *views.shape[2:])
    features = extract_features(encoder, flat, np.arange(len(flat)))
    return features.reshape(*views.shape[:2], features.shape[1]).sum(dim=1)


def _line(
    study: Study, people: PersonSet, stage: str, kind: str, viewed: float, features: Float[Tensor, "n d"]
) -> dict[str, str | float]:
    query, gallery = people.rows("query"), people.rows("gallery")
    pids, camids = people.index["pid"].to_numpy(), people.index["camid"].to_numpy()
    result = evaluate_ranking(
        features[: len(query)],
        features[len(query) :],
        pids[query],
        pids[gallery],
        camids[query],
        camids[gallery],
        average_precision=study.evaluation.average_precision,
    )
    return {"stage": stage, "views": kind, "viewed": viewed, **result.record()}


def averaged_table(study: Study, lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of `averaged_accuracy` as a table of mAP, then of rank-1, in %: a row per encoder, a column per
    kind of views.
    """
    kinds = list(dict.fromkeys(lines["views"]))
    rows = []
    for measure, column in SHOWN.items():
        for stage in dict.fromkeys(lines["stage"]):
            values = numbers(where(lines, stage=stage), column)
            cells = {kind: 100 * value for kind, value in zip(kinds, values, strict=True)}
            rows.append({"measure": measure, "stage": stage_title(study, stage), **cells})
    return pd.DataFrame(rows)


def averaged_reading(study: Study, lines: pd.DataFrame) -> str:
    """Return a paragraph that reads the table: what each kind of views changes in mAP, least, mean and most."""
    alone = 100 * numbers(where(lines, views=ALONE), "map")
    stages = [stage_title(study, stage) for stage in where(lines, views=ALONE)["stage"]]
    sentences = []
    for kind, gain in _gains(lines).items():
        least, most = int(gain.argmin()), int(gain.argmax())
        viewed = where(lines, views=kind)["viewed"].iloc[0]
        part = "" if viewed == 1 else f" ({100 * viewed:.0f} % of the pictures have them)"
        sentences.append(
            f"Averaged with {KINDS[kind]}{part}, mAP changes by {gain.mean():+.1f} points in the mean over "
            f"{len(gain)} encoders: from {gain[least]:+.1f} ({stages[least]}, {alone[least]:.1f} alone) to "
            f"{gain[most]:+.1f} ({stages[most]}, {alone[most]:.1f} alone)."
        )
    sentences.append(
        "The mirror image is the control: it is no new view, so what it brings comes from averaging alone. True views "
        "are there for comparison: no camera took them. "
        "These are the queries of one seed; several encoders of one seed are no repetitions."
    )
    return " ".join(sentences)


def _gains(lines: pd.DataFrame) -> Mapping[str, Float[np.ndarray, " n"]]:
    alone = numbers(where(lines, views=ALONE), "map")
    kinds: Iterator[str] = (kind for kind in dict.fromkeys(lines["views"]) if kind != ALONE)
    return {kind: 100 * (numbers(where(lines, views=kind), "map") - alone) for kind in kinds}
