"""What several processes must do to train as one would: batch norms and gradients of them all."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as processes
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def begin_alike(modules: Iterable[nn.Module]) -> None:
    """Give every process the weights of the first: another processor may draw others."""
    for module in modules:
        for tensor in module.state_dict().values():
            processes.broadcast(tensor, src=0)


def share_batch_norms(backbone: nn.Module) -> None:
    """Let each batch norm see the batches of all processes.

    torch's `SyncBatchNorm` does so on GPUs only, and is no `BatchNorm2d` to those who look for one.
    """
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_normalise, module)  # type: ignore[method-assign]


def sum_gradients(modules: Iterable[nn.Module]) -> None:
    """Add up the gradients of all processes; each has weighed its own by its share of the batch."""
    gradients = [p.grad for each in modules for p in each.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    processes.all_reduce(flat)
    pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))


def _normalise(norm: _BatchNorm, features: Tensor) -> Tensor:
    """Normalise features, (B, C, …), by mean and variance over the rows of all processes."""
    if not norm.training:
        return type(norm).forward(norm, features)
    axes = [axis for axis in range(features.ndim) if axis != 1]
    spread = [-1 if axis == 1 else 1 for axis in range(features.ndim)]
    wide = features.float()
    rows = wide.new_tensor([features.numel() / features.shape[1]])
    sums = _over_all(torch.cat([wide.sum(axes), rows]))  # (C + 1,)
    mean, count = sums[:-1] / sums[-1], sums[-1]
    centred = wide - mean.view(spread)
    variance = _over_all(centred.square().sum(axes)) / count
    _remember(norm, mean.detach(), variance.detach() * count / (count - 1))
    normal = centred * torch.rsqrt(variance + norm.eps).view(spread)
    if norm.affine:
        normal = normal * norm.weight.view(spread) + norm.bias.view(spread)
    return normal.to(features.dtype)


def _remember(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as torch's batch norm does."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance, norm.momentum)


class _Sum(torch.autograd.Function):
    """A sum over the processes; so is its gradient, for every process's loss depends on it."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:  # noqa: ANN401
        total = values.clone()
        processes.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _Sum.forward(context, gradient.contiguous())


def _over_all(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total
