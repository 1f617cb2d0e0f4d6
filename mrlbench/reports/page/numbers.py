"""How the page writes numbers."""

from collections.abc import Hashable, Mapping
from typing import Any

Record = Mapping[Hashable, Any]  # a row of a table, by column

GROUPED = 10_000  # from here on thousands are apart: dims are not
DIGITS = 4  # what is left of a number with an interval


def number(value: object) -> str:
    """Write a cell: numbers with four digits, thousands apart, nothing for None."""
    if value is None or value != value:  # NaN is not itself
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) >= GROUPED else f"{value:.0f}"
    return f"{value:.{DIGITS}g}"


def interval(low: float | None, high: float | None) -> str:
    """Write an interval behind its value; nothing where there is none."""
    return "" if low is None or high is None else f" ({number(low)} to {number(high)})"


def percent(fraction: float) -> float:
    """Turn a fraction into percent, without the noise of binary digits."""
    return round(100 * fraction, 6)
