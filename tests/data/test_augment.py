"""Traditional data augmentation, each part against what it must do."""

import colorsys

import torch

from gcl_core.config import AugmentationSettings
from gcl_core.data.augment import _turn_hue, augment
from gcl_core.data.batches import IMAGENET_MEAN

OFF = {"flip": 0.0, "pad": 0, "jitter": 0.0, "hue": 0.0, "erase": 0.0}


def _augment(picture: torch.Tensor, seed: int = 0, **on: object) -> torch.Tensor:
    return augment(picture, AugmentationSettings.model_validate({**OFF, **on}), torch.Generator().manual_seed(seed))


def _pictures(count: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, 64, 32, generator=torch.Generator().manual_seed(5))


def test_everything_off_changes_nothing():
    picture = _pictures()
    torch.testing.assert_close(_augment(picture), picture)


def test_flip_mirrors_half_of_the_pictures():
    picture = _pictures(200)
    flipped = _augment(picture, flip=0.5)
    mirrored = torch.isclose(flipped, picture.flip(3), atol=1e-6).flatten(1).all(1)
    same = torch.isclose(flipped, picture, atol=1e-6).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130


def test_crop_shifts_by_at_most_the_scaled_pad():
    picture = _pictures(40) * 0.9 + 0.05
    cropped = _augment(picture, pad=10)  # 10 at 256 rows is 2 at 64
    shifts = set()
    for before, after in zip(picture, cropped, strict=True):
        padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
        windows = {(y, x): padded[:, y : y + 64, x : x + 32] for y in range(5) for x in range(5)}
        found = [shift for shift, window in windows.items() if torch.allclose(window, after, atol=1e-6)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 10


def test_erasing_fills_one_rectangle_of_the_asked_area_with_the_mean():
    erased = _augment(torch.zeros(300, 3, 64, 32), erase=0.5)
    hole = (erased > 0).all(1)
    touched = hole.flatten(1).any(1)
    assert 110 < touched.sum() < 190
    assert torch.equal(erased.max(3).values.max(2).values[touched][0], torch.tensor(IMAGENET_MEAN))
    for mask in hole[touched]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        area = len(rows) * len(columns)
        assert mask.sum() == area  # a full rectangle
        assert 0.02 * 2048 * 0.6 < area < 0.4 * 2048 * 1.1


def test_hue_turn_of_a_third_exchanges_the_primary_colours():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    turned = _turn_hue(red, torch.tensor([1 / 3])).flatten()
    hue = colorsys.rgb_to_hsv(*turned.tolist())[0]
    assert abs(hue - 1 / 3) < 1e-4
    grey = torch.full((1, 3, 1, 1), 0.3)
    torch.testing.assert_close(_turn_hue(grey, torch.tensor([0.2])), grey)


def test_jitter_stays_in_range_and_differs_between_pictures():
    picture = torch.full((50, 3, 8, 8), 0.5)
    changed = _augment(picture, jitter=0.4)
    assert changed.min() >= 0.29
    assert changed.max() <= 0.71
    assert changed[:, 0, 0, 0].unique().numel() > 40
    every = _augment(_pictures(), flip=0.5, pad=10, jitter=0.4, hue=0.1, erase=0.5)
    assert every.min() >= 0
    assert every.max() <= 1
    assert torch.equal(every, _augment(_pictures(), flip=0.5, pad=10, jitter=0.4, hue=0.1, erase=0.5))
