"""PSNR and SSIM of pictures whose values are known."""

import math

import numpy as np
import pytest
import torch

from gcl_core.evaluation.picture_quality import person_psnr, psnr_ssim
from gcl_core.seeding import rng


def noise(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 32, 16), generator=rng(0, "test pictures"), dtype=torch.uint8)


def test_equal_pictures() -> None:
    psnr, ssim = psnr_ssim(noise(2), noise(2))
    assert np.isposinf(psnr).all()
    assert np.allclose(ssim, 1)


def test_constant_pictures_by_formula() -> None:
    level = torch.tensor([100, 0, 130], dtype=torch.uint8).reshape(3, 1, 1, 1)
    other = torch.tensor([110, 255, 30], dtype=torch.uint8).reshape(3, 1, 1, 1)
    psnr, ssim = psnr_ssim(level.expand(3, 3, 32, 16), other.expand(3, 3, 32, 16))
    for index, (x, y) in enumerate([(100, 110), (0, 255), (130, 30)]):
        assert psnr[index] == pytest.approx(10 * math.log10(255**2 / (x - y) ** 2), abs=1e-9)
        luminance = (2 * x * y + (0.01 * 255) ** 2) / (x * x + y * y + (0.01 * 255) ** 2)  # no variance, no contrast
        assert ssim[index] == pytest.approx(luminance, abs=1e-9)


def test_pictures_are_judged_one_by_one_and_noise_is_worse() -> None:
    truth = noise(2) // 2 + 60
    drawn = truth.clone()
    drawn[1] = (drawn[1].int() + torch.randint(-30, 31, (3, 32, 16), generator=rng(0, "test"))).to(torch.uint8)
    psnr, ssim = psnr_ssim(drawn, truth)
    assert np.isposinf(psnr[0])
    error = (drawn[1].double() - truth[1].double()).square().mean().item()
    assert psnr[1] == pytest.approx(10 * math.log10(255**2 / error))
    assert ssim[1] < ssim[0] == pytest.approx(1)


def test_pictures_too_small_for_the_window() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        psnr_ssim(noise(1)[..., :10], noise(1)[..., :10])


def test_psnr_of_the_person_does_not_see_the_background():
    truth = np.full((3, 32, 16, 3), 100, np.uint8)
    person = np.zeros((3, 32, 16), bool)
    person[:2, 8:20, 4:9] = True
    given = np.where(person[..., None], truth, 0).astype(np.uint8)
    given[1, 8:14, 4:9] += 10  # half of the person
    psnr = person_psnr(given, truth, person)
    assert psnr[0] == np.inf
    assert psnr[1] == pytest.approx(10 * np.log10(255**2 / 50))
    assert np.isnan(psnr[2])
