"""A linear map of frozen embeddings: what an MRL head on anybody's vectors learns."""

from torch import Tensor, nn


class adapter(nn.Module):
    """Standardised vectors times a learned matrix; D is the number of outputs.

    Trained under `mrl` on the data set `embeddings`, it orders what a frozen encoder knows so that
    prefixes are good embeddings: minutes on a CPU, to be compared with PCA, which orders by
    variance.

    Args:
        features: Width of the frozen vectors.
        outputs: D; 0 keeps the width.
    """

    def __init__(self, features: int = 2048, outputs: int = 0) -> None:
        super().__init__()
        self.width: int = outputs or features
        self.standardise = nn.BatchNorm1d(features, affine=False)
        self.linear = nn.Linear(features, self.width, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map frozen vectors, (B, features) -> (B, D)."""
        mapped: Tensor = self.linear(self.standardise(vectors))
        return mapped
