"""Top-k: whether any of the k nearest is relevant; top-1 is 1-NN accuracy."""

import numpy as np

from mrlbench.arrays import FloatArray, Judged

LABEL = "top{k}"


def top(judged: Judged) -> FloatArray:
    """Score 1 where any result is relevant, else 0."""
    best = judged.gains.max(axis=1)  # (Q,)
    scores: FloatArray = (best > 0).astype(np.float32)
    return scores
