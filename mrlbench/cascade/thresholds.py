"""The paper's thresholds: for each pair of neighbouring heads, when to keep the narrow one."""

import numpy as np

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.cascade.confidence import Float64


def places(confidence: Float64, grid: Float64) -> IntArray:
    """Count the thresholds that each confidence is above, strictly.

    `confidence > grid[j]` is the same as `places > j`, with no rounding left to differ.

    Args:
        confidence: (Q, M).
        grid: (G,), increasing.

    Returns:
        (Q, M), from 0 to G.
    """
    found: IntArray = np.searchsorted(grid, confidence, side="left").astype(np.int64)
    return found


def pairwise_thresholds(place: IntArray, right: BoolArray, count: int) -> IntArray:
    """Learn each pair's threshold independently of the others (paper, sec. 4.2.1).

    For each pair it is the smallest that gives the best accuracy of "keep the narrow head if it
    is surer than the threshold, else take the wider one" on all tuning queries.

    Args:
        place: (T, M), from `places`, of the tuning queries.
        right: (T, M), whether each head is right.
        count: G.

    Returns:
        (M - 1,) places in the grid.
    """
    pairs = range(right.shape[1] - 1)
    return np.array(
        [above(place[:, i], _gain(right, i), count).argmax() for i in pairs], dtype=np.int64
    )


def above(place: IntArray, values: Float64, count: int) -> Float64:
    """Sum the values of the queries that are surer than each threshold.

    Args:
        place: (T,), from `places`.
        values: (T,); whole numbers below 2^53 are summed without rounding.
        count: G.

    Returns:
        (G,): at j the sum of the values where place > j.
    """
    at = np.bincount(place, weights=values, minlength=count + 1)  # (G + 1,)
    sums: Float64 = at[::-1].cumsum()[::-1][1:]
    return sums


def _gain(right: BoolArray, head: int) -> Float64:
    """What keeping a head instead of the next gains: 1, 0 or -1 right answers, (T,)."""
    gain: Float64 = right[:, head].astype(np.float64) - right[:, head + 1]
    return gain


def first_sure(place: IntArray, thresholds: IntArray) -> IntArray:
    """Go up from the narrowest head until one is surer than its threshold.

    Args:
        place: (Q, M).
        thresholds: (M - 1,) places in the grid.

    Returns:
        (Q,) the head that answers; M - 1 where none is sure, for the last always answers. When
        only the heads up to m may be used, it is min(this, m).
    """
    sure = place[:, :-1] > thresholds  # (Q, M - 1)
    return np.where(sure.any(axis=1), sure.argmax(axis=1), len(thresholds)).astype(np.int64)
