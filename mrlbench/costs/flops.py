"""Multiply–adds of a model; a multiply–add is 1 (the paper's convention)."""

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mrlbench.costs.inputs import empty_inputs


def multiply_adds(module: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Count the multiply–adds of one image through a module on the meta device.

    Args:
        module: On `torch.device("meta")`: nothing is computed.
        image_shape: (3, H, W); see `empty_inputs` for others.
    """
    images = empty_inputs(module, image_shape, 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(images)
    return int(counter.get_total_flops()) // 2  # torch counts 2 for a multiply–add


def multiply_adds_per_second(
    device: torch.device, dtype: torch.dtype = torch.float32, side: int = 1024
) -> float:
    """Time a matrix product: the best within half a second, as other work disturbs the others."""
    matrix = torch.ones(side, side, device=device, dtype=dtype)
    begun, seconds = time.perf_counter(), list[float]()
    while len(seconds) < 2 or time.perf_counter() - begun < 0.5:
        started = time.perf_counter()
        (matrix @ matrix).sum().item()  # waits for the device
        seconds.append(time.perf_counter() - started)
    return float(side) ** 3 / min(seconds)
