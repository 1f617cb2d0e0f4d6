"""95% bootstrap intervals over queries, all metrics in one matrix product."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mrlbench.arrays import AnyFloatArray

RESAMPLES = 1000
RESAMPLES_AT_ONCE = 50  # (50, Q) of float64 is 20 MB for 50,000 queries


class Interval(NamedTuple):
    """A mean or a median with its 95% interval."""

    value: float
    low: float
    high: float


def mean_intervals(scores: AnyFloatArray, seed: int = 0) -> list[Interval]:
    """Bootstrap the mean over queries of several scores with the same resamples.

    Args:
        scores: (Q, M), M numbers for each query.
        seed: Draws the resamples.

    Returns:
        M means with percentile intervals.
    """
    exact = scores.astype(np.float64)  # a float32 mean of ones can be 1.0000001
    resampled = np.concatenate([w @ exact for w in _weights(len(scores), seed)])  # (R, M)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    means = exact.mean(axis=0)
    return [Interval(*map(float, each)) for each in zip(means, low, high, strict=True)]


def median_interval(samples: AnyFloatArray, seed: int = 0) -> Interval:
    """Bootstrap the median of repeated measurements, (R,)."""
    random = np.random.default_rng(seed)
    draws = random.integers(0, len(samples), (RESAMPLES, len(samples)))
    low, high = np.quantile(np.median(samples[draws], axis=1), (0.025, 0.975))
    return Interval(float(np.median(samples)), float(low), float(high))


def _weights(queries: int, seed: int) -> Iterator[AnyFloatArray]:
    """Draw how much each query counts in each resample, (R, Q) in parts, rows summing to 1."""
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES // RESAMPLES_AT_ONCE):
        draws = random.integers(0, queries, (RESAMPLES_AT_ONCE, queries))
        draws += np.arange(RESAMPLES_AT_ONCE)[:, None] * queries
        counts = np.bincount(draws.ravel(), minlength=RESAMPLES_AT_ONCE * queries)
        yield counts.reshape(RESAMPLES_AT_ONCE, queries) / queries
