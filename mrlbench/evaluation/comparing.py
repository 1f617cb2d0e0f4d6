"""Two runs, or two methods: what one has more of than the other, paired over queries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mrlbench.arrays import FloatArray, blocks
from mrlbench.errors import UserError
from mrlbench.evaluation.kept_scores import KeptScores
from mrlbench.evaluation.measured import Measured
from mrlbench.intervals import FEWEST_SEEDS, Interval, paired_intervals
from mrlbench.measurements import KEY, Row
from mrlbench.progress import task

# rows with these cells in common are compared; sizes and dtypes are looked at apart
MATCHED = tuple(c for c in KEY if c not in ("run", "n_database", "method", "dtype", "seed"))
TIMES = (
    "us_per_query",
    "best_us_per_query",
    "p50_us",
    "p95_us",
    "p99_us",
    "build_s",
    "step_s",
)  # less is better
RELATIVE_TIMES = ("step_ratio",)
SPEEDS = ("qps", "speedup")  # and what begins so; of the machine too, more is better
COSTS = (
    *("bytes", "peak_rss_bytes", "build_rss_bytes"),
    *("mflops", "mflops_heads", "distances_per_query", "never_right"),
)  # less is better
NEUTRAL = ("classes", "first_right")  # neither more nor less is better
EXPECTED = "expected_dim"  # and what begins so: less is better
AT_ONCE = 200  # differences in one bootstrap: (Q, 200) float64 is 80 MB for 50,000 queries
PAIRED, PAIRED_SEEDS, UNPAIRED = "paired", "paired, seeds", "unpaired"
ARITHMETIC, OTHER_MACHINE = "no interval", "other machine"
Verdict = Literal["better", "worse", "no difference told", ""]


@dataclass(frozen=True)
class Pair:
    """Rows of two sides that differ in the method or the run only, one for each seed.

    Attributes:
        a: The first side's.
        b: The other's, of the same seeds.
    """

    a: tuple[Row, ...]
    b: tuple[Row, ...]


@dataclass(frozen=True)
class Difference:
    """How one number of B differs from that of A.

    Attributes:
        row: A's, for its cells.
        method: B's.
        a: The mean of A's values over seeds.
        b: B's.
        value: B - A; of timings B / A. NaN where it is not given.
        low: Of its 95% interval; NaN where there is none.
        high: Likewise.
        basis: What the interval is made from.
        is_ratio: Whether it is B / A.
        n: Queries or repeats.
        seeds: How many were compared.
    """

    row: Row
    method: str | None
    a: float
    b: float
    value: float
    low: float
    high: float
    basis: str
    is_ratio: bool
    n: int | None
    seeds: int

    @property
    def gain(self) -> Interval:
        """The difference, turned round where less is better: above 0, or above 1, is better."""
        if not less_is_better(self.row.metric):
            return Interval(self.value, self.low, self.high)
        if self.is_ratio:
            return Interval(1 / self.value, 1 / self.high, 1 / self.low)
        return Interval(-self.value, -self.high, -self.low)

    @property
    def verdict(self) -> Verdict:
        """What the whole interval says of B; nothing where there is none."""
        if self.basis == OTHER_MACHINE or self.row.metric in NEUTRAL:
            return ""
        same, gain = float(self.is_ratio), self.gain
        if math.isnan(self.low):  # arithmetic has no interval and needs none
            if not is_arithmetic(self.row.metric):
                return ""
            gain = Interval(gain.value, gain.value, gain.value)
        if gain.low > same:
            return "better"
        return "worse" if gain.high < same else "no difference told"


def less_is_better(metric: str) -> bool:
    """Tell whether a smaller number is the better one."""
    return (
        metric in (*TIMES, *RELATIVE_TIMES, *COSTS)
        or metric.startswith(EXPECTED)
        or metric.endswith("_std")
    )


def is_timing(metric: str) -> bool:
    """Tell whether a number depends on the machine; such numbers are compared by their ratio."""
    return metric in (*TIMES, *RELATIVE_TIMES) or metric.startswith(SPEEDS)


def is_arithmetic(metric: str) -> bool:
    """Tell whether a number is exact, so that any difference is one."""
    return metric in ("bytes", "mflops")


def match(a: Measured, b: Measured, methods: Mapping[str, str]) -> list[Pair]:
    """Pair the rows that both sides have.

    Args:
        a: The first side.
        b: The other; may be the same run.
        methods: A's method -> B's; empty matches them by name, and the only method of anybody's
            vectors with the other's only one. `fixed` is `fixed-<d>` at each dim d.

    Raises:
        UserError: Nothing in common, or not of the same data.
    """
    if not methods:
        methods = _methods_by_name(a, b)
    by_dtype = _differ_by_dtype(a.rows) or _differ_by_dtype(b.rows)
    pairs = []
    for left, right in methods.items():
        ours, theirs = _by_cells(a.rows, left, by_dtype), _by_cells(b.rows, right, by_dtype)
        shared = [cells for cells in ours if cells in theirs]
        pairs += [_same_seeds(ours[cells], theirs[cells]) for cells in shared]
    if not pairs:
        raise UserError(_nothing_in_common(a, b, methods))
    _check_same_data(a, b, pairs)
    return pairs


def compare(
    a: Measured, b: Measured, pairs: Sequence[Pair], across_machines: bool = False
) -> list[Difference]:
    """Work out the difference of each pair, with its 95% interval.

    Per-query scores are paired where both sides keep them; else the interval is made from both
    rows' as if they were independent. Timings are compared by their ratio, on one machine only.

    Args:
        a: The first side.
        b: The other.
        pairs: Of `match`.
        across_machines: Give ratios of timings from different machines all the same.
    """
    kept = KeptScores(a.raw, a.queries), KeptScores(b.raw, b.queries)
    same_machine = across_machines or a.machine == b.machine is not None
    known = {place: found for place, each in enumerate(pairs) if (found := _paired(kept, each))}
    intervals = dict(_bootstrap({place: np.stack(found) for place, found in known.items()}))
    return [
        _difference(pair, intervals.get(place), same_machine) for place, pair in enumerate(pairs)
    ]


def _bootstrap(known: Mapping[int, FloatArray]) -> Iterator[tuple[int, Interval]]:
    """Bootstrap differences, (S, Q) each, those of one shape together and equal ones once.

    Many are equal: at k = 1 precision, recall, nDCG and others are one number.
    """
    same: dict[tuple[object, ...], list[int]] = {}
    for place, found in known.items():
        same.setdefault((found.shape, found.tobytes()), []).append(place)
    with task("compare", len(same), "numbers") as work:
        for shape in {found.shape for found in known.values()}:
            groups = [places for (own, _), places in same.items() if own == shape]
            for part in blocks(len(groups), AT_ONCE):
                some = groups[part]
                stacked = np.stack([known[places[0]] for places in some], axis=2)  # (S, Q, M)
                for places, interval in zip(some, paired_intervals(stacked), strict=True):
                    yield from ((place, interval) for place in places)
                work.advance(len(some))


def _paired(kept: tuple[KeptScores, KeptScores], pair: Pair) -> list[FloatArray] | None:
    """Give each query's difference for each seed, (Q,) each; None unless all seeds keep theirs."""
    found = []
    for ours, theirs in zip(pair.a, pair.b, strict=True):
        left, right = kept[0].of(ours), kept[1].of(theirs)
        if left is None or right is None or left.scores.shape != right.scores.shape:
            return None
        if not (left.is_of(ours) and right.is_of(theirs)):
            return None
        found.append(right.scores - left.scores)
    return found


def _difference(pair: Pair, paired: Interval | None, same_machine: bool) -> Difference:
    a, b = _mean(pair.a), _mean(pair.b)
    row, seeds = pair.a[0], len(pair.a)
    timing = is_timing(row.metric)
    if paired is not None:
        found, basis = paired, PAIRED_SEEDS if seeds >= FEWEST_SEEDS else PAIRED
    elif timing and not same_machine:
        found, basis = Interval(math.nan, math.nan, math.nan), OTHER_MACHINE
    elif timing:
        found, basis = _ratio(a, b), UNPAIRED
    else:
        found, basis = _independent(a, b), UNPAIRED
    if math.isnan(found.low) and basis == UNPAIRED:
        basis = ARITHMETIC
    value, low, high = found
    means = (a.value, b.value)
    return Difference(row, pair.b[0].method, *means, value, low, high, basis, timing, row.n, seeds)


def _mean(rows: Sequence[Row]) -> Interval:
    """Average values and the ends of intervals over seeds; NaN where a row has no interval."""
    cells = [(row.value, row.ci_low, row.ci_high) for row in rows]
    ends = np.array(cells, dtype=np.float64)  # (S, 3), None becomes NaN
    return Interval(*(float(each) for each in ends.mean(axis=0)))


def _independent(a: Interval, b: Interval) -> Interval:
    """Give B - A; the distances of both intervals' ends add up by their squares."""
    value = b.value - a.value
    low = value - math.hypot(b.value - b.low, a.high - a.value)
    high = value + math.hypot(b.high - b.value, a.value - a.low)
    return Interval(value, low, high)


def _ratio(a: Interval, b: Interval) -> Interval:
    """Give B / A likewise, on the scale of logarithms."""
    if not min(a.value, b.value) > 0:
        return Interval(math.nan, math.nan, math.nan)
    if not min(a.low, b.low) > 0:  # NaN too
        return Interval(b.value / a.value, math.nan, math.nan)
    logs = (Interval(*(math.log(end) for end in each)) for each in (a, b))
    return Interval(*(math.exp(end) for end in _independent(*logs)))


def _methods_by_name(a: Measured, b: Measured) -> dict[str, str]:
    if a.is_folder and b.is_folder and len(a.methods) == len(b.methods) == 1:
        return {a.methods[0]: b.methods[0]}
    return {method: method for method in a.methods if method in b.methods}


def _by_cells(
    rows: Sequence[Row], method: str, by_dtype: bool
) -> dict[tuple[object, ...], list[Row]]:
    """Group the rows of a method by the cells that are to be equal: one row for each seed."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.method == (f"fixed-{row.dim}" if method == "fixed" else method):
            found.setdefault(_cells(row, by_dtype), []).append(row)
    return found


def _cells(row: Row, by_dtype: bool) -> tuple[object, ...]:
    own = replace(row, dataset="") if row.dataset == row.method else row  # a folder's name
    own = replace(own, effort=None) if own.task == "adaptive-pipeline" else own  # it was chosen
    more = (own.dtype,) if by_dtype else ()
    return (*(getattr(own, column) for column in MATCHED), *more)


def _differ_by_dtype(rows: Sequence[Row]) -> bool:
    """Tell whether a run has one number for several dtypes of the same vectors."""
    keys = [(row.method, row.seed, *_cells(row, by_dtype=False)) for row in rows]
    return len(set(keys)) < len(keys)


def _same_seeds(a: Sequence[Row], b: Sequence[Row]) -> Pair:
    """Keep the seeds that both have; all of them where they share none."""
    shared = {row.seed for row in a} & {row.seed for row in b}
    if shared:
        a, b = ([row for row in side if row.seed in shared] for side in (a, b))
    fewest = min(len(a), len(b))
    order = [sorted(side, key=lambda row: row.seed or 0)[:fewest] for side in (a, b)]
    return Pair(tuple(order[0]), tuple(order[1]))


def _nothing_in_common(a: Measured, b: Measured, methods: Mapping[str, str]) -> str:
    for what, ours, theirs in (
        ("data set", {row.dataset for row in a.rows}, {row.dataset for row in b.rows}),
        ("query set", {row.queries for row in a.rows}, {row.queries for row in b.rows}),
    ):
        if not ours & theirs and not (a.is_folder or b.is_folder):
            first, second = (", ".join(sorted(map(str, each))) for each in (ours, theirs))
            return f"expected runs of the same {what}, got {first} and {second}"
    asked = ", ".join(f"{left}:{right}" for left, right in methods.items()) or "methods by name"
    known = (f"{each.name} has {', '.join(each.methods) or 'none'}" for each in (a, b))
    return f"expected rows that both have, got none for {asked}: {', '.join(known)}"


def _check_same_data(a: Measured, b: Measured, pairs: Sequence[Pair]) -> None:
    """Refuse sides whose data, database or queries are not the same.

    Raises:
        UserError: What differs.
    """
    for dataset in sorted(set(a.data) & set(b.data)):
        if a.data[dataset] != b.data[dataset]:
            here, there = (each.data[dataset][:12] for each in (a, b))
            raise UserError(
                f"expected runs on the same {dataset}, got other content: its fingerprint is "
                f"{here}… in {a.name} and {there}… in {b.name}"
            )
    for pair in pairs:
        for ours, theirs in zip(pair.a, pair.b, strict=True):
            if ours.n_database != theirs.n_database:
                raise UserError(
                    f"expected the same database, got {ours.n_database} rows in {a.name} and "
                    f"{theirs.n_database} in {b.name} ({ours.task})"
                )
            if ours.n != theirs.n and not is_timing(ours.metric):
                raise UserError(
                    f"expected the same queries, got {ours.n} in {a.name} and {theirs.n} in "
                    f"{b.name} ({ours.task} {ours.metric})"
                )
