"""Normalised discounted cumulative gain."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged


def ndcg(judged: Judged) -> AnyFloatArray:
    """Discount gains by log2(rank + 1) and divide by the best possible order's."""
    discount = 1 / np.log2(np.arange(2, judged.gains.shape[1] + 2))  # (K,)
    best = judged.ideal @ discount  # (Q,)
    scores: AnyFloatArray = judged.gains @ discount / np.where(best > 0, best, 1)
    return np.minimum(scores, 1.0)
