"""A cascade over many splits: thresholds from the tuning part, answers on the other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrlbench.arrays import AnyFloatArray, BoolArray, IntArray
from mrlbench.cascade.confidence import Float64
from mrlbench.cascade.thresholds import first_sure, places
from mrlbench.splits import tuning_split

SPLITS = 30  # as in the paper, sec. 4.2.1

# (T, M) places in the grid and (T, M) right answers of the tuning queries -> (M - 1,) thresholds
# as places, for each of V goals
Learn = Callable[[IntArray, BoolArray], Sequence[IntArray]]


class SplitRows(NamedTuple):
    """The rows that thresholds are learned on, (T,), and those that are reported on, (R,)."""

    tuning: IntArray
    reporting: IntArray


def draw_splits(queries: int, count: int = SPLITS) -> list[SplitRows]:
    """Draw random splits, 20% and 80%, one for each seed from 0."""
    return [SplitRows(*tuning_split(queries, seed)) for seed in range(count)]


@dataclass(frozen=True)
class Outcome:
    """What a cascade did over the splits, for every widest head m that it may use.

    Attributes:
        thresholds: (S, M - 1).
        ends: (Q, M), in how many of the splits that report on a query head i was the first sure
            one. With heads up to m only, that query ends at min(i, m).
        right: (Q, M), whether each head is right.
        split_ends: (S, M), how many queries each head was the first sure one of.
        split_hits: (S, M), the right answers with heads up to m.
    """

    thresholds: Float64
    ends: IntArray
    right: BoolArray
    split_ends: IntArray
    split_hits: IntArray

    def accuracy(self) -> Float64:
        """Give the accuracy of each split with heads up to m, (S, M)."""
        accuracy: Float64 = self.split_hits / self.split_ends.sum(axis=1, keepdims=True)
        return accuracy

    def expected(self, costs: AnyFloatArray | IntArray) -> Float64:
        """Average a cost of the final head, (M,), over the queries of each split, (S, M)."""
        sums = self.split_ends @ up_to(costs)  # (S, M)
        expected: Float64 = sums / self.split_ends.sum(axis=1, keepdims=True)
        return expected

    def hits(self) -> IntArray:
        """Count for each query the splits in which it is answered rightly, (Q, M)."""
        final = _final(self.right.shape[1])  # (M, M): by first sure head and m
        return np.stack(
            [(self.ends * self.right[:, final[:, m]]).sum(axis=1) for m in range(len(final))],
            axis=1,
        )


def up_to(costs: AnyFloatArray | IntArray) -> AnyFloatArray | IntArray:
    """Spread a cost of each head, (M,), over first sure heads and widest heads, (M, M)."""
    return costs[_final(len(costs))]


def run_splits(
    confidences: Iterable[Float64],
    right: BoolArray,
    grid: Float64,
    learn: Learn,
    splits: Sequence[SplitRows],
) -> list[Outcome]:
    """Learn thresholds on the tuning part of each split, and answer the others with them.

    Args:
        confidences: Of each split, how sure each head is of all queries, (Q, M).
        right: (Q, M).
        grid: (G,) the thresholds to choose from, increasing.
        learn: Chooses them, for one goal or several.
        splits: S of them.

    Returns:
        An outcome for each goal.
    """
    answers: list[list[tuple[Float64, IntArray]]] = []
    for confidence, (tuning, reporting) in zip(confidences, splits, strict=True):
        place = places(confidence, grid)  # (Q, M)
        learned = learn(place[tuning], right[tuning])
        asked = place[reporting]
        answers.append([(grid[chosen], first_sure(asked, chosen)) for chosen in learned])
    return [_outcome(goal, right, splits) for goal in zip(*answers, strict=True)]


def _outcome(
    answers: Sequence[tuple[Float64, IntArray]], right: BoolArray, splits: Sequence[SplitRows]
) -> Outcome:
    """Count over the splits: of each, its thresholds, (M - 1,), and first sure heads, (R,)."""
    ends = np.zeros(right.shape, dtype=np.int64)
    for (_, first), (_, reporting) in zip(answers, splits, strict=True):
        ends[reporting, first] += 1
    firsts = [first for _, first in answers]
    hits = [_hits_up_to(a, right[rows]) for a, (_, rows) in zip(firsts, splits, strict=True)]
    counts = [np.bincount(first, minlength=right.shape[1]) for first in firsts]
    thresholds = np.stack([each for each, _ in answers])
    return Outcome(thresholds, ends, right, np.stack(counts), np.stack(hits))


def _hits_up_to(first: IntArray, right: BoolArray) -> IntArray:
    """Count right answers with heads up to each m, (M,)."""
    rows, heads = np.arange(len(first)), range(right.shape[1])
    return np.array([right[rows, np.minimum(first, m)].sum() for m in heads], dtype=np.int64)


def _final(heads: int) -> IntArray:
    """Name the head that answers, by the first sure head and the widest that may be used."""
    each = np.arange(heads)
    return np.minimum(each[:, None], each)
