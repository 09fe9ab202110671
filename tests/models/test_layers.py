"""Convolution padding, norms and initialisation against NumPy and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import nn

from gcl_core.models.layers import LayerNorm, adaptive_instance_norm, block, convolution, initialise, instance_norm


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (5, 1, 1), (3, 1, 3)])
def test_convolution_reflects_at_the_border(kernel, stride, dilation):
    torch.manual_seed(0)
    layer = convolution(2, 1, kernel, stride=stride, dilation=dilation)
    x = torch.randn(1, 2, 10, 8)
    pad = dilation * (kernel // 2)
    padded = np.pad(x[0].numpy(), ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    spread = np.zeros((2, dilation * (kernel - 1) + 1, dilation * (kernel - 1) + 1))
    spread[:, ::dilation, ::dilation] = layer.weight[0].detach().numpy()
    expected = correlate(padded, spread, mode="valid")[0, ::stride, ::stride] + layer.state_dict()["bias"].item()
    np.testing.assert_allclose(layer(x)[0, 0].detach().numpy(), expected, atol=1e-5)


def test_layer_norm_uses_the_unbiased_std_of_each_sample():
    torch.manual_seed(1)
    norm = LayerNorm(3).double()
    nn.init.normal_(norm.bias)
    # a spread so small that the 1e-5 beside the std matters
    x = 1e-4 * torch.randn(4, 3, 2, 2).double() + torch.randn(4, 1, 1, 1)
    gain, bias = norm.gain.detach().numpy(), norm.bias.detach().numpy()
    out = norm(x).detach().numpy()
    for sample, result in zip(x.numpy(), out, strict=True):
        normalised = (sample - sample.mean()) / (sample.std(ddof=1) + 1e-5)
        np.testing.assert_allclose(result, normalised * gain[:, None, None] + bias[:, None, None], rtol=1e-6)


def test_layer_norm_gain_starts_uniform_and_a_constant_sample_has_finite_gradients():
    torch.manual_seed(2)
    gain = LayerNorm(4000).gain
    assert gain.min() >= 0
    assert gain.max() <= 1
    assert abs(gain.mean() - 0.5) < 0.02
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LayerNorm(3)(x).square().sum(), x)
    assert torch.isfinite(gradient).all()


def test_adaptive_instance_norm_against_loops():
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 3, 4, 5)) * 0.01, rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    out = adaptive_instance_norm(torch.tensor(x), torch.tensor(weight), torch.tensor(bias)).numpy()
    for b in range(2):
        for c in range(3):
            pixels = x[b, c]
            variance = ((pixels - pixels.mean()) ** 2).sum() / pixels.size
            expected = weight[b, c] * (pixels - pixels.mean()) / math.sqrt(variance + 1e-5) + bias[b, c]
            np.testing.assert_allclose(out[b, c], expected, rtol=1e-9)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_adaptive_instance_norm_has_the_gradients_of_its_formula(memory):
    draw = torch.Generator().manual_seed(5)
    x, weight, bias = (torch.randn(*shape, generator=draw).double() for shape in ((2, 3, 4, 5), (2, 3), (2, 3)))
    x = x.to(memory_format=memory)
    inputs = [each.requires_grad_() for each in (x, weight, bias)]
    assert torch.autograd.gradcheck(adaptive_instance_norm, inputs)


def test_adaptive_instance_norm_is_the_same_in_train_and_eval_and_alone_or_in_a_batch():
    torch.manual_seed(3)
    x, weight, bias = torch.randn(3, 2, 4, 4), torch.randn(3, 2), torch.randn(3, 2)
    together = adaptive_instance_norm(x, weight, bias)
    for i in range(3):
        alone = adaptive_instance_norm(x[i : i + 1], weight[i : i + 1], bias[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_a_linear_block_keeps_negatives_and_an_active_one_shrinks_them():
    torch.manual_seed(4)
    x = torch.randn(1, 2, 6, 6)
    active, linear = block(2, 3, 3, norm=instance_norm), block(2, 3, 3, norm=instance_norm, linear=True)
    linear.load_state_dict(active.state_dict())
    plain = linear(x)
    assert plain.min() < -0.5
    torch.testing.assert_close(active(x), torch.where(plain > 0, plain, 0.2 * plain))


def test_initialise_reaches_every_layer():
    torch.manual_seed(5)
    module = nn.Sequential(block(64, 64, 3), nn.Linear(900, 50))
    initialise(module, nn.init.kaiming_normal_)
    state = module.state_dict()
    assert state["0.0.weight"].std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.03)
    assert state["1.weight"].std().item() == pytest.approx(math.sqrt(2 / 900), rel=0.03)
    assert not state["0.0.bias"].any()
    assert not state["1.bias"].any()
