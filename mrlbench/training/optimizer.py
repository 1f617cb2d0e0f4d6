"""Which parameters are trained, and by what."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from mrlbench.experiment import Training


def freeze(backbone: nn.Module, unfreeze: Sequence[str] | None) -> None:
    """Fix every parameter that is not in one of the named modules; None leaves all free."""
    if unfreeze is None:
        return
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad = any(name.startswith(f"{module}.") for module in unfreeze)


def make_optimizer(modules: Iterable[nn.Module], training: Training) -> torch.optim.Optimizer:
    """SGD or AdamW; norms (paper, app. C) and a learned temperature are not decayed."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for module in modules:
        for child in module.modules():
            for parameter in child.parameters(recurse=False):
                is_free = isinstance(child, (nn.BatchNorm2d, nn.LayerNorm)) or parameter.ndim == 0
                (free if is_free else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": training.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    rate, momentum = training.learning_rate, training.momentum
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=True)
