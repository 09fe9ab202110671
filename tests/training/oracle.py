"""One stage-3 iteration as METHOD.md §1-3 and §5.2 state it, in plain functions of the weights, nothing shared.

Every network is written out again from its section, losses pass by pass and anchor by anchor, optimisers by hand. Slow
and simple; weights are dictionaries by the names of our networks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl_core.losses.view_invariant import Partners  # which rows were drawn: an input here

Weights = dict[str, Tensor]


def identity_encoder(w: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """§2.1 in train mode: code (channel-major, D3) and feature; running statistics in `w` move by a tenth."""

    def norm(x: Tensor, name: str) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, variance = x.mean(axes), x.var(axes, unbiased=False)
        count = x.numel() / x.shape[1]
        with torch.no_grad():
            w[f"{name}.running_mean"] = 0.9 * w[f"{name}.running_mean"] + 0.1 * mean
            w[f"{name}.running_var"] = 0.9 * w[f"{name}.running_var"] + 0.1 * variance * count / (count - 1)
        x = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
        return x * w[f"{name}.weight"].view(shape) + w[f"{name}.bias"].view(shape)

    x = F.conv2d(x, w["trunk.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, "trunk.bn1").relu(), 3, 2, 1)
    for layer, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
        at = f"trunk.layer{layer}.0"
        y = norm(F.conv2d(x, w[f"{at}.conv1.weight"]), f"{at}.bn1").relu()
        y = norm(F.conv2d(y, w[f"{at}.conv2.weight"], stride=stride, padding=1), f"{at}.bn2").relu()
        y = norm(F.conv2d(y, w[f"{at}.conv3.weight"]), f"{at}.bn3")
        if f"{at}.downsample.0.weight" in w:
            x = norm(F.conv2d(x, w[f"{at}.downsample.0.weight"], stride=stride), f"{at}.downsample.1")
        x = (x + y).relu()
    rows = x.shape[2] // 4
    stripes = [x[:, :, part * rows : (part + 1) * rows].mean((2, 3)) for part in range(4)]
    code = torch.stack(stripes, dim=2).flatten(1)
    feature = F.linear(x.mean((2, 3)), w["embedding.weight"], w["embedding.bias"])
    return code, norm(feature, "neck")


def _convolve(w: Weights, name: str, x: Tensor, padding: int, stride: int = 1, dilation: int = 1) -> Tensor:
    x = F.pad(x, (padding,) * 4, mode="reflect") if padding else x
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, dilation=dilation)


def _instance(x: Tensor) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def _leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def structure_encoder(w: Weights, mesh: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """§2.2."""
    at = "structure_encoder.layers"
    x = mesh
    for layer, stride in ((0, 2), (1, 1), (2, 1), (3, 2)):
        x = _leaky(_instance(_convolve(w, f"{at}.{layer}.0", x, 1, stride)))
    for layer in (4, 5, 6, 7):
        y = _leaky(_instance(_convolve(w, f"{at}.{layer}.body.0.0", x, 1)))
        x = x + _instance(_convolve(w, f"{at}.{layer}.body.1.0", y, 1))
    branches = [_instance(_convolve(w, f"{at}.8.branches.0.0", x, 0))]
    for number, dilation in enumerate(dilations, start=1):
        y = _leaky(_instance(_convolve(w, f"{at}.8.branches.{number}.0.0", x, 0)))
        y = _convolve(w, f"{at}.8.branches.{number}.1.0", y, dilation, dilation=dilation)
        branches.append(_instance(y))
    return _instance(_convolve(w, f"{at}.8.fuse.0", torch.cat(branches, 1), 0))


def decode(w: Weights, structure: Tensor, code: Tensor) -> Tensor:
    """§2.3."""

    def mlp(name: str, x: Tensor) -> Tensor:
        for layer in (0, 2):
            x = _leaky(F.linear(x, w[f"{name}.{layer}.weight"], w[f"{name}.{layer}.bias"]))
        return F.linear(x, w[f"{name}.4.weight"], w[f"{name}.4.bias"])

    def layer_norm(x: Tensor, name: str) -> Tensor:
        flat = x.flatten(1)
        mean, std = flat.mean(1).view(-1, 1, 1, 1), flat.std(1, unbiased=True).view(-1, 1, 1, 1)
        return (x - mean) / (std + 1e-5) * w[f"{name}.gain"].view(1, -1, 1, 1) + w[f"{name}.bias"].view(1, -1, 1, 1)

    x, size, channels = structure, code.shape[1] // 4, structure.shape[1]
    for part in range(4):
        piece = code[:, part * size : (part + 1) * size]
        gains, shifts = mlp(f"weight_mlps.{part}", piece), mlp(f"bias_mlps.{part}", piece)
        y = _instance(_convolve(w, f"blocks.{part}.first", x, 1))
        y = _leaky(gains[:, :channels, None, None] * y + shifts[:, :channels, None, None])
        y = _instance(_convolve(w, f"blocks.{part}.second", y, 1))
        x = x + gains[:, channels:, None, None] * y + shifts[:, channels:, None, None]
    for layer in (1, 3):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = _leaky(layer_norm(_convolve(w, f"head.{layer}.0", x, 2), f"head.{layer}.1"))
    for layer in (4, 5):
        x = _leaky(_convolve(w, f"head.{layer}.0", x, 1))
    return _convolve(w, "head.6.0", x, 0)


def discriminate(w: Weights, x: Tensor, residual_blocks: int) -> list[Tensor]:
    """§2.4, two downsamplings and three scales."""
    maps = []
    for scale in range(3):
        if scale:
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        y, at = _leaky(_convolve(w, f"networks.{scale}.0.0", x, 0)), f"networks.{scale}"
        for layer, stride in ((1, 1), (2, 2), (3, 1), (4, 2)):
            y = _leaky(_convolve(w, f"{at}.{layer}.0", y, 1, stride))
        for layer in range(5, 5 + residual_blocks):
            z = _leaky(_convolve(w, f"{at}.{layer}.body.0.0", y, 1))
            y = y + _convolve(w, f"{at}.{layer}.body.1.0", z, 1)
        maps.append(_convolve(w, f"{at}.{5 + residual_blocks}", y, 0))
    return maps


def discriminator_loss(w: Weights, real: Tensor, fakes: list[Tensor], residual_blocks: int, weight: float) -> Tensor:
    """§3.2: every drawn batch with the real one and its penalty anew."""
    total = real.new_zeros(())
    for fake in fakes:
        real = real.detach().clone().requires_grad_()
        on_fake = discriminate(w, fake.detach(), residual_blocks)
        for scale, scores in enumerate(discriminate(w, real, residual_blocks)):
            (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
            penalty = sum((each**2).sum() for each in gradient) / len(real)
            total = total + ((scores - 1) ** 2).mean() + (on_fake[scale] ** 2).mean() + weight * penalty
    return total


def contrast(
    f: Tensor, g: Tensor, bank: Tensor, indices: list[int], partners: Partners, tau: float
) -> tuple[Tensor, ...]:
    """§3.3, anchor by anchor: L_vi, L'_vi, L''_vi; all negatives are g's (D4, D6 as released)."""
    losses: list[list[Tensor]] = [[], [], []]
    for row, index in enumerate(indices):
        drawn = zip(partners.negatives[row].tolist(), partners.valid[row].tolist(), strict=True)
        negatives = [g[row] @ bank[column] for column, valid in drawn if valid]
        positives = (
            g[row] @ bank[index],
            g[row] @ bank[partners.positive_new[row]],
            f[row] @ bank[partners.positive_original[row]],
        )
        for term, positive in enumerate(positives):
            others = torch.stack([((negative - positive) / tau).exp() for negative in negatives]).sum()
            losses[term].append((1 + others).log())
    return tuple(torch.stack(each).mean() for each in losses)


def adam_step(w: Weights, gradients: Weights, lr: float, decay: float) -> Weights:
    """The first step of Adam with β = (0, 0.999) and L2 weight decay."""
    stepped = {}
    for name, gradient in gradients.items():
        gradient = gradient + decay * w[name].detach()
        second = 0.001 * gradient**2
        stepped[name] = w[name].detach() - lr * gradient / ((second / (1 - 0.999)).sqrt() + 1e-8)
    return {**w, **stepped}


def nesterov_step(w: Weights, gradients: Weights, lr: float, decay: float) -> Weights:
    """The first step of SGD with Nesterov momentum 0.9 and L2 weight decay."""
    stepped = {
        name: w[name].detach() - lr * 1.9 * (gradient + decay * w[name].detach())
        for name, gradient in gradients.items()
    }
    return {**w, **stepped}


def gradients_of(loss: Tensor, w: Weights) -> Weights:
    """Gradients for every weight that wants one; zero where the loss does not depend on it."""
    names = [name for name, value in w.items() if value.requires_grad]
    found = torch.autograd.grad(loss, [w[name] for name in names], allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(w[name]) if gradient is None else gradient
        for name, gradient in zip(names, found, strict=True)
    }


def norm_of(gradients: Weights) -> float:
    """Length of all gradients as one vector."""
    return math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
