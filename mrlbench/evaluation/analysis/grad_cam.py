"""Grad-CAM: where each head looks (Selvaraju et al., ICCV 2017)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.errors import UserError

FEWEST_SIDE = 4  # a map of 1 × 1 or 2 × 2, as small images leave at the end, shows nothing


@dataclass(frozen=True)
class HeatMaps:
    """Where the heads look in some images.

    Attributes:
        maps: (M, B, H, W) in [0, 1], at the images' size; 0 where nothing speaks for the class.
        predicted: (M, B), the class of each head, which the map is for.
        probability: (M, B), its softmax probability.
        side: (h, w) of the feature map.
    """

    maps: FloatArray
    predicted: IntArray
    probability: FloatArray
    side: tuple[int, int]


def grad_cam(backbone: nn.Module, head: nn.Module, images: Tensor) -> HeatMaps:
    """Compute the map of the predicted class of each head.

    For the class c of a head and feature maps A_k, a_k = mean over positions of ∂y_c/∂A_k, and the
    map is ReLU(Σ_k a_k A_k), scaled by its maximum and interpolated to the image. y_c is the logit.
    The feature maps are the outputs of the deepest of the model's stages that has 4 × 4 positions
    or more: the last before pooling at ImageNet's size.

    Args:
        backbone: In evaluation mode; its `spatial_stages` are modules whose outputs are maps, the
            deepest last.
        head: One (B, C) of logits for each dim.
        images: (B, 3, H, W), normalised.

    Raises:
        UserError: The model has no spatial maps.
    """
    features, vectors = _forward(backbone, images)
    logits = torch.stack([each.float() for each in head(vectors)])  # (M, B, C)
    predicted = logits.argmax(dim=2)  # (M, B)
    chosen = logits.gather(2, predicted[:, :, None])[:, :, 0]  # (M, B)
    maps = []
    for each in chosen:
        (gradient,) = torch.autograd.grad(each.sum(), features, retain_graph=True)
        alpha = gradient.mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
        maps.append(torch.relu((alpha * features).sum(dim=1)).detach())  # (B, h, w)
    stacked = torch.stack(maps)
    largest = stacked.amax(dim=(2, 3), keepdim=True)
    scaled = stacked / torch.where(largest > 0, largest, 1)
    size = (int(images.shape[2]), int(images.shape[3]))
    whole = nn.functional.interpolate(scaled, size, mode="bilinear", align_corners=False)
    probability = logits.softmax(dim=2).amax(dim=2)
    return HeatMaps(
        whole.cpu().numpy(),
        predicted.cpu().numpy(),
        probability.detach().cpu().numpy(),
        (int(features.shape[2]), int(features.shape[3])),
    )


def _forward(backbone: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embed images, (B, D), and catch the feature maps (B, K, h, w) on the way."""
    stages: tuple[nn.Module, ...] = tuple(getattr(backbone, "spatial_stages", ()))
    if not stages:
        raise UserError(
            f"grad-cam: expected a model with spatial feature maps such as resnet, got "
            f"{type(backbone).__name__}"
        )
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _inputs: Any, output: Tensor) -> None:  # noqa: ANN401
        caught.append(output)

    hooks = [stage.register_forward_hook(catch) for stage in stages]
    try:
        with torch.enable_grad():
            vectors: Tensor = backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    large = [each for each in caught if min(each.shape[2:]) >= FEWEST_SIDE]
    return (large or caught[:1])[-1], vectors


def check_rows(rows: list[int], count: int) -> IntArray:
    """Refuse rows that the queries do not have.

    Raises:
        UserError: The first such row, or there are none at all.
    """
    if not rows:
        raise UserError("grad-cam: expected --images with rows of the queries, such as 3,17")
    for row in rows:
        if not 0 <= row < count:
            raise UserError(f"--images: expected rows from 0 to {count - 1}, got {row}")
    return np.array(rows, dtype=np.int64)
