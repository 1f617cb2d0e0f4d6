"""A slimmable network: narrower networks within one, trained together; a baseline of the paper."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from mrlbench.heads import NestedHead
from mrlbench.slimming import AtWidth, SlimmableNetwork


class slimmable(NestedHead):
    """The whole network at the width of each dim, with one shared head, sliced (paper, table 1).

    The vector at dim d is the output of the network of width d/D: a network of its own, which
    costs less to run, and no prefix of the full-width vector.
    """

    separate = True

    def __init__(
        self, width: int, classes: int, dims: Sequence[int], weights: Sequence[float]
    ) -> None:
        super().__init__(dims, weights)
        self.classifier = nn.Linear(width, classes)

    def adapt(self, backbone: nn.Module) -> SlimmableNetwork:
        """Make the model run at every width."""
        return SlimmableNetwork(backbone, self.dims)

    def alone(self, backbone: nn.Module, dim: int) -> tuple[nn.Module, NestedHead]:
        """Give the network of one width and the part of the head that reads it."""
        if not isinstance(backbone, SlimmableNetwork):
            raise TypeError(f"expected what `adapt` made, got a {type(backbone).__name__}")
        return AtWidth(backbone, dim), _OneWidth(self, dim)

    def forward(self, embeddings: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Classify the vectors of each width, (B, d) each -> one (B, C) per dim.

        A tensor, (B, D), stands for its prefixes.
        """
        if isinstance(embeddings, Tensor):
            embeddings = [embeddings[:, :dim] for dim in self.dims]
        return [self.classify(each) for each in embeddings]

    def classify(self, vectors: Tensor) -> Tensor:
        """Classify vectors with the first columns of the weight, (B, d) -> (B, C)."""
        weight = self.classifier.weight[:, : vectors.shape[1]]
        return functional.linear(vectors, weight, self.classifier.bias)


class _OneWidth(NestedHead):
    """The shared head, of the vectors of one width."""

    def __init__(self, shared: slimmable, dim: int) -> None:
        super().__init__([dim], [1.0])
        self._shared = shared

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        return [self._shared.classify(embeddings)]
