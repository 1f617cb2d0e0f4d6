"""Top-k: whether any of the k nearest is relevant; top-1 is 1-NN accuracy."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged

LABEL = "top{k}"


def top(judged: Judged) -> AnyFloatArray:
    """Score 1 where any result is relevant, else 0."""
    best = judged.gains.max(axis=1)  # (Q,)
    scores: AnyFloatArray = (best > 0).astype(np.float64)
    return scores
