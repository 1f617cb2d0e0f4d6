"""How a claim names the numbers that it compares, in the paper's table as in a run's."""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Cells:
    """What names one number but for its seed; the names are those of the CSV columns.

    None is an empty cell; for `queries`, `index`, `mode`, `threads` and `expected_dim`, which the
    other cells decide in most tables, it is any.
    """

    task: str
    metric: str
    method: str
    dim: int | None = None
    reducer: str | None = None
    variant: str | None = None
    rerank_dims: str | None = None
    shortlist: str | None = None
    queries: str | None = None
    index: str | None = None
    mode: str | None = None
    threads: int | None = None
    expected_dim: float | None = None

    def of(self, table: pd.DataFrame, *open_cells: str) -> pd.DataFrame:
        """Find the rows of a table that have these cells, one for each seed.

        Args:
            table: The paper's or a run's.
            open_cells: Names of cells that may hold anything.
        """
        chosen = np.ones(len(table), dtype=np.bool_)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in open_cells or (value is None and field.name in DECIDED):
                continue
            column = table[field.name]
            same = column.isna() if value is None else (column == value).fillna(False)
            chosen &= same.to_numpy(np.bool_)
        return table[chosen]

    def dims(self, table: pd.DataFrame) -> list[int]:
        """List the dims at which a table has such numbers."""
        return sorted({int(dim) for dim in self.of(table, "dim")["dim"].dropna()})


DECIDED = {"queries", "index", "mode", "threads", "expected_dim"}


@dataclass(frozen=True)
class Comparison:
    """Two numbers of a claim and what is made of them.

    Attributes:
        at: Where the claim is looked at: a dim, or a schedule.
        left: What the claim speaks of.
        right: What it is compared with, by `difference` and `ratio` only.
        how: `difference` is left - right in points (0.01), `ratio` is left / right, `value` is left
            itself, a factor, and `saving` is how far a factor is below 1, in percent.
    """

    at: str
    left: Cells
    right: Cells | None = None
    how: Literal["difference", "ratio", "value", "saving"] = "difference"

    @property
    def sides(self) -> list[Cells]:
        """The cells of one number or of two."""
        return [self.left] if self.right is None else [self.left, self.right]

    def combine(self, left: float, right: float = 1.0) -> float:
        """Make the claim's number of its one or two."""
        if self.how == "difference":
            return (left - right) * 100
        if self.how == "saving":
            return (1 - left) * 100
        return left / right


@dataclass(frozen=True)
class Point:
    """What a comparison came to.

    Attributes:
        at: Where.
        value: In points of 0.01 for a difference, else a factor.
        low: Of the interval; the value itself for arithmetic and for published numbers.
        high: Of the interval.
        basis: What the interval is made from.
        n: Queries or repeats.
        seeds: Trainings.
    """

    at: str
    value: float
    low: float
    high: float
    basis: str = "published"
    n: int | None = None
    seeds: int | None = None


def published_points(table: pd.DataFrame, comparisons: list[Comparison]) -> list[Point]:
    """Work out comparisons from published values, which have no interval.

    Args:
        table: Rows of `published()`.
        comparisons: Whose cells are in the table.
    """
    points = []
    for each in comparisons:
        value = each.combine(*(float(side.of(table)["fraction"].iloc[0]) for side in each.sides))
        points.append(Point(each.at, value, value, value))
    return points
