"""Matryoshka representation learning: one linear head per nested dim."""

from collections.abc import Sequence

from torch import Tensor, nn

from mrlbench.heads import NestedHead


class mrl(NestedHead):
    """One classifier for each nested dim, trained together (paper, sec. 3)."""

    def __init__(
        self, width: int, classes: int, dims: Sequence[int], weights: Sequence[float]
    ) -> None:
        super().__init__(dims, weights)
        self.classifiers = nn.ModuleList(nn.Linear(dim, classes) for dim in dims)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        """Classify every prefix of `embeddings`, (B, D) -> one (B, C) per dim."""
        pairs = zip(self.dims, self.classifiers, strict=True)
        return [classifier(embeddings[:, :dim]) for dim, classifier in pairs]
