"""Axes: where a value stands, and which values are labelled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mrlbench.reports.page.blocks import Axis

MARGIN = 0.05  # of an axis, beyond the points
STEPS = (1, 2, 2.5, 5, 10)
MOST_LINEAR, MOST_LOG = 6, 7  # labels
LOG_TICKS: tuple[tuple[tuple[float, ...], int], ...] = (  # of a decade, and of how many
    ((1, 1.5, 2, 3, 5, 7), 1),
    ((1, 2, 5), 1),
    ((1, 3), 1),
    ((1,), 1),
    ((1,), 2),
    ((1,), 3),
)


@dataclass(frozen=True)
class Scale:
    """From values to places between 0 and 1.

    Attributes:
        low: The value at 0.
        high: The value at 1.
        is_log: Whether equal factors are equal distances.
        ticks: The labelled values.
    """

    low: float
    high: float
    is_log: bool
    ticks: Sequence[float]

    def place(self, value: float) -> float:
        """Say where a value is; beyond the ends it stands at the end."""
        low, high, at = (self._of(each) for each in (self.low, self.high, value))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def _of(self, value: float) -> float:
        return math.log(value) if self.is_log else value


def scale_of(axis: Axis, values: Sequence[float]) -> Scale:
    """Choose ends and ticks for some values; those of a log axis are above 0."""
    known = [*values, *(each for each in (axis.low, axis.high) if each is not None)]
    low, high = min(known), max(known)
    if axis.scale == "linear":
        return _linear(axis, low, high)
    reach = (high / low) ** MARGIN if high > low else 2.0
    ends = (low / reach, high * reach)
    ticks = axis.ticks or _log_ticks(*ends)
    return Scale(*ends, True, [tick for tick in ticks if ends[0] <= tick <= ends[1]])


def _linear(axis: Axis, low: float, high: float) -> Scale:
    room = (high - low or abs(high) or 1.0) * MARGIN
    low = axis.low if axis.low is not None else low - room
    high = axis.high if axis.high is not None else high + room
    rough = (high - low) / MOST_LINEAR
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in STEPS if each * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Scale(low, high, False, [round(n * step, 10) for n in range(first, last + 1)])


def _log_ticks(low: float, high: float) -> list[float]:
    """Take as many round values of each decade, or of some decades, as there is room for."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps, every in LOG_TICKS:
        ticks = [float(f"{step}e{n}") for n in decades if n % every == 0 for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= MOST_LOG:
            break
    return ticks


def label(value: float) -> str:
    """Write a tick: 20000 as 20k, and no digits that say nothing."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}"
