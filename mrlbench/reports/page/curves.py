"""From rows of a CSV to the series of a chart."""

from collections.abc import Iterable

import pandas as pd

from mrlbench.reports.page.blocks import GREY, Axis, Look, Point, Series, looks
from mrlbench.reports.page.numbers import percent
from mrlbench.reports.paper_curves import LINES, is_far_below, published_curves
from mrlbench.reports.series import series

PAPER = "paper"
PUBLISHED_DASH = {"mrl": 1, "fixed": 2}


def percents(x: Iterable[float], table: pd.DataFrame, notes: Iterable[str] = ()) -> list[Point]:
    """Make points of rows with value, ci_low and ci_high, (n,), as percent."""
    told = list(notes) or [""] * len(table)
    ends = (table[each].astype(float).tolist() for each in ("value", "ci_low", "ci_high"))
    return [
        Point(float(at), percent(value), _end(low), _end(high), note)
        for at, value, low, high, note in zip(x, *ends, told, strict=True)
    ]


def _end(fraction: float) -> float | None:
    return None if fraction != fraction else percent(fraction)  # NaN is not itself


def method_of(name: str) -> str:
    """Name the method that a series is of, as the page's switches do: the separate models are one.

    A cut of the full-width fixed model is a method of its own.
    """
    return name.split(",")[0]


def by_dim(table: pd.DataFrame) -> list[Series]:
    """Make a series of each method and baseline over dims."""
    return [
        Series(name, percents(rows["dim"].astype(float), rows), look, method_of(name))
        for (name, rows), look in zip(series(table), looks(), strict=False)
    ]


def dims_axis(dims: Iterable[int], title: str = "dims") -> Axis:
    """Show dims on a logarithmic axis, each by its number."""
    return Axis(title, "dims", tuple(sorted({int(dim) for dim in dims})))


def published(
    task: str, metric: str, dims: Iterable[int], highest: float
) -> tuple[list[Series], Axis | None]:
    """Give the published curves in grey, and an axis of their own where the run is far below.

    Args:
        task: Such as `retrieval`.
        metric: Such as `map@10`.
        dims: Those of the run.
        highest: The run's highest value, a fraction.
    """
    tables = published_curves(task, metric, list(dims))
    if not tables:
        return [], None
    apart = is_far_below(highest, tables)
    right = Axis("paper, ImageNet-1K, %", low=0) if apart else None
    lines = []
    for method, table in tables.items():
        pairs = zip(table["dim"], table["fraction"], strict=True)
        points = [Point(float(dim), percent(fraction)) for dim, fraction in pairs]
        look = Look(GREY, 0 if method == "mrl" else 1, True, PUBLISHED_DASH[method])
        name = f"paper: {method} (ImageNet-1K, ResNet50{', right axis' if apart else ''})"
        lines.append(Series(name, points, look, PAPER, right=apart))
    return lines, right


assert set(PUBLISHED_DASH) == set(LINES)
