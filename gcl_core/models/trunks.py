"""Trunks of the identity encoder: what makes a map of features of a picture (METHOD.md §2.1)."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from gcl_core.settings.networks import RESNET_STRIDE

if TYPE_CHECKING:
    from torchvision.models.resnet import BasicBlock, Bottleneck

BLOCKS = {"basic": "BasicBlock", "bottleneck": "Bottleneck"}  # of torchvision.models.resnet


class Trunk(nn.Module, ABC):
    """A network whose map of a picture has `channels` channels and a row for every `stride` rows of the picture.

    `settings` are the constructor arguments that rebuild it.
    """

    settings: dict[str, Any]
    channels: int
    stride: int

    @abstractmethod
    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        """Return the map of ImageNet-normalised pictures."""


class ResNetTrunk(Trunk):
    """torchvision's ResNet without its classifier, any width, last stride 1; parameters are named as torchvision's.

    Raises ValueError for an unknown block.
    """

    stride = RESNET_STRIDE

    def __init__(
        self,
        *,
        block: Literal["basic", "bottleneck"] = "bottleneck",
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
    ) -> None:
        super().__init__()
        if block not in BLOCKS:
            raise ValueError(f"unknown block {block!r} of the identity encoder: choose one of {sorted(BLOCKS)}")
        self.settings = {"block": block, "layers": layers, "width": width}
        from torchvision.models import resnet  # two seconds to import

        unit = getattr(resnet, BLOCKS[block])
        self.channels = 8 * width * unit.expansion
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._stage(unit, width, width, layers[0], stride=1)
        self.layer2 = self._stage(unit, width * unit.expansion, 2 * width, layers[1], stride=2)
        self.layer3 = self._stage(unit, 2 * width * unit.expansion, 4 * width, layers[2], stride=2)
        self.layer4 = self._stage(unit, 4 * width * unit.expansion, 8 * width, layers[3], stride=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(
        block: "type[BasicBlock] | type[Bottleneck]", inputs: int, planes: int, depth: int, *, stride: int
    ) -> nn.Sequential:
        outputs = planes * block.expansion
        shortcut = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        rest = (block(outputs, planes) for _ in range(depth - 1))
        return nn.Sequential(block(inputs, planes, stride, shortcut), *rest)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        """Return layer4's map, a sixteenth of the picture's size."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))
