"""The recall of the paper's code, which divides by a constant."""

import numpy as np

from mrlbench.arrays import AnyFloatArray, Judged

LARGEST_CLASS = 1300  # ImageNet-1K's; the authors' code divides by it for every data set


def recall_per_1300(judged: Judged) -> AnyFloatArray:
    """Count relevant results among K, divided by 1300; only for comparison with the paper."""
    found = (judged.gains > 0).sum(axis=1)  # (Q,)
    scores: AnyFloatArray = np.minimum(found, LARGEST_CLASS) / LARGEST_CLASS
    return scores
