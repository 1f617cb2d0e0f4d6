"""Principal components, fitted on the database."""

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray, FloatArray, blocks

BLOCK = 8192  # rows; 64 MB at 2048 dims


class pca:
    """Rotate centred vectors onto their principal axes, so that the first d are the PCA to d.

    The covariance is summed in float64 over blocks, so the database is never in memory whole; its
    eigenvectors come from LAPACK.
    """

    def fit(self, database: AnyFloatArray) -> None:
        """Find the axes of `database`, (N, D), the widest variance first."""
        count, width = database.shape
        total, products = np.zeros(width), np.zeros((width, width))
        for rows in blocks(count, BLOCK):
            block: FloatArray = np.asarray(database[rows], dtype=np.float32)
            total += block.sum(axis=0, dtype=np.float64)
            products += block.T @ block  # float32 within a block, float64 between blocks
        mean: NDArray[np.float64] = total / count
        _, axes = np.linalg.eigh(products / count - np.outer(mean, mean))
        self._mean: FloatArray = mean.astype(np.float32)  # (D,)
        self._axes: FloatArray = np.ascontiguousarray(axes[:, ::-1].astype(np.float32))  # (D, D)

    def transform(self, vectors: AnyFloatArray) -> FloatArray:
        """Project on the axes, (N, D) -> (N, D)."""
        centred = vectors.astype(np.float32) - self._mean
        projected: FloatArray = np.matmul(centred, self._axes, dtype=np.float32)
        return projected
