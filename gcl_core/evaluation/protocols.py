"""Retrieval by three protocols: as published, by other cameras alone, by the query's own camera alone (two are ours).

Where pictures of other people by the same camera crowd the top of every list, the published protocol says little: the
other two take such pictures out of the gallery, or look among nothing else.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int

from gcl_core.config import EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.ranking import Precision, rank_distances, squared_distances
from gcl_core.models.protocols import EncoderNetwork

Protocol = Literal["standard", "other", "within"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
People = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]  # identities and cameras of n pictures


def protocol_accuracies(
    encoder: EncoderNetwork, people: PersonSet, settings: EvaluationSettings
) -> dict[Protocol, dict[str, float]]:
    """Return mAP and rank-1 in [0, 1], and how many queries have a match, by each protocol.

    `standard` is that of §5.4: a query's own person in its own camera is left out of its gallery, all else by that
    camera stays. `other`: nothing by the query's camera is in its gallery. `within`: nothing by another camera is. NaN
    and no queries where no query has a match.
    """
    rows = [people.rows(split) for split in ("query", "gallery")]
    features = [extract_features(encoder, people.pictures, each, batch_size=settings.batch_size) for each in rows]
    distances = np.concatenate(list(squared_distances(*features)))
    pids, cameras = (people.index[column].to_numpy() for column in ("pid", "camid"))
    query, gallery = ((pids[each], cameras[each]) for each in rows)
    precision = settings.average_precision
    return {each: _accuracy(distances, query, gallery, each, precision) for each in PROTOCOLS}


def _accuracy(
    distances: Float32[np.ndarray, "q g"], query: People, gallery: People, protocol: Protocol, precision: Precision
) -> dict[str, float]:
    """Rank one camera's queries after the other's, each against what the protocol leaves in their gallery."""
    (pids, cameras), (gallery_pids, gallery_cameras) = query, gallery
    found, first = np.full(len(pids), np.nan), np.zeros(len(pids), dtype=np.int64)
    for camera in np.unique(cameras):
        asked, own = cameras == camera, gallery_cameras == camera
        left = {"standard": np.ones_like(own), "other": ~own, "within": own}[protocol]
        right = left & ~own if protocol == "standard" else left
        if not np.isin(pids[asked], gallery_pids[right]).any():
            continue
        # a gallery picture counts as by another camera, so that none is left out, but where the protocol has it so
        others = gallery_cameras[left] if protocol == "standard" else np.full(left.sum(), camera + 1)
        shown = (pids[asked], gallery_pids[left], cameras[asked], others)
        result = rank_distances(distances[np.ix_(asked, left)], *shown, average_precision=precision)
        found[asked], first[asked] = result.average_precision, result.first_match
    matched = np.isfinite(found)
    means = {"map": found[matched].mean(), "rank1": (first[matched] == 1).mean()} if matched.any() else {}
    return {
        "map": np.nan,
        "rank1": np.nan,
        **{name: float(mean) for name, mean in means.items()},
        "queries": int(matched.sum()),
    }
