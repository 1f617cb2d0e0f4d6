"""Coordinates drawn at random."""

import numpy as np

from mrlbench.arrays import AnyFloatArray


class random_dims:
    """Put the coordinates in a random order, so that the first d are d random ones.

    Args:
        seed: Draws the order.
    """

    mixes = False

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, database: AnyFloatArray) -> None:
        """Draw an order for the width of `database`, (N, D)."""
        self._order = np.random.default_rng(self._seed).permutation(database.shape[1])  # (D,)

    def transform(self, vectors: AnyFloatArray) -> AnyFloatArray:
        """Reorder coordinates, (N, D) -> (N, D)."""
        return vectors[:, self._order]
