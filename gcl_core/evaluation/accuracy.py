"""Retrieval accuracy of an encoder on a prepared set."""

from gcl_core.config import EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.ranking import RankingResult, evaluate_ranking
from gcl_core.models.protocols import EncoderNetwork
from gcl_core.parallel import ranks

DEFAULT = EvaluationSettings()


def evaluate_encoder(
    encoder: EncoderNetwork, people: PersonSet, settings: EvaluationSettings = DEFAULT
) -> RankingResult:
    """Rank the gallery for every query by visual features alone; mAP and CMC as in §5.4.

    Processes that train together share the extraction; the first ranks, and all get its result.
    """
    query, gallery = people.rows("query"), people.rows("gallery")
    pids, camids = people.index["pid"].to_numpy(), people.index["camid"].to_numpy()
    query_features, gallery_features = (
        extract_features(encoder, people.pictures, rows, batch_size=settings.batch_size) for rows in (query, gallery)
    )
    return ranks.broadcast(
        lambda: evaluate_ranking(
            query_features,
            gallery_features,
            pids[query],
            pids[gallery],
            camids[query],
            camids[gallery],
            average_precision=settings.average_precision,
        )
    )


def accuracy_record(
    encoder: EncoderNetwork, people: PersonSet, settings: EvaluationSettings = DEFAULT
) -> dict[str, float]:
    """Return mAP and rank-1, 5, 10 in [0, 1] as an epoch's record keeps them."""
    return evaluate_encoder(encoder, people, settings).record()
