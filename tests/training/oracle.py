"""One stage-3 iteration as METHOD.md §1-3 and §5.2 state it, in plain functions of the weights, nothing shared.

Every network is written out again from its section, losses pass by pass and anchor by anchor, optimisers by hand. Slow
and simple; weights are dictionaries by the names of our networks. `Reading` says where paper and release differ.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl_core.losses.view_invariant import Partners  # which rows were drawn: an input here

Weights = dict[str, Tensor]


class Reading(NamedTuple):
    """How the paper or the release reads what METHOD.md §8 lists."""

    code_by_part: bool  # D3
    live_pair: bool  # D4: L'_vi joins f'_new and f, or f'_new and the row of f in the memory
    feature_at_new: bool  # D31: L_feat compares the code of x_nv, or that of x_rec
    drawing_rate: float  # D11: of G and D in the first epoch of stage 3


PAPER = Reading(code_by_part=True, live_pair=True, feature_at_new=True, drawing_rate=1e-4)
RELEASED = Reading(code_by_part=False, live_pair=False, feature_at_new=False, drawing_rate=1e-5)


class Networks(NamedTuple):
    """Weights of E_id, of G with E_str, and of D."""

    e: Weights
    g: Weights
    d: Weights


class Shape(NamedTuple):
    """What of the networks their weights do not tell."""

    dilations: tuple[int, ...]
    residual_blocks: int


class Outcome(NamedTuple):
    """One iteration: its losses, the gradients and the stepped weights of each network, and the memory after it."""

    losses: dict[str, Tensor]
    gradients: Networks
    stepped: Networks
    bank: Tensor


def iteration(
    before: Networks,
    shape: Shape,
    bank: Tensor,
    pictures: tuple[Tensor, Tensor, Tensor],
    indices: list[int],
    partners: Partners,
    reading: Reading,
) -> Outcome:
    """§1.2, steps 2 to 8, from weights and rows that were drawn; running statistics move in `before.e` itself.

    `pictures` are x and its meshes m_0 and m_θ. τ, weights of losses and rates are the published ones.
    """
    (e, g, d), (x, m_0, m_theta) = before, pictures
    a, z = identity_encoder(e, x, by_part=reading.code_by_part)
    s_0, s_theta = (structure_encoder(g, each, shape.dilations) for each in (m_0, m_theta))
    x_rec, x_nv = decode(g, s_0, a), decode(g, s_theta, a)
    a_rec = None if reading.feature_at_new else identity_encoder(e, x_rec, by_part=reading.code_by_part)[0]
    a_nv, z_nv = identity_encoder(e, x_nv, by_part=reading.code_by_part)
    x_cyc = decode(g, s_0, a_nv)
    a_cyc, _ = identity_encoder(e, x_cyc, by_part=reading.code_by_part)
    fakes = [x_rec, x_nv, x_cyc]

    on_d = discriminator_loss(d, x, fakes, shape.residual_blocks, 0.01)
    d_gradients = gradients_of(on_d, d)
    d = adam_step(d, d_gradients, lr=reading.drawing_rate, decay=5e-4)

    f, f_new = (each / each.norm(dim=1, keepdim=True) for each in (z, z_nv))
    compared = a_nv if a_rec is None else a_rec
    on_fakes = [scores for fake in fakes for scores in discriminate(d, fake, shape.residual_blocks)]
    losses = {
        "image": (x_rec - x).abs().mean(),
        "cycle": (x_cyc - x).abs().mean(),
        "feature": (compared - a.detach()).abs().mean(),
        "feature_cycle": (a_cyc - a.detach()).abs().mean(),
        "adversarial": torch.stack([2 * ((scores - 1) ** 2).mean() for scores in on_fakes]).sum(),
        **contrast(f, f_new, bank, indices, partners, 0.04, live_pair=reading.live_pair),
    }
    reconstructions = ("image", "cycle", "feature", "feature_cycle")
    total = torch.stack([(5 if name in reconstructions else 1) * each for name, each in losses.items()]).sum()
    e_gradients, g_gradients = gradients_of(total, e), gradients_of(total, g)
    e = nesterov_step(e, e_gradients, lr=3.5e-4, decay=5e-4)
    g = adam_step(g, g_gradients, lr=reading.drawing_rate, decay=5e-4)

    after = bank.clone()
    for index, feature in zip(indices, f.detach(), strict=True):
        mixed = 0.2 * bank[index] + 0.8 * feature
        after[index] = mixed / mixed.norm()
    losses["on d"] = on_d
    return Outcome(losses, Networks(e_gradients, g_gradients, d_gradients), Networks(e, g, d), after)


def identity_encoder(w: Weights, x: Tensor, *, by_part: bool) -> tuple[Tensor, Tensor]:
    """§2.1 in train mode: code (D3) and feature; running statistics in `w` move by a tenth."""

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
    code = torch.stack(stripes, dim=1 if by_part else 2).flatten(1)
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
    f: Tensor, f_new: Tensor, bank: Tensor, indices: list[int], partners: Partners, tau: float, *, live_pair: bool
) -> dict[str, Tensor]:
    """§3.3, anchor by anchor; all negatives are those of f'_new (D6)."""
    losses: dict[str, list[Tensor]] = {"l_vi": [], "l_vi_prime": [], "l_vi_second": []}
    for row, index in enumerate(indices):
        drawn = zip(partners.negatives[row].tolist(), partners.valid[row].tolist(), strict=True)
        negatives = [f_new[row] @ bank[column] for column, valid in drawn if valid]
        positives = (
            f[row] @ bank[partners.positive_original[row]],
            f_new[row] @ (f[row].detach() if live_pair else bank[index]),
            f_new[row] @ bank[partners.positive_new[row]],
        )
        for terms, positive in zip(losses.values(), positives, strict=True):
            others = torch.stack([((negative - positive) / tau).exp() for negative in negatives]).sum()
            terms.append((1 + others).log())
    return {name: torch.stack(terms).mean() for name, terms in losses.items()}


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
