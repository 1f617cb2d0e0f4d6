"""Recall: the share of relevant rows that were found."""

import numpy as np

from mrlbench.arrays import FloatArray, Judged


def recall(judged: Judged) -> FloatArray:
    """Count relevant results among K, divided by how many relevant rows there are."""
    found = (judged.gains > 0).sum(axis=1)  # (Q,)
    scores: FloatArray = (found / np.maximum(judged.relevant, 1)).astype(np.float32)
    return scores
