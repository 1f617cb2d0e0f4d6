"""What is tuned and what is reported never share a query."""

import numpy as np

from mrlbench.arrays import IntArray

TUNING_SHARE = 0.2  # of the queries, as in the paper


def tuning_split(queries: int, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the queries that parameters are chosen on, and those that results are reported on.

    Returns:
        Two sets of rows in order, 20% and 80%; each has at least one when there are two queries.
    """
    order = np.random.default_rng(seed).permutation(queries)
    count = max(1, round(TUNING_SHARE * queries))
    return np.sort(order[:count]), np.sort(order[count:])
