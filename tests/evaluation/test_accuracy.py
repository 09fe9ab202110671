"""Accuracy of an encoder by processes that train together: all extract, one ranks, and all are told the same.

What runs in a process of its own is a function of this module; `run_processes` starts two of them under gloo.
"""

from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch.distributed as dist

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation import accuracy
from gcl_core.evaluation.accuracy import evaluate_encoder
from gcl_core.evaluation.ranking import RankingResult, evaluate_ranking
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import build_encoder
from gcl_core.parallel import run_processes
from gcl_core.seeding import numpy_rng


def made_up() -> PersonSet:
    """Six people, each in the gallery twice and once a query, in pictures of noise."""
    ids = [(pid, cam, split) for split, cam in (("gallery", 2), ("gallery", 3), ("query", 1)) for pid in range(6)]
    index = pd.DataFrame(ids, columns=["pid", "camid", "split"]).assign(file=[f"{i}" for i in range(18)], mesh=True)
    pictures = numpy_rng(0, "test accuracy").integers(0, 256, (18, 64, 32, 3), dtype=np.uint8)
    return PersonSet(index, pictures, np.ones((18, 8, 64, 32), np.uint8), fingerprint="made up")


def evaluated() -> tuple[int, int, RankingResult]:
    """Return how often this process ranked, how many pictures it passed through the encoder, and what it was told."""
    study = load_study("smoke", ["evaluation.batch_size=3"])
    forward, passed = IdentityEncoder.forward, []

    def counted(encoder: IdentityEncoder, x: Any) -> Any:
        passed.append(len(x))
        return forward(encoder, x)

    with (
        patch.object(IdentityEncoder, "forward", counted),
        patch.object(accuracy, "evaluate_ranking", wraps=evaluate_ranking) as ranks,
    ):
        result = evaluate_encoder(build_encoder(study, 0), made_up(), study.evaluation)
    return ranks.call_count, sum(passed), result


def evaluated_by_each() -> list[tuple[int, int, RankingResult]]:
    """Return what each of two processes did, in order."""
    found: list[Any] = [None, None]
    dist.all_gather_object(found, evaluated())
    return found


def test_two_processes_share_the_pictures_and_rank_once():
    ranked, passed, alone = evaluated()
    assert (ranked, passed) == (1, 18)
    assert 0 < alone.map < 1
    each = run_processes(2, evaluated_by_each, device="cpu")
    assert [(ranks, pictures) for ranks, pictures, _ in each] == [(1, 9), (0, 9)]
    for _, _, result in each:
        assert result.cmc == alone.cmc
        assert np.array_equal(result.average_precision, alone.average_precision)
        assert np.array_equal(result.first_match, alone.first_match)
