"""Batches, angles and pixel ranges."""

import numpy as np
import pytest
import torch

from gcl_core.config import load_study
from gcl_core.data.batches import (
    draw_angles,
    epoch_batches,
    imagenet_normalize,
    to_pixels,
    unit_pictures,
    unit_projections,
)

CPU = torch.device("cpu")
YAWS = (45, 90, 135, 180, 225, 270, 315)


def test_an_epoch_visits_every_row_once_but_the_short_rest():
    rows = np.arange(100, 137)
    batches = epoch_batches(rows, 16, seed=1, purpose="order", epoch=1)
    assert [len(batch) for batch in batches] == [16, 16]
    seen = np.concatenate(batches)
    assert len(set(seen)) == 32
    assert set(seen) <= set(rows)
    again = epoch_batches(rows, 16, seed=1, purpose="order", epoch=1)
    other = epoch_batches(rows, 16, seed=1, purpose="order", epoch=2)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    assert not all((a == b).all() for a, b in zip(batches, other, strict=True))


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, []), (2, [2]), (15, [15]), (16, [16])])
def test_few_rows_give_one_smaller_batch(count: int, sizes: list[int]):
    batches = epoch_batches(np.arange(count), 16, seed=0, purpose="order", epoch=1)
    assert [len(batch) for batch in batches] == sizes


def test_angles_are_uniform_over_seven_bins_and_new_each_epoch():
    """METHOD.md §11.9: seven bins; chi-square with 6 degrees of freedom stays below its 99.9 % quantile."""
    draws = [draw_angles(YAWS, 7000, seed=3, purpose="angle", epoch=epoch) for epoch in (1, 2)]
    for drawn in draws:
        values, counts = np.unique(drawn, return_counts=True)
        assert tuple(values) == YAWS
        assert ((counts - 1000) ** 2 / 1000).sum() < 22.5
    assert 0.1 < (draws[0] == draws[1]).mean() < 0.19
    fewer = draw_angles(YAWS[:-1], 7000, seed=3, purpose="angle", epoch=1)
    assert set(fewer) == set(YAWS[:-1])  # D1, as released


def test_released_angles_leave_out_315():
    """METHOD.md §11.9: six bins with the release's exclusive upper bound (D1), drawn anew each epoch."""
    angles = load_study("smoke", "fidelity=[D1]").angles
    first, second = (draw_angles(angles, 6000, seed=0, purpose="test", epoch=epoch) for epoch in (1, 2))
    found, counts = np.unique(first, return_counts=True)
    assert found.tolist() == [45, 90, 135, 180, 225, 270]
    assert (abs(counts - 1000) < 5 * (6000 * 5 / 36) ** 0.5).all()
    assert not np.array_equal(first, second)


def test_pixels_survive_normalising_and_back():
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert (to_pixels(imagenet_normalize(unit_pictures(pixels, CPU))) == pixels).all()
    black = imagenet_normalize(unit_pictures(np.zeros((1, 2, 2, 3), np.uint8), CPU))[0, :, 0, 0]
    assert black.tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    projections = unit_projections(np.array([[[0, 255]]], np.uint8), CPU)
    assert projections.flatten().tolist() == [-1, 1]
