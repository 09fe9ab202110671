"""Size, shape and per-part isolation of the generator."""

import pytest
import torch

from gcl_core.models.generator import Generator


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(code_dim=20, dim=2, mlp_dim=6, dilations=(1, 2, 3))


def test_published_numbers_of_parameters():
    with torch.device("meta"):
        generator = Generator(code_dim=8192)
    assert count(generator.weight_mlps, generator.bias_mlps) == 11_544_576
    assert count(generator.blocks, generator.head) == 1_455_555
    assert count(generator) == 13_380_675


def test_paper_size_shapes():
    with torch.device("meta"):
        generator = Generator(code_dim=8192)
        structure = generator.structure(torch.empty(2, 1, 256, 128))
        picture = generator(structure, torch.empty(2, 8192))
    assert structure.shape == (2, 128, 64, 32)
    assert picture.shape == (2, 3, 256, 128)


def test_the_picture_has_the_size_of_the_projection_and_is_unbounded(generator):
    structure = generator.structure(torch.rand(3, 1, 64, 32))
    picture = generator(structure, torch.randn(3, 20))
    assert picture.shape == (3, 3, 64, 32)
    generator.head[-1][0].weight.data *= 100
    assert generator(structure, torch.randn(3, 20)).abs().max() > 5  # a tanh would stop at 1


@pytest.mark.parametrize("part", range(4))
def test_a_slice_of_the_code_drives_the_adain_of_its_own_block_only(generator, part):
    seen = []
    for block in generator.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append((*inputs[1:], output)))
    structure, code = generator.structure(torch.rand(1, 1, 32, 16)), torch.randn(1, 20)
    generator(structure, code)
    changed = code.clone()
    changed[:, 5 * part : 5 * part + 5] += 1
    generator(structure, changed)
    for block in range(4):
        (weight_0, bias_0, out_0), (weight_1, bias_1, out_1) = seen[block], seen[4 + block]
        assert torch.equal(weight_0, weight_1) == (block != part)
        assert torch.equal(bias_0, bias_1) == (block != part)
        assert torch.equal(out_0, out_1) == (block < part)  # what comes after the part's block sees its change


def test_the_first_half_of_the_parameters_belongs_to_the_first_convolution(generator):
    """What the block adds has the second half as its mean and std a channel; the first half only shapes it."""
    block = generator.blocks[0]
    x = torch.randn(2, 16, 16, 8)
    weights, biases = torch.randn(2, 32), torch.randn(2, 32)
    added = block(x, weights, biases) - x
    torch.testing.assert_close(added.mean(dim=(2, 3)), biases[:, 16:], rtol=0, atol=1e-4)
    torch.testing.assert_close(added.std(dim=(2, 3), unbiased=False), weights[:, 16:].abs(), rtol=0.01, atol=1e-3)
    for parameters in (weights, biases):
        parameters[:, :16] += 1
        shaped = block(x, weights, biases) - x
        assert not torch.allclose(shaped, added, atol=0.1)
        torch.testing.assert_close(shaped.mean(dim=(2, 3)), biases[:, 16:], rtol=0, atol=1e-4)
        added = shaped


def test_gradient_reaches_the_code_and_every_parameter_but_biases_before_a_norm(generator):
    code = torch.randn(2, 20, requires_grad=True)
    generator(generator.structure(torch.rand(2, 1, 32, 16)), code).square().mean().backward()
    assert (code.grad != 0).all()
    for name, parameter in generator.named_parameters():
        if name.endswith("weight") or "mlps" in name:
            assert parameter.grad.abs().sum() > 0, name


def test_blocks_and_parts_must_agree():
    with pytest.raises(ValueError, match="residual_blocks=3 and parts=4"):
        Generator(code_dim=20, dim=2, residual_blocks=3)
    with pytest.raises(ValueError, match="22 entries cannot be cut into 4"):
        Generator(code_dim=22, dim=2)


def test_three_parts_work_as_well():
    generator = Generator(code_dim=21, dim=1, mlp_dim=4, residual_blocks=3, parts=3, dilations=(1, 1, 1))
    assert generator(generator.structure(torch.rand(2, 1, 16, 16)), torch.randn(2, 21)).shape == (2, 3, 16, 16)


def test_the_same_seed_gives_the_same_generator():
    first, second = (torch.manual_seed(3) and Generator(code_dim=8, dim=1, mlp_dim=4) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
