"""Normalised discounted cumulative gain."""

import numpy as np

from mrlbench.arrays import Judged, ScoreArray


def ndcg(judged: Judged) -> ScoreArray:
    """Discount gains by log2(rank + 1) and divide by the best possible order's."""
    discount = 1 / np.log2(np.arange(2, judged.gains.shape[1] + 2))  # (K,)
    best = judged.ideal @ discount  # (Q,)
    scores: ScoreArray = judged.gains @ discount / np.where(best > 0, best, 1)
    return np.minimum(scores, 1.0)
