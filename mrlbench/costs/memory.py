"""Bytes that a model needs beside its weights, counted on the meta device."""

from typing import Any

import torch
from torch import Tensor, nn

from mrlbench.costs.inputs import empty_inputs

FLOAT = 4  # bytes


def activation_bytes(module: nn.Module, image_shape: tuple[int, ...]) -> float:
    """Count what a float32 training step keeps for the gradient of one image, in bytes.

    Args:
        module: On the meta device: nothing is computed.
        image_shape: (3, H, W); see `empty_inputs` for others.
    """
    own = {each.untyped_storage()._cdata for each in module.state_dict().values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return saved

    def unpack(saved: Any) -> Any:  # noqa: ANN401 (torch's hooks take anything)
        return saved

    images = empty_inputs(module, image_shape, 2)  # a batch norm needs more than one
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        features = module.train()(images)
    total = sum(storage.nbytes() for storage in kept.values())
    del features
    return total / 2


def largest_features(module: nn.Module, image_shape: tuple[int, ...]) -> float:
    """Find the largest output of a layer for one image, in bytes of float32."""
    sizes = [0]

    def look(_module: nn.Module, _inputs: Any, output: Any) -> None:  # noqa: ANN401 (any layer's)
        if isinstance(output, Tensor):
            sizes.append(output.numel() * FLOAT)

    hooks = [each.register_forward_hook(look) for each in module.modules()]
    with torch.inference_mode():
        module.eval()(empty_inputs(module, image_shape, 1))
    for hook in hooks:
        hook.remove()
    return max(sizes)
