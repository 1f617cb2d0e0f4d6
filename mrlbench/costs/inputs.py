"""Inputs of a model on the meta device, to count what it does with them."""

import torch
from torch import Tensor, nn


def empty_inputs(
    module: nn.Module, shape: tuple[int, ...], count: int
) -> Tensor | tuple[Tensor, ...]:
    """Make inputs that hold nothing.

    Args:
        module: A model of text, which has a `vocabulary`, reads integers.
        shape: Of one image, (3, H, W), or vector, (D,); (L, m) of masked text.
        count: B.
    """
    if hasattr(module, "vocabulary"):
        length, masks = shape
        ids, places = (
            torch.empty((count, each), dtype=torch.long, device="meta") for each in (length, masks)
        )
        return ids, places
    return torch.empty((count, *shape), device="meta")
