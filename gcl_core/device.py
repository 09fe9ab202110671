"""The device and the CPU threads that a study computes on."""

import contextlib
from collections.abc import Iterator

import torch

from gcl_core.files import RunError


def resolve_device(name: str) -> torch.device:
    """Return the device of a study: `auto` is the GPU when there is one. Raises RunError for an absent GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("device: cuda was asked for but torch sees no GPU here; use device=cpu or device=auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute without TF32, a switch of the whole process, and put it back; for one thread at a time."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextlib.contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Run with `count` CPU threads (None: torch's own choice) and put the number back."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
