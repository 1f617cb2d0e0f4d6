"""Reciprocal rank: how soon the first relevant result comes."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged

LABEL = "mrr"  # the mean over queries


def reciprocal_rank(judged: Judged) -> AnyFloatArray:
    """Score 1 / rank of the first relevant result, 0 when there is none among K."""
    hits = judged.gains > 0  # (Q, K)
    scores: AnyFloatArray = np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0)
    return scores
