"""Random streams depend on what they are for, and on nothing else."""

import itertools

import numpy as np
import torch

from gcl_core.seeding import derive_seed, numpy_rng, rng


def test_seed_never_changes_between_versions_or_machines() -> None:
    assert derive_seed(0, "order") == 3278857439845718984
    assert derive_seed(7, "joint angle", 3, 12) == 6437524721955011466


def test_every_part_matters() -> None:
    places = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (11,), (1, 1)]
    seeds = [derive_seed(s, p, *w) for s, p, w in itertools.product(range(20), ("order", "angle"), places)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_streams_repeat_and_differ() -> None:
    one, again, other = (torch.rand(1000, generator=rng(0, "noise", 1, i)) for i in (5, 5, 6))
    assert torch.equal(one, again)
    assert abs(float(np.corrcoef(one, other)[0, 1])) < 0.15
    first, same, next_ = (numpy_rng(0, "noise", 1, i).random(1000) for i in (5, 5, 6))
    assert np.array_equal(first, same)
    assert abs(float(np.corrcoef(first, next_)[0, 1])) < 0.15


def test_neighbouring_seeds_are_not_shifted_copies() -> None:
    draws = {float(value) for s in range(50) for value in torch.rand(20, generator=rng(s, "noise"))}
    assert len(draws) > 990  # float32 draws may meet by chance, rarely


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=rng(0, "noise"))
    assert torch.equal(torch.get_rng_state(), before)
