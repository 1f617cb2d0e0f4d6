"""Singular directions of the database's features: the paper's SVD for 1-NN and retrieval."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray
from mrlbench.moments import moments, principal_axes


class svd:
    """Rotate vectors, not centred, onto their right singular directions, the largest first.

    The first d coordinates are the truncated SVD to d (paper, sec. 4.2). They come from the
    eigenvectors of XᵀX, summed over blocks. Not to be mixed up with the SVD of a classifier's
    weight, which is the paper's SVD in linear classification (`svd-classifier`).
    """

    mixes = True

    def fit(self, database: AnyFloatArray) -> None:
        """Find the right singular directions of `database`, (N, D)."""
        _, second = moments(database)
        self._axes = principal_axes(second)  # (D, D)

    def transform(self, vectors: AnyFloatArray) -> FloatArray:
        """Project on the directions, (N, D) -> (N, D)."""
        projected: FloatArray = np.matmul(vectors.astype(np.float32), self._axes, dtype=np.float32)
        return projected
