"""Efficient Matryoshka: one classifier for all nested dims, sliced."""

from collections.abc import Sequence

from torch import Tensor, nn

from mrlbench.heads import NestedHead


class mrl_e(NestedHead):
    """One weight (C, D) and bias; the head at m uses the first m columns (paper, sec. 3)."""

    def __init__(
        self, width: int, classes: int, dims: Sequence[int], weights: Sequence[float]
    ) -> None:
        super().__init__(dims, weights)
        self.classifier = nn.Linear(dims[-1], classes)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        """Classify every prefix of `embeddings`, (B, D) -> one (B, C) per dim.

        A wider head's product is the narrower one's plus a block, so all cost as much as one.
        """
        logits: list[Tensor] = []
        total: Tensor = self.classifier.bias
        start = 0
        for dim in self.dims:
            block = embeddings[:, start:dim]
            total = total + block @ self.classifier.weight[:, start:dim].T
            logits.append(total)
            start = dim
        return logits
