"""What the methods share: the weighted sum of the loss at each nested dim."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class NestedHead(nn.Module):
    """Heads over the first m coordinates for every m in `dims`.

    Args:
        dims: M, increasing.
        weights: The paper's c_m, one for each dim.

    Attributes:
        separate: Whether the vectors at each dim come from a network of its own, and are no prefix
            of one vector: each dim then has an embeddings folder of its own.
    """

    separate: ClassVar[bool] = False
    paired: ClassVar[bool] = False

    def __init__(self, dims: Sequence[int], weights: Sequence[float]) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.weights = tuple(weights)

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Make of the model what gives this head its input; it is trained and kept in its place."""
        return backbone

    def alone(self, backbone: nn.Module, dim: int) -> "tuple[nn.Module, NestedHead]":
        """Give the network behind the vectors at one dim, and the head that reads them."""
        return backbone, self

    def loss(self, losses: Tensor) -> Tensor:
        """Sum the weighted cross-entropies over the nested dims (paper, eq. 1).

        Args:
            losses: (len(dims),), the mean cross-entropy at each dim.

        Returns:
            A scalar. With one dim of weight 1 it is ordinary training.
        """
        return losses @ torch.tensor(self.weights, dtype=losses.dtype, device=losses.device)

    def zero_shot(self, images: Tensor, texts: Tensor, classes: Tensor) -> list[Tensor]:
        """Classify by texts of the classes: only what was trained on pairs can."""
        raise NotImplementedError(f"{type(self).__name__} has classifiers of its own")


def cross_entropies(
    logits: Sequence[Tensor], labels: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Compute the mean cross-entropy at each dim.

    Args:
        logits: One (B, C) for each dim.
        labels: (B,).
        label_smoothing: Share of the target spread over all classes.

    Returns:
        (len(logits),).
    """
    stacked = torch.stack(list(logits)).float()  # (M, B, C): one kernel for all dims
    each = nn.functional.cross_entropy(
        stacked.flatten(0, 1),
        labels.repeat(len(stacked)),
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return each.view(len(stacked), -1).mean(dim=1)
