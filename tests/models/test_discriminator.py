"""Size, shapes and scales of the discriminator."""

import pytest
import torch

from gcl_core.models.discriminator import Discriminator


def test_published_number_of_parameters():
    with torch.device("meta"):
        discriminator = Discriminator()
    assert [sum(p.numel() for p in network.parameters()) for network in discriminator.networks] == [341_857] * 3
    assert sum(p.numel() for p in discriminator.parameters()) == 1_025_571


@pytest.mark.parametrize(
    ("size", "expected"),
    [((256, 128), [(64, 32), (32, 16), (16, 8)]), ((64, 32), [(16, 8), (8, 4), (4, 2)])],
)
def test_score_maps(size, expected):
    torch.manual_seed(0)
    maps = Discriminator(dim=2, residual_blocks=1)(torch.randn(2, 3, *size))
    assert [m.shape for m in maps] == [(2, 1, *shape) for shape in expected]
    assert all(torch.isfinite(m).all() for m in maps)


def test_coarser_scales_see_the_picture_averaged_without_its_padding():
    torch.manual_seed(1)
    discriminator = Discriminator(dim=2, residual_blocks=1, scales=2)
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # as it starts, scores hardly differ from 0
    x = torch.randn(1, 3, 20, 18)
    half = torch.empty(1, 3, 10, 9)
    for i in range(10):
        for j in range(9):
            window = x[:, :, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            half[:, :, i, j] = window.mean(dim=(2, 3))
    fine, coarse = discriminator(x)
    torch.testing.assert_close(fine, discriminator.networks[0](x))
    torch.testing.assert_close(coarse, discriminator.networks[1](half))


def test_scales_share_no_weights():
    discriminator = Discriminator(dim=2, residual_blocks=1)
    x = torch.randn(1, 3, 32, 32)
    before = discriminator(x)
    with torch.no_grad():
        for parameter in discriminator.networks[1].parameters():
            parameter.add_(1)
    after = discriminator(x)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_pictures_do_not_influence_each_other():
    discriminator = Discriminator(dim=2, residual_blocks=1)
    x = torch.randn(3, 3, 32, 32)
    for together, alone in zip(discriminator(x), discriminator(x[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone)


def test_start():
    torch.manual_seed(2)
    for name, parameter in Discriminator().named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 5000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05)


def test_too_small_a_picture_is_refused_with_the_least_size():
    discriminator = Discriminator(dim=1, residual_blocks=1)
    discriminator(torch.zeros(1, 3, 17, 17))
    with pytest.raises(ValueError, match=r"64x16 .*at least 17x17"):
        discriminator(torch.zeros(1, 3, 64, 16))
