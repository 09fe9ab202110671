"""Random numbers that depend only on what they are for, never on workers, order or resuming."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str, *where: int) -> int:
    """Return a 63-bit seed that is a fixed function of the study's seed, a purpose and a place (epoch, index, ...).

    The hash is SHA-256, so neighbouring seeds give unrelated streams on every platform.
    """
    text = "/".join([str(int(seed)), purpose, *(str(int(part)) for part in where)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def training_draws(first: int, seed: int, repeat: int = 0) -> int:
    """Return the seed of all that one training draws: order, angles, partners, augmentation, new weights.

    Seed k of a study that begins at `first` draws as first + k. A repeat of that training on the same people has
    unrelated draws of its own; repeat 0 is the training itself.
    """
    return derive_seed(first + seed, "repeat", repeat) if repeat else first + seed


def rng(seed: int, purpose: str, *where: int) -> "torch.Generator":
    """Return a CPU torch generator for (seed, purpose, where)."""
    import torch  # two seconds, which planning a study does without

    return torch.Generator().manual_seed(derive_seed(seed, purpose, *where))


def numpy_rng(seed: int, purpose: str, *where: int) -> np.random.Generator:
    """Return a NumPy generator for (seed, purpose, where)."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, purpose, *where)))
