"""Residual networks: torchvision's, from ResNet18 to one bottleneck per stage."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

DEPTHS: dict[int, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    18: (BasicBlock, [2, 2, 2, 2]),
    34: (BasicBlock, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
    101: (Bottleneck, [3, 4, 23, 3]),
}


class resnet(nn.Module):
    """A residual network without its classifier; D = 2048, or 512 for depths 18 and 34.

    Args:
        depth: 18, 34, 50 or 101, as in torchvision; 18 and 34 have plain blocks, the others
            bottlenecks.
        blocks: Blocks per stage other than the depth's; [1, 1, 1, 1] costs a third of ResNet50.
        stem_stride: How much the stem shrinks the image: 4 as for ImageNet (7 × 7 convolution and
            max-pooling), 2 or 1 for small images (3 × 3 convolution).
        small_stem: Use the 3 × 3 convolution at stride 4 too.
        width_per_group: Width of the bottlenecks; 64 as in ResNet50, D stays the same.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101] = 50,
        blocks: list[int] | None = None,
        stem_stride: Literal[1, 2, 4] = 4,
        small_stem: bool = False,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        block, layers = DEPTHS[depth]
        if block is BasicBlock:
            width_per_group = 64  # torchvision's basic block knows no other
        self.network = ResNet(block, blocks or layers, width_per_group=width_per_group)
        self.width: int = self.network.fc.in_features
        self.network.fc = nn.Identity()
        _speed_up_strided_pointwise(self.network)
        if small_stem or stem_stride < 4:
            stride = min(stem_stride, 2)
            self.network.conv1 = nn.Conv2d(3, 64, 3, stride=stride, padding=1, bias=False)
            nn.init.kaiming_normal_(self.network.conv1.weight, mode="fan_out", nonlinearity="relu")
        if stem_stride < 4:
            self.network.maxpool = nn.Identity()

    @property
    def spatial_stages(self) -> tuple[nn.Module, ...]:
        """Modules whose outputs are spatial feature maps, the deepest last; for Grad-CAM."""
        network = self.network
        return network.layer1, network.layer2, network.layer3, network.layer4

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalised images, (B, 3, H, W) -> (B, D), pooled after the last ReLU."""
        features: Tensor = self.network(images)
        return features


class _StridedPointwise(nn.Conv2d):
    """A 1 × 1 convolution of stride 2 as a slice and a convolution of stride 1.

    The same numbers and the same checkpoint keys; the gradient of the strided one is slow on
    processors (7 to 15% of a training step of the default model).
    """

    def forward(self, images: Tensor) -> Tensor:
        height, width = self.stride
        kept = images[:, :, ::height, ::width].contiguous(memory_format=torch.channels_last)
        return functional.conv2d(kept, self.weight, self.bias)


def _speed_up_strided_pointwise(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.stride != (1, 1):
            module.__class__ = _StridedPointwise
