"""What those who draw with a generator or see with an encoder ask of it: what answers to this can take its place."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class GeneratorNetwork(Protocol):
    """G with its E_str (METHOD.md §2.2-2.3)."""

    training: bool

    def structure(self, mesh: Tensor, /) -> Tensor:
        """Return what G takes of grey mesh projections [b, 1, h, w] in [-1, 1], one picture per row."""
        ...

    def __call__(self, structure: Tensor, code: Tensor, /) -> Tensor:
        """Return pictures [b, 3, h, w], ImageNet-normalised: a structure in the appearance of a code [b, code_dim]."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Set train mode, or eval mode."""
        ...

    def eval(self) -> Any:
        """Set eval mode."""
        ...


@runtime_checkable
class EncoderNetwork(Protocol):
    """E_id (METHOD.md §2.1)."""

    code_dim: int
    feature_dim: int
    training: bool

    def __call__(self, x: Tensor, /) -> Any:
        """Return the named tuple (code, feature) of pictures [b, 3, h, w]; the feature is not normalised."""
        ...

    def features(self, x: Tensor, /) -> Tensor:
        """Return L2-normalised features [b, feature_dim]."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is learned."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Set train mode, or eval mode."""
        ...

    def eval(self) -> Any:
        """Set eval mode."""
        ...
