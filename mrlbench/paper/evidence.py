"""What a run says about comparisons: paired over queries where raw scores are kept, else by CSV."""

import math
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from mrlbench import measurements
from mrlbench.arrays import FloatArray
from mrlbench.evaluation.scores import raw_key
from mrlbench.intervals import FEWEST_SEEDS, Interval, paired_intervals
from mrlbench.measurements import Row
from mrlbench.paper.cells import Cells, Comparison, Point
from mrlbench.runs import Output

LEVEL = 0.95
SAME = 1e-6  # between a CSV's mean, of 8 digits, and that of the raw scores behind it
OTHER_QUERIES = ["robustness", "few-shot"]  # tasks whose query sets are not the run's main one
PAIRED = "paired bootstrap over queries"
PAIRED_SEEDS = "paired bootstrap over queries and seeds"
UNPAIRED = "the intervals of both rows, not paired"
OF_ROW = "the row's interval"
ARITHMETIC = "arithmetic"


class Evidence:
    """The rows and raw scores of a run, or of any folder with CSV files."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._found: dict[Cells, pd.DataFrame] = {}

    @cached_property
    def table(self) -> pd.DataFrame:
        """All measurements; of several query sets, the main one's and the special tasks' own."""
        parts = [measurements.read(path) for path in measurements.files(self.output.folder)]
        parts = [part for part in parts if len(part)]
        table = pd.concat(parts, ignore_index=True) if parts else measurements.to_frame([])
        anywhere = table["task"].isin(OTHER_QUERIES) | table["queries"].isna()
        counts = table.loc[~anywhere, "queries"].value_counts()
        return table[anywhere | (table["queries"] == (counts.index[0] if len(counts) else ""))]

    def rows(self, cells: Cells) -> pd.DataFrame:
        """Find the rows that have these cells, one for each seed."""
        if cells not in self._found:  # claims ask for the same numbers again and again
            self._found[cells] = cells.of(self.table)
        return self._found[cells]

    def points(self, comparisons: Sequence[Comparison]) -> list[Point]:
        """Measure comparisons; their intervals hold together at 95%, however many they are.

        Each has the level 1 - 0.05/M (Bonferroni), so that a claim about M dims is not given M
        chances to fail, or to hold, by luck.
        """
        level = 1 - (1 - LEVEL) / max(1, len(comparisons))
        paired = {each: found for each in comparisons if (found := self._paired(each)) is not None}
        points = {each: self._from_rows(each, level) for each in comparisons if each not in paired}
        for shape in {found.shape for found in paired.values()}:
            alike = [each for each, found in paired.items() if found.shape == shape]
            stacked = np.stack([paired[each] for each in alike], axis=2)  # (S, Q, M)
            seeds, queries = shape
            basis = PAIRED_SEEDS if seeds >= FEWEST_SEEDS else PAIRED
            for each, interval in zip(alike, paired_intervals(stacked, level), strict=True):
                value, low, high = (100 * number for number in interval)
                points[each] = Point(each.at, value, low, high, basis, queries, seeds)
        return [points[each] for each in comparisons]

    def _paired(self, comparison: Comparison) -> FloatArray | None:
        """Give each query's difference with each seed, (S, Q), if both sides kept their scores.

        Seeds are paired with themselves. A seed with rows on both sides but without raw scores
        would be left out in silence: then nothing is paired.
        """
        if comparison.how != "difference":
            return None
        known = [self._scores(side) for side in comparison.sides]
        seeds = self._seeds(comparison)
        if not seeds or any(seed not in scores for scores in known for seed in seeds):
            return None
        if len({len(scores[seed]) for scores in known for seed in seeds}) > 1:
            return None
        left, right = known
        return np.stack([left[seed] - right[seed] for seed in seeds])

    def _seeds(self, comparison: Comparison) -> list[int]:
        """List the seeds that every side has."""
        each = [set(self.rows(side)["seed"].dropna()) for side in comparison.sides]
        return sorted(set.intersection(*each))

    def _scores(self, cells: Cells) -> dict[int, FloatArray]:
        """Read per-query scores by seed, (Q,) each; only those whose mean is the row's value.

        The check refuses what an interrupted or an older measurement left behind.
        """
        found: dict[int, FloatArray] = {}
        rows = self.rows(cells).dropna(subset="seed")
        for seed, value in zip(rows["seed"].astype(int), rows["value"], strict=True):
            for file in _files(cells, seed):
                scores = _read(self.output.raw / file, _keys(cells))
                if scores is not None and abs(scores.mean(dtype=np.float64) - value) < SAME:
                    found[seed] = scores
        return found

    def _from_rows(self, comparison: Comparison, level: float) -> Point:
        """Work from the rows' own intervals; two rows' as if they were independent.

        Values are means over the seeds that both sides have, or over all if they share none.
        """
        seeds = self._seeds(comparison)
        sides = [_mean(self.rows(side), seeds) for side in comparison.sides]
        value = comparison.combine(*(side.value for side in sides))
        if comparison.how == "difference":
            left, right = sides
            wider = 100 * _widening(level)
            low = value - wider * math.hypot(left.value - left.low, right.high - right.value)
            high = value + wider * math.hypot(left.high - left.value, right.value - right.low)
            basis = UNPAIRED
        elif comparison.how == "ratio":
            low, high, basis = value, value, ARITHMETIC
        else:
            ends = (comparison.combine(end) for end in (sides[0].low, sides[0].high))
            (low, high), basis = sorted(ends), OF_ROW
        return Point(comparison.at, value, low, high, basis, None, len(seeds) or None)


def _mean(rows: pd.DataFrame, seeds: Sequence[int]) -> Interval:
    """Average rows over seeds; a number without an interval is its own."""
    chosen = rows[rows["seed"].isin(seeds)] if seeds else rows
    filled = [chosen[end].fillna(chosen["value"]) for end in ("value", "ci_low", "ci_high")]
    return Interval(*(float(column.mean()) for column in filled))


def _widening(level: float) -> float:
    """Say how much wider an interval of this level is than one of 95%, if it is normal."""
    normal = NormalDist()
    return normal.inv_cdf((1 + level) / 2) / normal.inv_cdf((1 + LEVEL) / 2)


def _files(cells: Cells, seed: int) -> list[str]:
    """Name the raw file; a trained variant and another query set have files of their own.

    1-NN accuracy comes from the search that retrieval's scores do.
    """
    searched = cells.task in ("knn", "retrieval")
    kind = f"scores-retrieval-{cells.reducer}" if searched else f"scores-{cells.task}"
    usual = f"{kind}-{cells.method}-seed-{seed}"
    variant = f"{kind}-{cells.method}@{cells.variant}-seed-{seed}"
    return [f"{name}.npz" for name in (usual, variant, f"{usual}-{cells.queries}")]


def _keys(cells: Cells) -> list[str]:
    """Name the array: as rows usually do, with an analysis's variant, or without a dim (oracle)."""
    names = {name: getattr(cells, name) for name in ("metric", "dim", "rerank_dims", "shortlist")}
    varied = f"{cells.metric}@{(cells.variant or '').replace('=', '')}@dim{cells.dim}"
    return [raw_key(Row(run="", dataset="", **names)), varied, cells.metric]


def _read(path: Path, keys: Sequence[str]) -> FloatArray | None:
    """Read the first of some arrays of a raw file, (Q,); None if none is there or it is cut off."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            key = next(each for each in [*keys, ""] if each in arrays.files or not each)
            scores: FloatArray = arrays[key]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return scores
