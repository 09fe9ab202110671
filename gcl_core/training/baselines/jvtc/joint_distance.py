"""JVTC+: retrieval by looks and time together (METHOD.md §6.2)."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from gcl_core.config import EvaluationSettings, JvtcSettings
from gcl_core.data.batches import imagenet_normalize
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.ranking import rank_distances
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.training.baselines.jvtc.camera_styles import Copies
from gcl_core.training.baselines.jvtc.capture import Captures, read_captures
from gcl_core.training.baselines.jvtc.temporal import joint_distances
from gcl_core.training.baselines.jvtc.visual_temporal import cluster_plainly, cluster_slots, learn_model


def captures_of(people: PersonSet, rows: Int64[np.ndarray, " n"]) -> Captures:
    """Return cameras and times of `rows` of the index. Raises DataError when a name has no time."""
    return read_captures(people.index["file"].iloc[rows].tolist())


def joint_accuracy(
    encoder: IdentityEncoder,
    people: PersonSet,
    copies: Copies,
    settings: JvtcSettings,
    evaluation: EvaluationSettings,
) -> dict[str, float | int]:
    """Rank the gallery by the joint distance; return mAP, rank-1, 5, 10 in [0, 1] and the number of clusters.

    The temporal model is learned from clusters of training features, averaged over camera styles; with `time_slots`
    each slot is clustered apart. Training and test pictures have clocks of their own.
    Raises DataError when a name has no time, ValueError for features that are not finite. Source: METHOD.md §6.2.
    """
    rows, query, gallery = (people.rows(split) for split in ("train", "query", "gallery"))
    training, test = captures_of(people, rows), captures_of(people, np.concatenate([query, gallery]))
    asked, shown = test.take(np.arange(len(query))), test.take(np.arange(len(query), len(query) + len(gallery)))
    averaged = averaged_features(encoder, copies, rows, batch_size=evaluation.batch_size)
    slots = training.slots if settings.time_slots else None
    found = cluster_slots(slots, len(rows), lambda part: cluster_plainly(averaged[torch.from_numpy(part)], settings))
    distances = joint_distances(
        extract_features(encoder, people.pictures, query, batch_size=evaluation.batch_size),
        extract_features(encoder, people.pictures, gallery, batch_size=evaluation.batch_size),
        asked,
        shown,
        learn_model(found.labels, training, settings),
    )
    pids, camids = people.index["pid"].to_numpy(), people.index["camid"].to_numpy()
    result = rank_distances(
        distances,
        pids[query],
        pids[gallery],
        camids[query],
        camids[gallery],
        average_precision=evaluation.average_precision,
    )
    clusters = int(found.labels.max(initial=-1)) + 1
    return {**result.record(), "clusters": clusters}


@torch.no_grad()
def averaged_features(
    encoder: IdentityEncoder, copies: Copies, rows: Int64[np.ndarray, " n"], *, batch_size: int = 64
) -> Float[Tensor, "n d"]:
    """Return the mean of z over all camera styles of each training picture, normalised, on the CPU.

    In eval mode; the encoder is left in the mode it came in.
    """
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    means = []
    for start in range(0, len(rows), batch_size):
        pictures = copies.every(rows[start : start + batch_size], device)
        features = encoder(imagenet_normalize(pictures.flatten(0, 1))).feature
        means.append(normalize(features.unflatten(0, pictures.shape[:2]).mean(dim=1), dim=1).cpu())
    encoder.train(was_training)
    return torch.cat(means)
