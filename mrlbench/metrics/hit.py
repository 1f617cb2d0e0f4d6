"""Hit rate: whether anything relevant was found; trec_eval calls it success."""

import numpy as np

from mrlbench.arrays import FloatArray, Judged


def hit(judged: Judged) -> FloatArray:
    """Score 1 where any of the K results is relevant, else 0; the mean is hit@K."""
    hits = judged.gains > 0  # (Q, K)
    scores: FloatArray = hits.max(axis=1).astype(np.float32)
    return scores
