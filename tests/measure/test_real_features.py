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


@pytest.mark.parametrize("piece", [3, 1000])
def test_two_at_once_share_the_work(
    layout: Layout, people: PersonSet, counted: list[int], piece: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PIECE", piece)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: real_features(layout, people, NETWORK, "train"), range(2)))
    assert sum(counted) == len(found[0]) == len(found[1]) == len(people.rows("train"))
    assert max(counted) <= piece
    assert [path.suffix for path in layout.store.glob("inception_*")] == [".npy"]  # no piece and no lock is left


def test_what_a_killed_measurement_had_is_not_measured_again(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []

    def features(_network: Any, pictures: torch.Tensor, *, progress: Any) -> np.ndarray:
        if len(seen) == 2:
            seen.append(0)
            raise KeyboardInterrupt
        seen.append(len(pictures))
        return pictures.flatten(1)[:, :3].numpy().astype("f4")

    monkeypatch.setattr(module, "inception_features", features)
    monkeypatch.setattr(module, "PIECE", 2)
    with pytest.raises(KeyboardInterrupt):
        real_features(layout, people, NETWORK, "train")
    found = real_features(layout, people, NETWORK, "train")
    assert sum(seen) == len(people.rows("train")) > 6
    own = people.pictures[people.rows("train")].transpose(0, 3, 1, 2).reshape(len(found), -1)[:, :3]
    assert np.array_equal(found, own)
