"""Reciprocal rank: how soon the first relevant result comes."""

import numpy as np

from mrlbench.arrays import FloatArray, Judged

LABEL = "mrr"  # the mean over queries


def reciprocal_rank(judged: Judged) -> FloatArray:
    """Score 1 / rank of the first relevant result, 0 when there is none among K."""
    hits = judged.gains > 0  # (Q, K)
    scores: FloatArray = np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0)
    return scores.astype(np.float32)
