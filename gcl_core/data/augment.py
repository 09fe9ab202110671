"""Traditional data augmentation (TDA): flipping, cropping, jittering, erasing, drawn per picture (§6.1)."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from gcl_core.config import AugmentationSettings
from gcl_core.data.batches import IMAGENET_MEAN

PAD_HEIGHT = 256  # the height at which `pad` is given in pixels
GREY = (0.299, 0.587, 0.114)


def augment(
    picture: Float[Tensor, "b 3 h w"],
    settings: AugmentationSettings,
    generator: Generator,
    *,
    fill: tuple[float, float, float] = IMAGENET_MEAN,
) -> Float[Tensor, "b 3 h w"]:
    """Return an augmented copy of pictures in [0, 1]; every picture gets draws of its own from the CPU `generator`.

    Order: flip, pad and crop, colour jitter, erasing (filled with `fill`). Values stay in [0, 1].
    """
    picture = _flip(picture, settings.flip, generator)
    picture = _crop(picture, round(settings.pad * picture.shape[2] / PAD_HEIGHT), generator)
    picture = _jitter(picture, settings.jitter, settings.hue, generator)
    return _erase(picture, settings, generator, fill)


def _flip(picture: Tensor, share: float, generator: Generator) -> Tensor:
    flipped = _uniform(len(picture), generator, picture) < share
    return torch.where(flipped.view(-1, 1, 1, 1), picture.flip(3), picture)


def _crop(picture: Tensor, pad: int, generator: Generator) -> Tensor:
    batch, _, height, width = picture.shape
    top = torch.randint(2 * pad + 1, (batch,), generator=generator).to(picture.device)
    left = torch.randint(2 * pad + 1, (batch,), generator=generator).to(picture.device)
    padded = torch.nn.functional.pad(picture, (pad, pad, pad, pad))
    rows = (top[:, None] + torch.arange(height, device=picture.device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(width, device=picture.device))[:, None, None, :]
    entry = torch.arange(batch, device=picture.device)[:, None, None, None]
    channel = torch.arange(3, device=picture.device)[None, :, None, None]
    return padded[entry, channel, rows, columns]


def _jitter(picture: Tensor, strength: float, hue: float, generator: Generator) -> Tensor:
    def factor() -> Tensor:
        return (1 + strength * (2 * _uniform(len(picture), generator, picture) - 1)).view(-1, 1, 1, 1)

    picture = (picture * factor()).clamp(0, 1)
    mean = _grey(picture).mean(dim=(2, 3), keepdim=True)
    picture = (mean + (picture - mean) * factor()).clamp(0, 1)
    grey = _grey(picture)
    picture = (grey + (picture - grey) * factor()).clamp(0, 1)
    return _turn_hue(picture, hue * (2 * _uniform(len(picture), generator, picture) - 1))


def _turn_hue(picture: Tensor, turn: Tensor) -> Tensor:
    """Rotate colours about the grey axis by `turn` of a full circle (Rodrigues' formula)."""
    angle = 2 * torch.pi * turn.view(-1, 1, 1)
    a = 3**-0.5
    cross = picture.new_tensor([[0, -a, a], [a, 0, -a], [-a, a, 0]])
    turned = torch.eye(3).to(picture) * angle.cos() + cross * angle.sin() + a * a * (1 - angle.cos())
    return torch.einsum("bij,bjhw->bihw", turned, picture).clamp(0, 1)


def _erase(
    picture: Tensor, settings: AugmentationSettings, generator: Generator, fill: tuple[float, float, float]
) -> Tensor:
    batch, _, height, width = picture.shape

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * _uniform(batch, generator, picture)

    erased = between(0.0, 1.0) < settings.erase
    area = between(*settings.erase_area) * height * width
    aspect = between(*settings.erase_aspect)
    tall = (area * aspect).sqrt().round().clamp(1, height - 1)
    wide = (area / aspect).sqrt().round().clamp(1, width - 1)
    top = (between(0.0, 1.0) * (height - tall)).floor()
    left = (between(0.0, 1.0) * (width - wide)).floor()
    rows = torch.arange(height, device=picture.device)[None, :]
    columns = torch.arange(width, device=picture.device)[None, :]
    in_rows = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :] & erased.view(-1, 1, 1, 1)
    return torch.where(hole, picture.new_tensor(fill).view(1, 3, 1, 1), picture)


def _grey(picture: Tensor) -> Tensor:
    return (picture * picture.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _uniform(count: int, generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(count, generator=generator).to(like)
