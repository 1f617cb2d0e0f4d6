"""Temperature calibration: one number for each head, fitted on the tuning queries."""

from collections.abc import Callable

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.cascade.confidence import Float64

GRID: Float64 = 2 ** (np.arange(-24, 25) / 8)  # 1/8 to 8, steps of 9%
START = 24  # a temperature of 1


def fit_temperature(losses: Callable[[int], Float64], tuning: IntArray) -> int:
    """Find the temperature on the grid with the least negative log-likelihood on some queries.

    The loss is convex in 1 / temperature, so that the first temperature that is better than both
    neighbours is the best of all; only those on the way from 1 are looked at.

    Args:
        losses: Gives -log p(label) of all queries, (Q,), at a place in the grid.
        tuning: (T,) rows to fit on.

    Returns:
        The place in the grid.
    """

    def loss(place: int) -> float:
        inside = 0 <= place < len(GRID)
        return float(losses(place)[tuning].mean()) if inside else float("inf")

    best = START
    for step in (-1, 1):
        while loss(best + step) < loss(best):
            best += step
    return best
