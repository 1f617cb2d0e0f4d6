"""Whether the order of the coordinates means anything: the verdict of an inspection.

Were the order meaningless, the first d coordinates would be one more draw of d random ones. So the
prefix counts as better only if, beside the interval of the paired difference over queries, it is
out of reach of one more draw: Student's prediction interval over the draws, for all tests together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrlbench.evaluation.inspection.arms import (
    LAST,
    MAP,
    PCA,
    PREFIX,
    RANDOM,
    RECALL,
    ROTATED,
    Cell,
    Scores,
    measures,
)
from mrlbench.intervals import Interval, paired_intervals

LEVEL = 0.95
NARROW = 4  # a dim is narrow up to D / 4: wider ones keep most of anything
# Not nested: the gain is less than a share of what PCA gains, and a larger share would have shown.
SMALL, VISIBLE = 0.25, 0.5
LEAST = 0.05  # where PCA gains little, these are at least so much
FULL = 0.95  # what random dims keep where there is nothing left for an order to improve

NESTED, NOT_NESTED, REVERSED, UNKNOWN = "nested", "not nested", "reversed", "cannot be told"
NAMES = {RECALL: "neighbours kept", MAP: f"mAP@{MAP.partition('@')[2]}"}


class Difference(NamedTuple):
    """One arm less another, paired over queries.

    Attributes:
        measure: What is compared.
        arm: The one, `prefix` unless the last dims are looked at as if they were the first.
        against: The other, the mean of its draws.
        dim: d.
        value: The mean difference.
        low: Of its 95% interval.
        high: Likewise.
        margin: How far from the mean of the draws one more draw may be; 0 for an arm without draws.
        queries: Behind the difference.
    """

    measure: str
    arm: str
    against: str
    dim: int
    value: float
    low: float
    high: float
    margin: float
    queries: int

    @property
    def better(self) -> bool:
        """Whether the arm is better than the other, beyond the interval and the margin."""
        return self.low > 0 and self.value > self.margin

    @property
    def worse(self) -> bool:
        """Whether it is worse, likewise."""
        return self.high < 0 and self.value < -self.margin


@dataclass(frozen=True)
class Verdict:
    """What the order of the coordinates is worth.

    Attributes:
        word: `nested`, `not nested`, `reversed` or `cannot be told`.
        reason: Why, in plain words.
        dims: The narrow dims where it shows.
    """

    word: str
    reason: str
    dims: tuple[int, ...] = ()


def narrow_dims(dims: Sequence[int], width: int) -> list[int]:
    """List the dims at which the order of coordinates would show."""
    cut = [dim for dim in dims if dim < width]
    return [dim for dim in cut if dim * NARROW <= width] or cut


def compare_arms(
    arms: Mapping[str, Scores], dims: Sequence[int], width: int, one: str = PREFIX
) -> tuple[Difference, ...]:
    """Subtract every other arm from one at each dim that both have."""
    tests = len(narrow_dims(dims, width)) * len(measures(arms[one]))
    return tuple(
        Difference(measure, one, other, dim, *interval, margin, queries)
        for other, scores in arms.items()
        if other != one
        for measure in measures(scores)
        for dim, interval, margin, queries in _differences(arms[one], scores, measure, tests)
    )


def _differences(
    one: Scores, other: Scores, measure: str, tests: int
) -> Iterator[tuple[int, Interval, float, int]]:
    """Give dim, interval, margin and queries, at each dim that both have."""
    cells = [cell for cell in other if cell.measure == measure and cell in one]
    stacked = np.stack([one[cell] - other[cell] for cell in cells], axis=2)  # (S, Q, M)
    means = stacked.mean(axis=1, dtype=np.float64)  # (S, M)
    margins = np.zeros(len(cells))
    if len(means) > 1:
        margins = means.std(axis=0, ddof=1) * _reach(len(means), tests)
    for cell, interval, margin in zip(cells, paired_intervals(stacked), margins, strict=True):
        yield cell.dim, interval, float(margin), stacked.shape[1]


def _reach(draws: int, tests: int) -> float:
    """Say within how many standard deviations of the mean of some draws the next one is."""
    from scipy.stats import t

    share = 1 - (1 - LEVEL) / 2 / max(tests, 1)
    return float(t.ppf(share, draws - 1) * np.sqrt(1 + 1 / draws))


def judge_order(arms: Mapping[str, Scores], dims: Sequence[int], width: int) -> Verdict:
    """Say whether the vectors are nested.

    Nested: at some narrow dim, the prefix is better than random dims, the last dims and a rotated
    copy, by the neighbours kept or by relevance. Reversed: the last dims are so, or the prefix is
    worse than random dims and the last. Not nested: at some narrow dim, the gain on random dims
    and the last is small, and a large one would have been seen.
    """
    narrow = narrow_dims(dims, width)
    if not narrow:
        return Verdict(UNKNOWN, f"none of the dims is narrower than the vectors, {width} wide")
    kept = float(arms[RANDOM][Cell(RECALL, narrow[0])].mean())
    if kept >= FULL:
        reason = f"any {narrow[0]} coordinates keep {kept:.0%} of the neighbours"
        return Verdict(UNKNOWN, f"{reason}: there is nothing left for an order to improve")
    first, last = (_by_cell(compare_arms(arms, dims, width, one), narrow) for one in (PREFIX, LAST))
    better = [cell for cell, against in first.items() if _beats_all(against)]
    if better:
        return Verdict(NESTED, _say_better(better, first), _dims_of(better))
    ends = [cell for cell, against in last.items() if _beats_all(against)]
    worse = [c for c, against in first.items() if against[RANDOM].worse and against[LAST].worse]
    if ends or worse:
        return Verdict(REVERSED, _say_worse(ends or worse, first), _dims_of(ends or worse))
    return _judge_equal(arms, first)


ByCell = Mapping[Cell, Mapping[str, Difference]]  # what one arm is less each other arm


def _by_cell(differences: Sequence[Difference], dims: Sequence[int]) -> ByCell:
    found: dict[Cell, dict[str, Difference]] = {}
    for each in differences:
        if each.dim in dims:
            found.setdefault(Cell(each.measure, each.dim), {})[each.against] = each
    return found


def _beats_all(against: Mapping[str, Difference]) -> bool:
    """Tell whether an arm is better than all those that know nothing of an order from its end."""
    return all(each.better for other, each in against.items() if other != PCA)


def _judge_equal(arms: Mapping[str, Scores], first: ByCell) -> Verdict:
    """Tell no difference from one that cannot be seen."""
    partly = _dims_of([cell for cell, against in first.items() if against[RANDOM].better])
    if partly:
        reason = f"the prefix is better than random dims at {_list(partly)}, but not than the last "
        return Verdict(UNKNOWN, f"{reason}dims or a rotated copy as well", partly)
    seen = [cell for cell, against in first.items() if _gains_nothing(arms, cell, against)]
    doubted = [cell for cell, against in first.items() if _may_gain(arms, cell, against)]
    if doubted or {cell.measure for cell in seen} != {cell.measure for cell in first}:
        open_cells = doubted or [cell for cell in first if cell not in seen]
        reach = {cell: max(first[cell][RANDOM].high, first[cell][RANDOM].margin) for cell in first}
        least = min(open_cells, key=lambda cell: reach[cell])
        reason = (
            f"a gain of {reach[least]:.2f} on random dims could be there and not be seen, at "
            f"{least.dim} dims by {NAMES[least.measure]}"
        )
        return Verdict(UNKNOWN, f"{reason}: more queries, rows or dims would tell")
    random, last, rotated = (first[seen[0]][arm].value for arm in (RANDOM, LAST, ROTATED))
    reason = (
        f"the first {seen[0].dim} coordinates are no better than others; "
        f"{NAMES[seen[0].measure]}: {random:+.3f} against random dims, {last:+.3f} against the "
        f"last, {rotated:+.3f} against a rotated copy"
    )
    return Verdict(NOT_NESTED, reason, _dims_of(seen))


def _gains_nothing(
    arms: Mapping[str, Scores], cell: Cell, against: Mapping[str, Difference]
) -> bool:
    """Tell whether the prefix gains little on others, where a gain would have been noticed."""
    small, visible = _sizes(arms, cell)
    pairs = (against[RANDOM], against[LAST])
    return all(each.high <= small and each.margin <= visible for each in pairs)


def _may_gain(arms: Mapping[str, Scores], cell: Cell, against: Mapping[str, Difference]) -> bool:
    """Tell whether the prefix gains more than a little, if not beyond the reach of a draw."""
    small, _ = _sizes(arms, cell)
    return all(against[other].low > small for other in (RANDOM, LAST))


def _sizes(arms: Mapping[str, Scores], cell: Cell) -> tuple[float, float]:
    """Say which gains are small, and which could not go unseen, by what PCA gains."""
    room = float(arms[PCA][cell].mean() - arms[RANDOM][cell].mean())
    return max(LEAST, SMALL * room), max(LEAST, VISIBLE * room)


def _say_better(cells: Sequence[Cell], first: ByCell) -> str:
    best = max(cells, key=lambda cell: first[cell][RANDOM].value)
    random, last, rotated = (first[best][arm].value for arm in (RANDOM, LAST, ROTATED))
    return (
        f"the first coordinates are worth more than others at {_list(_dims_of(cells))} dims; at "
        f"{best.dim}, {NAMES[best.measure]}: {random:+.3f} against random dims, {last:+.3f} "
        f"against the last, {rotated:+.3f} against a rotated copy"
    )


def _say_worse(cells: Sequence[Cell], first: ByCell) -> str:
    worst = min(cells, key=lambda cell: first[cell][LAST].value)
    random, last = (first[worst][arm].value for arm in (RANDOM, LAST))
    return (
        f"the first coordinates are worth less than others at {_list(_dims_of(cells))} dims, as if "
        f"they were reversed or damaged; at {worst.dim}, {NAMES[worst.measure]}: {random:+.3f} "
        f"against random dims, {last:+.3f} against the last"
    )


def advise_on_pca(differences: Sequence[Difference], width: int) -> tuple[str, ...]:
    """Name the dims below D at which PCA keeps more than the prefix, one line for each measure."""
    advice = []
    for measure in dict.fromkeys(each.measure for each in differences):
        own = [each for each in differences if (each.measure, each.against) == (measure, PCA)]
        won = [each for each in own if each.high < 0 and each.dim < width]
        if won:
            most = min(won, key=lambda each: each.value)
            advice.append(
                f"PCA keeps more than the prefix at {_list([each.dim for each in won])} dims, most "
                f"at {most.dim}, {NAMES[measure]}: {-most.value:+.3f} ({-most.high:+.3f} to "
                f"{-most.low:+.3f}); consider it there"
            )
    return tuple(advice)


def _dims_of(cells: Sequence[Cell]) -> tuple[int, ...]:
    return tuple(sorted({cell.dim for cell in cells}))


def _list(dims: Sequence[int]) -> str:
    return ", ".join(map(str, dims))
