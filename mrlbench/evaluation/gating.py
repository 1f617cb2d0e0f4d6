"""What may not pass: a loss of quality, or a slowdown, whose whole interval is beyond a limit."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mrlbench.evaluation.comparing import OTHER_MACHINE, Difference, is_arithmetic, is_timing
from mrlbench.evaluation.measured import Measured

TIME = "us_per_query"
NAMED = ("task", "method", "variant", "reducer", "index")


@dataclass(frozen=True)
class Limits:
    """How much worse a run may be.

    Attributes:
        loss: Of a metric.
        slowdown: Times, B / A.
    """

    loss: float
    slowdown: float


def failure(difference: Difference, limits: Limits) -> str | None:
    """Say in one line what is beyond its limit; None if the number may pass."""
    low, high = difference.low, difference.high
    if is_timing(difference.row.metric):
        if not low > limits.slowdown:  # NaN passes
            return None
        what, limit, sign = "slower", f"{limits.slowdown:g} times", "times "
    else:
        gain = difference.gain
        best = gain.value if is_arithmetic(difference.row.metric) else gain.high
        if not best < -limits.loss:
            return None
        what, limit, sign = "worse", f"a loss of {limits.loss:g}", ""
    interval = "" if math.isnan(low) else f" ({low:.4g} to {high:.4g})"
    return (
        f"{what}: {_name(difference)}: {difference.a:.4g} -> {difference.b:.4g}, "
        f"{sign}{difference.value:.4g}{interval}, beyond {limit}"
    )


def summary(
    a: Measured, b: Measured, found: Sequence[Difference], failed: int, methods: Collection[str]
) -> str:
    """Say in one line how it went, and what was not compared.

    Args:
        a: The baseline.
        b: What is to pass.
        found: What was compared.
        failed: How many of it are beyond their limits.
        methods: Of the baseline that were asked for; empty for all.
    """
    elsewhere = sum(each.basis == OTHER_MACHINE for each in found)
    asked = [row for row in a.rows if not methods or row.method in methods]
    missing = len(asked) - sum(each.seeds for each in found)
    parts = [
        f"gate {'failed' if failed else 'passed'}: {failed} of {len(found) - elsewhere} numbers "
        f"of {b.name} beyond their limits against {a.name}"
    ]
    if elsewhere:
        parts.append(f"{elsewhere} timings not compared: other machine")
    if missing > 0:
        parts.append(f"{missing} of the baseline not in {b.name}")
    return "; ".join(parts)


def _name(difference: Difference) -> str:
    row = difference.row
    cells = [getattr(row, name) for name in NAMED]
    schedule = [f"rerank {row.shortlist} at {row.rerank_dims}"] if row.rerank_dims else []
    effort = [] if row.effort is None else [f"effort {row.effort}"]
    told = [*cells, f"dim {row.dim}", *schedule, *effort, row.mode, row.metric]
    return " ".join(str(each) for each in told if each)
