"""Thresholds found together: the least expected dim at a target accuracy.

The paper learns its pairs apart, so its cascade lands where it lands. Here all thresholds are
chosen for one goal: the smallest mean final dim among those that reach the target on the tuning
queries. Trying all has G^(M-1) cases; this search goes down by coordinates:

1. For each price of a dim, from free to dear, passes from the widest pair to the narrowest set
   each threshold to the one with the most right answers less price x dims, the others held, until
   nothing changes. Each price starts from what the last one found. Every setting on the way is
   remembered.
2. Of those that reach the target, the one with the smallest expected dim is taken, and more passes
   lower its dims, never going below the target, now choosing each threshold together with the next
   one (G x G cases), until nothing changes.

With up to three heads the result is the best there is; with more it is a local optimum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.cascade.confidence import Float64
from mrlbench.cascade.thresholds import above, first_sure

PRICES = (0.0, *np.geomspace(1e-4, 10, 20))  # right answers that one widest dim costs
PASSES = 20  # more than were ever needed; it only stops a cycle between equals


@dataclass(frozen=True)
class Setting:
    """Thresholds with what they give on the tuning queries.

    Attributes:
        thresholds: (M - 1,) places in the grid.
        hits: Right answers.
        dims: The sum of the final dims.
    """

    thresholds: IntArray
    hits: float
    dims: float


# Picks among choices by their hits and dims, any shape; gives a flat place
Choose = Callable[[Float64, Float64], int]


class JointSearch:
    """The tuning queries of one split, and the settings seen on them.

    Args:
        place: (T, M) from `places`.
        right: (T, M).
        dims: (M,), increasing.
        count: G.
    """

    def __init__(self, place: IntArray, right: BoolArray, dims: Sequence[int], count: int) -> None:
        self._by_query, self._place, self._count = place, np.ascontiguousarray(place.T), count
        hits = right.T.astype(np.float64)  # (M, T)
        widths = np.broadcast_to(np.array(dims, dtype=np.float64)[:, None], hits.shape)
        self._answers = np.stack([hits, widths])  # (2, M, T): hit, dim
        self._widest = float(dims[-1])
        self._seen = self._explore()

    def thresholds(self, target: float) -> IntArray:
        """Minimise the expected dim subject to a tuning accuracy of at least `target`.

        Returns:
            (M - 1,) places in the grid; where no setting seen reaches the target, the most
            accurate one.
        """
        needed = target * len(self._by_query) - 1e-9  # 0.7 x 10 is a little more than 7
        good = [each for each in self._seen if each.hits >= needed]
        if not good:
            return max(self._seen, key=lambda each: (each.hits, -each.dims)).thresholds

        def least(hits: Float64, dims: Float64) -> int:
            return int(np.where(hits >= needed, dims, np.inf).argmin())

        by_two = self._pass_by_two if len(self._place) > 2 else self._pass
        best = min(good, key=lambda each: each.dims)
        return _settle(best, partial(by_two, choose=least))[-1].thresholds

    def _explore(self) -> list[Setting]:
        """Go from the most accurate setting to the cheapest one."""
        seen = [Setting(np.full(len(self._place) - 1, self._count - 1), -np.inf, np.inf)]
        for price in PRICES:

            def best(hits: Float64, dims: Float64, price: float = price / self._widest) -> int:
                return int((hits - price * dims).argmax())

            seen += _settle(seen[-1], partial(self._pass, choose=best))
        return seen[1:]

    def _pass(self, thresholds: IntArray, choose: Choose) -> Setting:
        """Choose each threshold anew, from the widest pair down, the others held."""
        chosen, first = thresholds.copy(), first_sure(self._by_query, thresholds)
        stopped = self._stopped(first)  # (2, M)
        rest = self._answers[:, -1].copy()  # (2, T): what a query that goes on ends with
        for head in range(len(thresholds) - 1, -1, -1):
            rows = first >= head  # (T,); the others stop earlier, whatever is chosen here
            hits, dims = (
                after[rows].sum() + above(self._place[head, rows], (own - after)[rows], self._count)
                for own, after in zip(self._answers[:, head], rest, strict=True)
            )  # (G,) each
            chosen[head] = choose(hits + stopped[0, head], dims + stopped[1, head])
            self._decide(head, chosen, rest)
        return Setting(chosen, *map(float, rest.sum(axis=1)))

    def _pass_by_two(self, thresholds: IntArray, choose: Choose) -> Setting:
        """Choose each threshold anew together with the next, from the widest two down."""
        chosen, first = thresholds.copy(), first_sure(self._by_query, thresholds)
        stopped = self._stopped(first)  # (2, M)
        rest = self._answers[:, -1].copy()  # (2, T)
        for head in range(len(thresholds) - 2, -1, -1):
            rows = first >= head  # (T,)
            own, following = self._answers[:, head, rows], self._answers[:, head + 1, rows]
            hits, dims = (
                self._sums_by_two(head, rows, each)
                for each in zip(own, following, rest[:, rows], strict=True)
            )  # (G, G) each
            best = choose(hits + stopped[0, head], dims + stopped[1, head])
            chosen[head : head + 2] = divmod(best, self._count)
            self._decide(head + 1, chosen, rest)
        self._decide(0, chosen, rest)
        return Setting(chosen, *map(float, rest.sum(axis=1)))

    def _sums_by_two(
        self, head: int, rows: BoolArray, values: tuple[Float64, Float64, Float64]
    ) -> Float64:
        """Sum what queries end with, for every threshold of a head and of the next.

        Args:
            head: The narrower of the two.
            rows: (T,) the queries that reach it, n of them.
            values: What they get from this head, from the next and from going on, (n,) each.
        """
        own, following, after = values
        place, count = self._place[head, rows], self._count
        cells = place * (count + 1) + self._place[head + 1, rows]  # (n,)
        gains = np.bincount(cells, following - after, (count + 1) ** 2)
        gains = gains.reshape(count + 1, count + 1).cumsum(axis=0)  # not sure at the first head
        kept_there = gains[:count, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # (G, G), sure at the next
        sums: Float64 = kept_there + (after.sum() + above(place, own - after, count))[:, None]
        return sums

    def _stopped(self, first: IntArray) -> Float64:
        """Sum hits and dims of the queries that end before each head, (2, M)."""
        ends = self._answers[:, first, np.arange(len(first))]  # (2, T)
        heads = len(self._place)
        at = np.stack([np.bincount(first, each, heads) for each in ends])  # (2, M)
        return at.cumsum(axis=1) - at

    def _decide(self, head: int, chosen: IntArray, rest: Float64) -> None:
        """Let the queries that are sure at a head end there, in `rest`, (2, T)."""
        kept = self._place[head] > chosen[head]
        np.copyto(rest, self._answers[:, head], where=kept)


def _settle(start: Setting, step: Callable[[IntArray], Setting]) -> list[Setting]:
    """Repeat a pass until nothing changes; gives the setting after each."""
    settings = [start]
    for _ in range(PASSES):
        settings.append(step(settings[-1].thresholds))
        if (settings[-1].thresholds == settings[-2].thresholds).all():
            break
    return settings[1:]
