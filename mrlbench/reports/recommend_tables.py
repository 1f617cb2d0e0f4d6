"""What was recommended, for the terminal."""

from collections.abc import Iterator

import pandas as pd

from mrlbench.recommend.candidates import Point
from mrlbench.recommend.confirming import Confirmed
from mrlbench.recommend.latency import Latency
from mrlbench.recommend.recommending import Recommendation
from mrlbench.reports.tables import plain_table

GB = 1e9
SHOWN = 10  # points of the front, those around the plan


def recommendation_text(found: Recommendation) -> str:
    """Show the plan, the runners-up, what a target costs, and what speaks against others."""
    sections = [
        *head(found),
        "",
        *plan_lines(found),
        "",
        "the plan and its runners-up, on the held-out queries",
        plain_table(runners_table(found)),
        "",
        "what a target costs: nothing that was measured is cheaper and as good (tuning queries)",
        plain_table(front_table(found)),
        "",
        "the obvious alternatives",
        plain_table(alternatives_table(found)),
        "",
        *growth_lines(found),
        *sureness(found),
    ]
    return "\n".join(sections)


def head(found: Recommendation) -> Iterator[str]:
    """Say what was asked, and of what."""
    subject, constraints = found.subject, found.constraints
    prices = constraints.prices
    yield (
        f"{subject.name}: {subject.rows:,} rows of {subject.width} coordinates, {subject.dtype}; "
        f"chosen on {subject.tuning:,} queries, confirmed on {subject.held_out:,} others, "
        f"seed {subject.seed}"
    )
    yield (
        f"target {constraints.target} for {constraints.vectors:,} vectors and "
        f"{constraints.queries_per_day:,} queries a day; cost in {prices.unit}: a GB of memory is "
        f"{prices.gb_month:.3g}, a busy core {prices.core_month:.3g}"
    )


def plan_lines(found: Recommendation) -> Iterator[str]:
    """Say what is recommended, what it reaches and what it costs."""
    plan, latency, target = found.plan, found.latencies[0], found.constraints.target
    against = " against exact search at full width" if target.relative else ""
    none = "no plan meets the target" + (" and --max-latency" if plan.meets else "")
    yield f"{'plan' if found.found else f'{none}; the nearest'}: {plan.plan}"
    yield (
        f"  {target.name}{against} {_number(plan)}: "
        f"{'meets' if plan.meets else 'does not meet'} the target"
    )
    yield (
        f"  {plan.cost.bytes_per_vector:,.0f} bytes a vector, {plan.cost.memory / GB:,.4g} GB; "
        f"{plan.cost.seconds * 1e3:,.3g} ms of a core per query by its counted work; cost "
        f"{plan.cost.total:,.4g} {found.constraints.prices.unit}"
    )
    yield (
        f"  on this machine, {found.subject.rows:,} rows, one query at a time and one thread: "
        f"{_milliseconds(latency)} ms (p50 / p95 / p99)"
    )


def runners_table(found: Recommendation) -> pd.DataFrame:
    """Give a line for the plan and each runner-up."""
    return pd.DataFrame(
        {
            found.constraints.target.name: _number(each),
            "cost": f"{each.cost.total:.4g}",
            "bytes a vector": f"{each.cost.bytes_per_vector:,.0f}",
            "p50 / p95 / p99 ms": _milliseconds(latency),
            "plan": str(each.plan),
        }
        for each, latency in zip(found.plans, found.latencies, strict=True)
    )


def front_table(found: Recommendation) -> pd.DataFrame:
    """Give a line for each point of the front that is near the plan."""
    return pd.DataFrame(
        {
            found.constraints.target.name: f"{each.mean:.4f}",
            "cost": f"{each.cost.total:.4g}",
            "plan": str(each.plan),
        }
        for each in shown_points(found)
    )


def shown_points(found: Recommendation) -> tuple[Point, ...]:
    """Take the points around the plan."""
    cheaper = sum(each.cost.total < found.plan.cost.total for each in found.front)
    first = max(0, min(cheaper - SHOWN // 2, len(found.front) - SHOWN))
    return found.front[first : first + SHOWN]


def alternatives_table(found: Recommendation) -> pd.DataFrame:
    """Give a line for each obvious alternative."""
    return pd.DataFrame(
        {
            "alternative": each.name,
            found.constraints.target.name: "" if each.mean is None else f"{each.mean:.4f}",
            "cost": f"{each.cost.total:.4g}",
            "why not": each.reason,
        }
        for each in found.alternatives
    )


def growth_lines(found: Recommendation) -> Iterator[str]:
    """Say how the plan changes with the size of the database."""
    growth, plan = found.growth, found.plan.plan
    if growth is None:
        return
    expected, goal = growth.expected, found.constraints.target.value
    measured = ", ".join(
        f"{value:.4f} in {rows:,}" for rows, value in zip(growth.rows, growth.values, strict=True)
    )
    effort = f", nprobe {growth.effort:,}" if growth.effort != plan.effort else ""
    yield (
        f"at {growth.planned:,} vectors{effort}: {expected.value:.4f} expected ({expected.low:.4f} "
        f"to {expected.high:.4f}), if the line over log N goes on; measured {measured}"
    )
    if expected.low < goal:
        says = "is expected to miss" if expected.high < goal else "may miss"
        yield f"  it {says} the target there: a higher --target leaves room for that"


def sureness(found: Recommendation) -> Iterator[str]:
    """Say what the interval is of, and what was left out."""
    yield (
        f"sure: the interval is of queries that had no part in the choice; of those that it was "
        f"made on, the mean was {found.plan.tuning:.4f}"
    )
    yield (
        f"measured: {found.tried} approximate first stages could have been cheaper, {found.built} "
        f"were built on all rows; {found.multiply_adds:.3g} multiply-adds, {found.seconds:.0f} s"
    )
    if not found.finished:
        yield "the budget ended before all of them were measured: more time may find a cheaper plan"


def _number(each: Confirmed) -> str:
    return f"{each.value.value:.4f} ({each.value.low:.4f} to {each.value.high:.4f})"


def _milliseconds(latency: Latency) -> str:
    return " / ".join(f"{1e3 * each:.3g}" for each in (latency.p50, latency.p95, latency.p99))
