"""Timing: warm-up outside the clock, repeats, the median with its interval."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import AnyFloatArray
from mrlbench.intervals import Interval, median_interval

SINGLE_QUERIES = 200  # timed one at a time, in each repeat
Search = Callable[[slice], object]  # of some rows of the queries


@dataclass(frozen=True)
class Latency:
    """How long queries took.

    Attributes:
        per_query: (repeats,) seconds per query: of a batch its time over its size, of single
            queries the median.
        singles: (repeats, queries) seconds of each single query; None for batches.
    """

    per_query: AnyFloatArray
    singles: AnyFloatArray | None = None

    def numbers(self) -> dict[str, Interval]:
        """Give what goes into the CSV: microseconds, and queries per second."""
        median = median_interval(self.per_query)
        microseconds = Interval(*(1e6 * value for value in median))
        best = 1e6 * float(self.per_query.min())
        numbers = {
            "us_per_query": microseconds,
            "best_us_per_query": Interval(best, best, best),
            "qps": Interval(1 / median.value, 1 / median.high, 1 / median.low),
        }
        if self.singles is None:
            return numbers
        for percent in (50, 95, 99):
            each = np.percentile(self.singles, percent, axis=1)  # (repeats,)
            spread = median_interval(each)
            numbers[f"p{percent}_us"] = Interval(*(1e6 * value for value in spread))
        return numbers


def time_batch(search: Search, queries: int, repeats: int) -> Latency:
    """Time the first `queries` as one call; one call before is not counted."""
    rows = slice(queries)
    search(rows)
    return Latency(np.array([_seconds(search, rows) for _ in range(repeats)]) / queries)


def time_single(search: Search, queries: int, repeats: int) -> Latency:
    """Time queries one at a time, 200 at most; one round before is not counted."""
    ones = [slice(row, row + 1) for row in range(min(SINGLE_QUERIES, queries))]
    rounds = [[_seconds(search, one) for one in ones] for _ in range(repeats + 1)]
    singles = np.array(rounds[1:])  # (repeats, queries)
    return Latency(np.median(singles, axis=1), singles)


def interleaved_ratio(
    slow: Callable[[], object], fast: Callable[[], object], repeats: int
) -> Interval:
    """Time two things in turn and give the median of slow / fast over the pairs.

    A shared machine's speed drifts by a third; a pair is measured within moments.
    """
    slow()
    fast()
    ratios = []
    for _ in range(repeats):
        first, second = _seconds(lambda _: slow(), None), _seconds(lambda _: fast(), None)
        ratios.append(first / second)
    return median_interval(np.array(ratios))


def _seconds(call: Callable[..., object], argument: object) -> float:
    started = time.perf_counter()
    call(argument)
    return time.perf_counter() - started
