"""Residual networks: torchvision's, from ResNet18 to one bottleneck per stage."""

from typing import Any, Literal

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
        blurpool: Blur what the strided convolutions of the stages read, against aliasing, as in the
            paper's ResNet50; the stem, which reads pixels, is left as it is.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101] = 50,
        blocks: list[int] | None = None,
        stem_stride: Literal[1, 2, 4] = 4,
        small_stem: bool = False,
        width_per_group: int = 64,
        blurpool: bool = False,
    ) -> None:
        super().__init__()
        block, layers = DEPTHS[depth]
        if block is BasicBlock:
            width_per_group = 64  # torchvision's basic block knows no other
        self.network = ResNet(block, blocks or layers, width_per_group=width_per_group)
        self.width: int = self.network.fc.in_features
        self.network.fc = nn.Identity()
        _speed_up_strided_pointwise(self.network)
        if blurpool:
            _blur_before_strides(self.network)
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


class _BlurPool(nn.Module):
    """A strided convolution that reads features blurred by [1 2 1] both ways (Zhang, ICML 2019).

    Keys are those of the authors' checkpoints: `conv.weight` and `blur_filter`, (C, 1, 3, 3). The
    blur is computed as two means of 2 × 2, which is the same filter with zeros beyond the border:
    a convolution with one group per channel is ten times as slow in bfloat16 on processors.
    """

    blur_filter: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        line = torch.tensor([0.25, 0.5, 0.25])
        square = torch.outer(line, line).expand(conv.in_channels, 1, 3, 3)
        self.register_buffer("blur_filter", square.clone())

    def forward(self, images: Tensor) -> Tensor:
        # a pointwise convolution looks at every other pixel only: the rest need no blurring
        pointwise = isinstance(self.conv, _StridedPointwise)
        blurred = functional.avg_pool2d(images, 2, stride=1, padding=1)
        blurred = functional.avg_pool2d(blurred, 2, stride=self.conv.stride if pointwise else 1)
        if pointwise:
            return functional.conv2d(blurred, self.conv.weight, self.conv.bias)
        result: Tensor = self.conv(blurred)
        return result

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:  # noqa: ANN401
        """Refuse another filter: this module computes the one above."""
        given = state.get(f"{prefix}blur_filter")
        known = self.blur_filter
        if given is not None and given.shape == known.shape and not given.allclose(known.to(given)):
            raise RuntimeError(f"{prefix}blur_filter: expected the filter [1 2 1], got another")
        super()._load_from_state_dict(state, prefix, *others)


def _blur_before_strides(network: ResNet) -> None:
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        strided = [
            (parent, name, child)
            for parent in stage.modules()
            for name, child in parent.named_children()
            if isinstance(child, nn.Conv2d) and child.stride != (1, 1)
        ]
        for parent, name, child in strided:
            setattr(parent, name, _BlurPool(child))
