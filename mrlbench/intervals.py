"""95% bootstrap intervals over queries, all metrics in one matrix product."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mrlbench.arrays import AnyFloatArray, ByteArray, IntArray

RESAMPLES = 1000
PAIRED_RESAMPLES = 4000  # their intervals reach further into the tails
FEWEST_SEEDS = 3
COUNTS_KEPT = 100 * 2**20  # bytes of resamples that are kept for the next question
ROUNDING = 1e-24  # a product of variances up to this is that of numbers which are all the same
SAME = 1e-12  # numbers that spread no more than this are all the same
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


def studentized_interval(
    scores: AnyFloatArray, bounds: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Interval:
    """Bootstrap the mean over queries in units of each resample's own standard error.

    Where few queries score far below the others, resamples that miss them have a high mean and a
    small error, which is counted here (bootstrap-t: Efron and Tibshirani 1993, chapter 12). Where
    all scores are the same there is nothing to resample: see `constant_interval`.

    Args:
        scores: (Q,).
        bounds: The least and the largest that a score can be.
        seed: Draws the resamples.
    """
    exact = scores.astype(np.float64)
    mean, spread = float(exact.mean()), float(exact.std())
    if spread < SAME:
        return constant_interval(mean, len(exact), bounds)
    both = np.column_stack([exact, np.square(exact - mean)])
    drawn = np.concatenate([w @ both for w in _weights(len(exact), seed, PAIRED_RESAMPLES)])
    shifts = drawn[:, 0] - mean  # (R,)
    spreads = np.sqrt(np.maximum(drawn[:, 1] - np.square(shifts), 0))
    spreads[spreads < SAME] = spread  # all scores of the resample are the same
    low, high = np.quantile(shifts / spreads, (0.025, 0.975))
    return Interval(mean, mean - float(high) * spread, mean - float(low) * spread)


def constant_interval(value: float, queries: int, bounds: tuple[float, float]) -> Interval:
    """Bound the mean of queries of which all that were asked score the same.

    A share p of queries that score lower escapes Q of them with the probability (1 - p)^Q. It is
    at most 1 - 0.025^(1/Q), about 3.7/Q, with 97.5% confidence: the exact bound for a share of
    which nothing was seen (Clopper and Pearson 1934), one side of a 95% interval. In the worst
    case these all score the least that there is. The other side is the same.

    Args:
        value: Of each query.
        queries: Q.
        bounds: The least and the largest that a score can be.
    """
    unseen = 1 - 0.025 ** (1 / queries)
    low, high = (value + unseen * (bound - value) for bound in bounds)
    return Interval(value, low, high)


def paired_intervals(
    differences: AnyFloatArray, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """Bootstrap mean paired differences over queries, and over seeds where there are three.

    The mean over seeds is bootstrapped over queries, each resample the same for every difference.
    From three seeds on, they are drawn anew as well, after widening their spread around the mean
    by √(S/(S-1)), without which so few draws would vary too little. Fewer seeds say nothing about
    how trainings vary: then the interval is about the queries only.

    Args:
        differences: (S, Q, M), for each seed and query M differences.
        level: Of the interval.
        seed: Draws the resamples.

    Returns:
        M mean differences with percentile intervals.
    """
    exact = differences.astype(np.float64)
    seeds, queries, count = exact.shape
    mean = exact.mean(axis=0)  # (Q, M)
    spread = exact.mean(axis=1) - mean.mean(axis=0)  # (S, M)
    random = np.random.default_rng([seed, seeds])
    resampled = np.empty((PAIRED_RESAMPLES, count))
    for place, weights in enumerate(_weights(queries, seed, PAIRED_RESAMPLES)):
        rows = slice(place * RESAMPLES_AT_ONCE, (place + 1) * RESAMPLES_AT_ONCE)
        resampled[rows] = weights @ mean
        if seeds >= FEWEST_SEEDS:
            drawn = random.integers(0, seeds, (RESAMPLES_AT_ONCE, seeds))  # (R, S)
            resampled[rows] += spread[drawn].mean(axis=1) * np.sqrt(seeds / (seeds - 1))
    low, high = np.quantile(resampled, ((1 - level) / 2, (1 + level) / 2), axis=0)
    means = mean.mean(axis=0)
    return [Interval(*map(float, each)) for each in zip(means, low, high, strict=True)]


def ratio_intervals(
    sums: AnyFloatArray | IntArray, counts: AnyFloatArray | IntArray, seed: int = 0
) -> list[tuple[float, float]]:
    """Bootstrap the means of observations of which each query has its own number.

    Args:
        sums: (Q, M), M sums over the observations of each query.
        counts: (Q,), how many observations each query has.
        seed: Draws the resamples.

    Returns:
        M percentile intervals of sums / counts, both totalled over queries.
    """
    both = np.column_stack([sums, counts]).astype(np.float64)  # (Q, M + 1)
    resampled = np.concatenate([w @ both for w in _weights(len(both), seed)])  # (R, M + 1)
    low, high = np.quantile(resampled[:, :-1] / resampled[:, -1:], (0.025, 0.975), axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def correlation_intervals(
    first: AnyFloatArray, second: AnyFloatArray, seed: int = 0
) -> dict[str, Interval]:
    """Bootstrap two correlations of pairs of numbers, (Q,) each.

    Every resample ranks its pairs anew. One in which a side does not vary has no correlation and is
    left out; where that is so of all pairs, value and interval are NaN.

    Returns:
        `spearman` and `pearson`, with percentile intervals.
    """
    sides = [each.astype(np.float64) for each in (first, second)]
    if any(np.ptp(side) == 0 for side in sides):
        return dict.fromkeys(("spearman", "pearson"), Interval(np.nan, np.nan, np.nan))
    standard = [(side - side.mean()) / side.std() for side in sides]
    rankers = [_ranker(side) for side in sides]
    pairs = len(first)
    found = {"spearman": list[AnyFloatArray](), "pearson": list[AnyFloatArray]()}
    for weights in (np.full((1, pairs), 1 / pairs), *_weights(pairs, seed)):
        found["spearman"].append(_correlations(weights, *(rank(weights) for rank in rankers)))
        found["pearson"].append(_correlations(weights, *standard))
    return {name: _first_with_interval(np.concatenate(parts)) for name, parts in found.items()}


def _first_with_interval(values: AnyFloatArray) -> Interval:
    """Take the value of all pairs, and the interval of the resamples behind it, (1 + R,)."""
    low, high = np.nanquantile(values[1:], (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))


def _ranker(values: AnyFloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
    """Prepare to rank values, (Q,), in resamples: weights (R, Q) -> (R, Q), from 0 to 1.

    Equal values share the middle of their places, as in average ranks.
    """
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    order, starts = np.argsort(values, kind="stable"), np.cumsum(sizes) - sizes

    def rank(weights: AnyFloatArray) -> AnyFloatArray:
        tied = np.add.reduceat(weights[:, order], starts, axis=1)  # (R, groups)
        middles: AnyFloatArray = np.cumsum(tied, axis=1) - tied / 2
        return middles[:, group]

    return rank


def _correlations(
    weights: AnyFloatArray, first: AnyFloatArray, second: AnyFloatArray
) -> AnyFloatArray:
    """Take Pearson's correlation in each resample, (R,); NaN where a side does not vary.

    Args:
        weights: (R, Q), rows summing to 1.
        first: (Q,) or (R, Q), of a variance near 1, or of ranks.
        second: Likewise.
    """
    one, other = (
        side - (weights * side).sum(axis=1, keepdims=True) for side in (first, second)
    )  # (R, Q)
    variances = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)  # (R,)
    varies = variances > ROUNDING
    products = (weights * one * other).sum(axis=1)
    return np.where(varies, products / np.sqrt(np.where(varies, variances, 1)), np.nan)


def median_interval(samples: AnyFloatArray, seed: int = 0) -> Interval:
    """Bootstrap the median of repeated measurements, (R,)."""
    random = np.random.default_rng(seed)
    draws = random.integers(0, len(samples), (RESAMPLES, len(samples)))
    low, high = np.quantile(np.median(samples[draws], axis=1), (0.025, 0.975))
    return Interval(float(np.median(samples)), float(low), float(high))


def _weights(queries: int, seed: int, resamples: int = RESAMPLES) -> Iterator[AnyFloatArray]:
    """Draw how much each query counts in each resample, (R, Q) in parts, rows summing to 1."""
    kept = resamples * queries <= COUNTS_KEPT
    parts = _kept_counts(queries, seed, resamples) if kept else _counts(queries, seed, resamples)
    for counts in parts:
        yield counts / queries


@lru_cache(maxsize=2)
def _kept_counts(queries: int, seed: int, resamples: int) -> tuple[ByteArray, ...]:
    """Keep the counts: an evaluation asks for those of the same queries many times."""
    return tuple(_counts(queries, seed, resamples))


def _counts(queries: int, seed: int, resamples: int) -> Iterator[ByteArray]:
    """Draw how often each query is in each resample, (R, Q) in parts."""
    random = np.random.default_rng(seed)
    for _ in range(resamples // RESAMPLES_AT_ONCE):
        draws = random.integers(0, queries, (RESAMPLES_AT_ONCE, queries))
        draws += np.arange(RESAMPLES_AT_ONCE)[:, None] * queries
        counts = np.bincount(draws.ravel(), minlength=RESAMPLES_AT_ONCE * queries)
        # one draw in Q, Q times: more than 255 of the same happen to nobody
        yield counts.reshape(RESAMPLES_AT_ONCE, queries).astype(np.uint8)
