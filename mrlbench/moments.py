"""Sums over rows that never are in memory whole, and the axes that follow from them."""

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray, FloatArray, blocks

BLOCK = 8192  # rows; 64 MB at 2048 dims


def moments(vectors: AnyFloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the rows, and their outer products.

    Args:
        vectors: (N, D), read once in blocks.

    Returns:
        The mean, (D,), and the uncentred second moment XᵀX/N, (D, D).
    """
    count, width = vectors.shape
    total, products = np.zeros(width), np.zeros((width, width))
    for rows in blocks(count, BLOCK):
        block: FloatArray = np.asarray(vectors[rows], dtype=np.float32)
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block  # float32 within a block, float64 between blocks
    return total / count, products / count


def principal_axes(matrix: NDArray[np.float64]) -> FloatArray:
    """Find the eigenvectors of a symmetric matrix, (D, D) -> columns (D, D), the largest first."""
    _, axes = np.linalg.eigh(matrix)
    return np.ascontiguousarray(axes[:, ::-1].astype(np.float32))
