"""Precision: the share of results that are relevant."""

import numpy as np

from mrlbench.arrays import Judged, ScoreArray


def precision(judged: Judged) -> ScoreArray:
    """Count relevant results among K, divided by K."""
    scores: ScoreArray = (judged.gains > 0).mean(axis=1, dtype=np.float64)
    return scores
