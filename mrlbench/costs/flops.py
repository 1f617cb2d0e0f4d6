"""Multiply–adds of a model; a multiply–add is 1 (the paper's convention)."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(module: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Count the multiply–adds of one image through a module on the meta device.

    Args:
        module: On `torch.device("meta")`: nothing is computed.
        image_shape: (3, H, W).
    """
    images = torch.empty((1, *image_shape), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(images)
    return int(counter.get_total_flops()) // 2  # torch counts 2 for a multiply–add
