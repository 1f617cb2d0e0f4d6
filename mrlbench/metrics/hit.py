"""Hit rate: whether anything relevant was found; trec_eval calls it success."""

import numpy as np

from mrlbench.arrays import Judged, ScoreArray


def hit(judged: Judged) -> ScoreArray:
    """Score 1 where any of the K results is relevant, else 0; the mean is hit@K."""
    hits = judged.gains > 0  # (Q, K)
    scores: ScoreArray = hits.max(axis=1).astype(np.float64)
    return scores
