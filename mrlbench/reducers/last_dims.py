"""The last d coordinates: a control, which a nested vector must lose to its prefix."""

from mrlbench.arrays import AnyFloatArray


class last_dims:
    """Put the coordinates in reverse order, so that the first d are the last d of the vector."""

    mixes = False

    def fit(self, database: AnyFloatArray) -> None:
        """Learn nothing."""

    def transform(self, vectors: AnyFloatArray) -> AnyFloatArray:
        """Reverse coordinates, (N, D) -> (N, D)."""
        return vectors[:, ::-1]
