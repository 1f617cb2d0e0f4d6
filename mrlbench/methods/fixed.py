"""A separate model for one fixed width: the paper's FF baseline."""

from collections.abc import Sequence

from torch import Tensor, nn

from mrlbench.heads import NestedHead


class fixed(NestedHead):
    """One classifier on the first `dim` pooled features, no bottleneck layer (paper, app. C)."""

    def __init__(
        self, width: int, classes: int, dims: Sequence[int], weights: Sequence[float], dim: int
    ) -> None:
        super().__init__([dim], [1.0])
        self.classifier = nn.Linear(dim, classes)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        """Classify the first `dim` coordinates, (B, D) -> one (B, C)."""
        return [self.classifier(embeddings[:, : self.dims[0]])]
