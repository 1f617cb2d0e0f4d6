"""Pareto fronts: the searches that no other one beats in quality and cost at once."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from mrlbench.arrays import AnyFloatArray, BoolArray
from mrlbench.measurements import Row, to_rows

PARETO = "pareto_"  # a row of it is 1 on the front and 0 behind it
# name of a front -> metric of quality, to which `@k` is added; of cost; whether less is better
FRONTS = {
    "recall_by_qps": ("recall_full", "qps", False),
    "map_by_time": ("map", "us_per_query", True),
    "map_by_bytes": ("map", "bytes", True),
    "recall_by_bytes": ("recall_full", "bytes", True),
}
CELLS = ["index", "dim", "effort", "rerank_dims", "shortlist"]  # tell searches apart
COMPARED = ["queries", "method", "seed", "threads", "k"]  # searches with these in common


def pareto_front(quality: AnyFloatArray, cost: AnyFloatArray) -> BoolArray:
    """Tell which points no other one beats: at least as good and no dearer, and not the same.

    Args:
        quality: (P,), more is better.
        cost: (P,), less is better.

    Returns:
        (P,); of equal points all or none.
    """
    order = np.lexsort((-quality, cost))  # cheapest first, of equal cost the best first
    best = np.maximum.accumulate(quality[order])  # (P,)
    cheaper = np.searchsorted(cost[order], cost, side="left")  # how many cost less
    best_cheaper = np.concatenate([[-np.inf], best])[cheaper]
    upto = np.searchsorted(cost[order], cost, side="right") - 1
    front: BoolArray = (quality > best_cheaper) & (quality == best[upto])
    return front


def points(table: pd.DataFrame, front: str, mode: str | None) -> pd.DataFrame:
    """Put quality and cost of each search side by side, with whether it is on the front.

    Args:
        table: Rows of a grid.
        front: One of `FRONTS`.
        mode: Of the timings, `batch` or `single`; None for bytes.

    Returns:
        The rows of the cost, with columns `cost`, `front`, `quality` and the interval's
        `quality_low` and `quality_high`.
    """
    metric, cost, less = FRONTS[front]
    is_mode = table["mode"].isna() if mode is None else table["mode"] == mode
    costs = table[(table["metric"] == cost) & is_mode & table["k"].notna()]
    good = table[table["metric"] == metric + "@" + table["k"].astype("string")]
    keys = [*COMPARED, *CELLS]
    names = {"value": "quality", "ci_low": "quality_low", "ci_high": "quality_high"}
    joined = costs.merge(good[[*keys, *names]].rename(columns=names), on=keys)
    joined = joined.assign(cost=joined["value"])
    marks = pd.Series(False, index=joined.index)
    for _, some in joined.groupby(COMPARED, dropna=False):
        sign = 1 if less else -1
        marks[some.index] = pareto_front(some["quality"].to_numpy(), sign * some["cost"].to_numpy())
    return joined.assign(front=marks)


def front_rows(table: pd.DataFrame) -> list[Row]:
    """Mark every search of a grid on every front: 1 on it, 0 behind it."""
    return [row for front in FRONTS for mode in modes(front) for row in _marks(table, front, mode)]


def modes(front: str) -> tuple[str | None, ...]:
    """List the modes that a front is told in: bytes have none."""
    return (None,) if FRONTS[front][1] == "bytes" else ("batch", "single")


def _marks(table: pd.DataFrame, front: str, mode: str | None) -> Iterator[Row]:
    found = points(table, front, mode)
    for row, on_it in zip(to_rows(found), found["front"], strict=True):
        name = f"{PARETO}{front}@{row.k}"
        yield replace(row, metric=name, value=float(on_it), ci_low=None, ci_high=None, n=None)
