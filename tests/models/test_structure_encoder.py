"""Size, shape and limits of the structure encoder."""

import pytest
import torch

from gcl_core.models.structure_encoder import StructureEncoder


def test_published_number_of_parameters():
    with torch.device("meta"):
        encoder = StructureEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 380_544


@pytest.mark.parametrize(
    ("dim", "height", "width", "dilations"), [(16, 256, 128, (3, 6, 9)), (4, 64, 32, (1, 2, 3)), (2, 40, 40, (3, 6, 9))]
)
def test_the_map_is_a_quarter_of_the_projection(dim, height, width, dilations):
    with torch.device("meta"):
        encoder = StructureEncoder(dim=dim, dilations=dilations)
        structure = encoder(torch.empty(2, 1, height, width))
    assert structure.shape == (2, 8 * dim, height // 4, width // 4)


def test_the_map_follows_the_projection_of_its_own_sample_only():
    torch.manual_seed(0)
    encoder = StructureEncoder(dim=2, residual_blocks=1, dilations=(1, 2, 3))
    mesh = torch.rand(2, 1, 32, 16) * 2 - 1
    before = encoder(mesh)
    mesh[1, :, 8:16] = 0
    after = encoder(mesh)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


def test_too_small_a_projection_is_named_with_the_least_size_and_the_setting():
    encoder = StructureEncoder(dim=1, residual_blocks=1)
    encoder(torch.zeros(2, 1, 40, 40))
    with pytest.raises(ValueError, match=r"64x36 .*\(3, 6, 9\).*at least 40x40.*generator\.dilations"):
        encoder(torch.zeros(2, 1, 64, 36))


def test_a_side_that_is_no_multiple_of_four_is_refused():
    encoder = StructureEncoder(dim=1, residual_blocks=1, dilations=(1, 1, 1))
    with pytest.raises(ValueError, match=r"66x32 .*multiples of 4"):
        encoder(torch.zeros(2, 1, 66, 32))
