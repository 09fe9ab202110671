"""Inception features of real pictures: computed once, by whoever needs them first, and anew by other code."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from gcl_core.data.person_set import PersonSet
from gcl_core.layout import Layout
from gcl_core.measure import view_fid as module
from gcl_core.measure.view_fid import real_features

NETWORK = torch.nn.Identity()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for the network, which takes a while; return how many pictures each call was given."""
    counts: list[int] = []

    def features(_network: Any, pictures: torch.Tensor, *, progress: Any) -> np.ndarray:
        counts.append(len(pictures))
        time.sleep(0.2)
        return np.ones((len(pictures), 3), "f4")

    monkeypatch.setattr(module, "inception_features", features)
    return counts


def test_they_are_computed_anew_by_other_code_alone(
    layout: Layout, people: PersonSet, counted: list[int], monkeypatch: pytest.MonkeyPatch
):
    for _ in range(2):
        real_features(layout, people, NETWORK, "train")
    assert sum(counted) == len(people.rows("train"))
    monkeypatch.setattr(module, "code_of", lambda *_: {"gcl_core/evaluation/inception.py": "changed"})
    real_features(layout, people, NETWORK, "train")
    assert sum(counted) == 2 * len(people.rows("train"))


def test_two_at_once_compute_them_once(layout: Layout, people: PersonSet, counted: list[int]):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: real_features(layout, people, NETWORK, "train"), range(2)))
    assert sum(counted) == len(found[0]) == len(found[1]) == len(people.rows("train"))
