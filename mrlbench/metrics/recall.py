"""Recall: the share of relevant rows that were found."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged


def recall(judged: Judged) -> AnyFloatArray:
    """Count relevant results among K, divided by how many relevant rows there are."""
    found = (judged.gains > 0).sum(axis=1)  # (Q,)
    scores: AnyFloatArray = found / np.maximum(judged.relevant, 1)
    return scores
