"""Precision: the share of results that are relevant."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged


def precision(judged: Judged) -> AnyFloatArray:
    """Count relevant results among K, divided by K."""
    scores: AnyFloatArray = (judged.gains > 0).mean(axis=1, dtype=np.float64)
    return scores
