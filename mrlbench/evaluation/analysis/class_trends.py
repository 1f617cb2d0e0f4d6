"""How the accuracy of each class moves as the dims grow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mrlbench.arrays import AnyFloatArray, IntArray
from mrlbench.evaluation.analysis.classes import Classes
from mrlbench.evaluation.analysis.heads import Heads, open_heads
from mrlbench.evaluation.source import Source
from mrlbench.files import replacing
from mrlbench.measurements import Row

TRENDS = ("rises", "falls", "dips", "peaks", "flat")
NOISE = 1.96  # standard errors: two accuracies that differ by less may be equal


@dataclass(frozen=True)
class Trends:
    """Accuracy of each class that has queries, and how it moves.

    Attributes:
        classes: (C,), their numbers.
        accuracy: (C, M).
        queries: (C,), how many each has.
    """

    classes: Sequence[int]
    accuracy: AnyFloatArray
    queries: IntArray

    @property
    def binomial(self) -> AnyFloatArray:
        """Give the binomial noise of a difference of two accuracies of a class, (C,).

        1.96 √(2 p (1 - p) / n), with p the mean over dims. It is that of two samples; the heads see
        the same queries, so it is on the safe side.
        """
        mean = self.accuracy.mean(axis=1)
        noise: AnyFloatArray = NOISE * np.sqrt(2 * mean * (1 - mean) / self.queries)
        return noise


def class_trends(source: Source, classes: Classes) -> list[Row]:
    """Count the classes by how their accuracy moves over dims, with and without a tolerance.

    The accuracy of each class at each dim, and its trends, are kept in
    `raw/class-trends-<label>.csv`.
    """
    heads = open_heads(source)
    trends = accuracy_by_class(heads)
    found = {
        "": [trend(each, 0.0) for each in trends.accuracy],
        ",tolerance=binomial": [
            trend(each, noise) for each, noise in zip(trends.accuracy, trends.binomial, strict=True)
        ],
    }
    template = source.row(
        task="class-trends", dim=heads.dims[-1], n_database=None, dtype=None, metric="classes"
    )
    _keep(source, heads, trends, classes, found)
    return [
        replace(template, variant=f"trend={name}{how}", value=each.count(name), n=len(each))
        for how, each in found.items()
        for name in TRENDS
    ]


def accuracy_by_class(heads: Heads) -> Trends:
    """Average over the queries of each class."""
    counts = np.bincount(heads.labels, minlength=heads.classes)  # (C,)
    known = np.flatnonzero(counts)
    right = [np.bincount(heads.labels, each, heads.classes) for each in heads.right]  # M × (C,)
    accuracy = np.stack(right, axis=1)[known] / counts[known, None]
    return Trends(known.tolist(), accuracy, counts[known])


def trend(accuracy: AnyFloatArray, tolerance: float) -> str:
    """Name how a class moves, (M,) accuracies from the narrowest head to the widest.

    With `fall` the largest fall from a dim to any wider one, and `rise` likewise: *flat* when
    neither passes the tolerance; *rises* when only the rise does (with tolerance 0: the accuracy
    never falls), *falls* when only the fall does; else *dips* when the largest fall ends before the
    largest rise does, and *peaks* when it ends later.
    """
    fall, bottom = _largest_fall(accuracy)
    rise, top = _largest_fall(-accuracy)
    slack = tolerance + 1e-9  # a mean of so many ones is not exact
    if fall <= slack:
        return "rises" if rise > slack else "flat"
    if rise <= slack:
        return "falls"
    return "dips" if bottom < top else "peaks"


def _largest_fall(values: AnyFloatArray) -> tuple[float, int]:
    """Find the largest fall from any value to a later one, and where it ends."""
    falls = np.maximum.accumulate(values) - values  # (M,)
    return float(falls.max()), int(falls.argmax())


def _keep(
    source: Source,
    heads: Heads,
    trends: Trends,
    classes: Classes,
    found: Mapping[str, Sequence[str]],
) -> None:
    table = pd.DataFrame(
        {
            "class": trends.classes,
            "name": [classes.name(each) for each in trends.classes],
            "queries": trends.queries,
            "trend": found[""],
            "trend_beyond_noise": found[",tolerance=binomial"],
            "noise": trends.binomial,
            **{str(dim): trends.accuracy[:, place] for place, dim in enumerate(heads.dims)},
        }
    )
    with replacing(kept_trends(source)) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")


def kept_trends(source: Source) -> Path:
    """Say where the accuracy and the trends of each class are kept."""
    return source.output.raw / f"class-trends-{source.label}.csv"


def examples(table: pd.DataFrame, count: int = 3) -> str:
    """Name the classes that move most in each trend, from a kept table."""
    dims = [column for column in table.columns if column.isdecimal()]
    accuracy = table[dims].to_numpy(dtype=np.float64)  # (C, M)
    moved, trends = np.ptp(accuracy, axis=1), table["trend_beyond_noise"].to_numpy()
    lines = [f"accuracy at {', '.join(dims)} dims"]
    for name in TRENDS:
        members = np.flatnonzero(trends == name)
        for place in members[np.argsort(-moved[members], kind="stable")][:count]:
            shown = " ".join(f"{number:.2f}" for number in accuracy[place])
            lines.append(f"{name:6} {table['name'].iloc[place]!s:24} {shown}")
    return "\n".join(lines)
