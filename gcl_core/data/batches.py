"""Batches: which rows, in what order, at which angles, and pixels in the range the networks read."""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from gcl_core.seeding import rng

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # §5.3
IMAGENET_STD = (0.229, 0.224, 0.225)


def epoch_batches(
    rows: Int64[np.ndarray, " n"], batch_size: int, *, seed: int, purpose: str, epoch: int
) -> list[Int64[np.ndarray, " b"]]:
    """Return the epoch's batches: a uniform shuffle of `rows` without replacement, last short batch dropped (§5.2).

    Fewer rows than one batch give a single smaller batch, and no batch for less than two rows (batch norm needs two).
    """
    order = rows[torch.randperm(len(rows), generator=rng(seed, purpose, epoch)).numpy()]
    size = min(batch_size, len(rows))
    return [order[start : start + size] for start in range(0, len(rows) - size + 1, size)] if size >= 2 else []


def draw_angles(angles: Sequence[int], count: int, *, seed: int, purpose: str, epoch: int) -> Int64[np.ndarray, " n"]:
    """Draw one angle for every row, uniformly from `angles` in degrees, new each epoch (D1, D2).

    The draw depends on (seed, purpose, epoch, row) alone.
    """
    choice = torch.randint(len(angles), (count,), generator=rng(seed, purpose, epoch)).numpy()
    return np.asarray(angles, dtype=np.int64)[choice]


def send(values: Shaped[Tensor, "..."], device: torch.device) -> Shaped[Tensor, "..."]:
    """Return the values on `device`; neither this process waits for the copy nor the GPU, through pinned memory."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def unit_pictures(
    pixels: UInt8[np.ndarray, "b h w 3"] | UInt8[Tensor, "b h w 3"], device: torch.device
) -> Float[Tensor, "b 3 h w"]:
    """Pixels 0…255 to pictures in [0, 1] on `device`."""
    planes = _sent(pixels, device).permute(0, 3, 1, 2).contiguous()
    return planes.float().div_(255)  # bytes are cheaper to rearrange than floats


def channels_first(pictures: UInt8[np.ndarray, "b h w 3"]) -> UInt8[Tensor, "b 3 h w"]:
    """Return pictures as networks take them, still of bytes and on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)


def imagenet_normalize(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Pictures in [0, 1] to ImageNet-normalised (§5.3)."""
    mean, std = _channel_statistics(picture.dtype, picture.device)
    return (picture - mean) / std


def imagenet_denormalize(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """ImageNet-normalised pictures to pictures in [0, 1], clamped."""
    mean, std = _channel_statistics(picture.dtype, picture.device)
    return (picture * std + mean).clamp(0, 1)


def unit_projections(
    pixels: UInt8[np.ndarray, "b h w"] | UInt8[Tensor, "b h w"], device: torch.device
) -> Float[Tensor, "b 1 h w"]:
    """Grey projections 0…255 to [-1, 1] on `device` (§1.3)."""
    return _sent(pixels, device).unsqueeze(1).float().div(127.5).sub(1)


def to_pixels(picture: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
    """ImageNet-normalised pictures to pixels 0…255, clamped and rounded (§2.3)."""
    pixels = imagenet_denormalize(picture).mul(255).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _sent(pixels: np.ndarray | Tensor, device: torch.device) -> Tensor:
    return send(pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.ascontiguousarray(pixels)), device)


@functools.cache  # to make them anew on a GPU is to wait for it
def _channel_statistics(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, dtype=dtype, device=device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)
