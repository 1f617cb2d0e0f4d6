"""Precision: the share of results that are relevant."""

import numpy as np

from mrlbench.arrays import FloatArray, Judged


def precision(judged: Judged) -> FloatArray:
    """Count relevant results among K, divided by K."""
    scores: FloatArray = (judged.gains > 0).mean(axis=1, dtype=np.float32)
    return scores
