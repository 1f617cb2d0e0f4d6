"""Principal components, fitted on the database."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray
from mrlbench.moments import moments, principal_axes


class pca:
    """Rotate centred vectors onto their principal axes, so that the first d are the PCA to d.

    The covariance is summed in float64 over blocks, so the database is never in memory whole; its
    eigenvectors come from LAPACK.
    """

    mixes = True

    def fit(self, database: AnyFloatArray) -> None:
        """Find the axes of `database`, (N, D), the widest variance first."""
        mean, second = moments(database)
        self._mean: FloatArray = mean.astype(np.float32)  # (D,)
        self._axes = principal_axes(second - np.outer(mean, mean))  # (D, D)

    def transform(self, vectors: AnyFloatArray) -> FloatArray:
        """Project on the axes, (N, D) -> (N, D)."""
        centred = vectors.astype(np.float32) - self._mean
        projected: FloatArray = np.matmul(centred, self._axes, dtype=np.float32)
        return projected
