"""Random directions: what a projection keeps that learns nothing (Johnson–Lindenstrauss)."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray


class random_projection:
    """Project on random directions, so that the first d are a random projection to d.

    Inner products and squared lengths of the first d coordinates are on average d/D times those of
    the whole vectors (Johnson & Lindenstrauss 1984); cosines need no scale.

    Args:
        orthonormal: Rotate at random, so that all D coordinates keep every distance; otherwise each
            entry is drawn from a normal distribution of variance 1/D.
        seed: Draws the directions.
    """

    mixes = True

    def __init__(self, orthonormal: bool = True, seed: int = 0) -> None:
        self._orthonormal, self._seed = orthonormal, seed

    def fit(self, database: AnyFloatArray) -> None:
        """Draw directions for the width of `database`, (N, D)."""
        width = database.shape[1]
        drawn = np.random.default_rng(self._seed).standard_normal((width, width))
        if self._orthonormal:
            rotation, triangle = np.linalg.qr(drawn)
            drawn = rotation * np.sign(np.diag(triangle))  # with these signs all are as likely
        else:
            drawn /= np.sqrt(width)
        self._directions: FloatArray = drawn.astype(np.float32)  # (D, D)

    def transform(self, vectors: AnyFloatArray) -> FloatArray:
        """Project on the directions, (N, D) -> (N, D)."""
        plain = vectors.astype(np.float32)
        projected: FloatArray = np.matmul(plain, self._directions, dtype=np.float32)
        return projected
