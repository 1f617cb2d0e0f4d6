"""Hit rate: whether anything relevant was found; trec_eval calls it success."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged


def hit(judged: Judged) -> AnyFloatArray:
    """Score 1 where any of the K results is relevant, else 0; the mean is hit@K."""
    hits = judged.gains > 0  # (Q, K)
    scores: AnyFloatArray = hits.max(axis=1).astype(np.float64)
    return scores
