"""Average precision: precision at each relevant rank, averaged."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged

LABEL = "map"  # the mean over queries


def average_precision(judged: Judged) -> AnyFloatArray:
    """Reward relevant results for coming early; the mean over queries is mAP@K.

    The sum is divided by min(K, relevant), which is the paper's constant K wherever every class has
    at least K rows.
    """
    hits = judged.gains > 0  # (Q, K)
    ranks = np.arange(1, hits.shape[1] + 1)  # (K,)
    precision = np.cumsum(hits, axis=1, dtype=np.float64)  # (Q, K)
    precision /= ranks
    precision *= hits
    earned = precision.sum(axis=1)  # (Q,)
    attainable = np.clip(judged.relevant, 1, hits.shape[1])  # (Q,)
    scores: AnyFloatArray = earned / attainable
    return scores
