"""The first d coordinates, as they are."""

from mrlbench.arrays import AnyFloatArray


class prefix:
    """Keep the coordinates in their order: a Matryoshka prefix, or first-k of any vector."""

    mixes = False

    def fit(self, database: AnyFloatArray) -> None:
        """Learn nothing."""

    def transform(self, vectors: AnyFloatArray) -> AnyFloatArray:
        """Give `vectors`, (N, D), back."""
        return vectors
