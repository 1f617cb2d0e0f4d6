"""Confirming a plan on held-out queries, timing it, and how it changes with the database."""

from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray
from mrlbench.intervals import (
    SAME,
    Interval,
    constant_interval,
    mean_intervals,
    studentized_interval,
)
from mrlbench.recommend.candidates import Candidate
from mrlbench.recommend.costing import Cost, effort_at
from mrlbench.recommend.first_stages import Built, build
from mrlbench.recommend.halving import part_of
from mrlbench.recommend.plans import Plan
from mrlbench.recommend.problem import Asked

PARTS = (8, 4, 2, 1)  # of the database, to see how a plan changes with its size
FEWEST_ROWS = 1000
MOST_QUERIES = 1000  # that are asked of every part


@dataclass(frozen=True)
class Confirmed:
    """A plan on the held-out queries.

    Attributes:
        plan: The plan.
        cost: At the planned size.
        tuning: The mean that it was chosen by.
        value: The mean of the held-out queries with its 95% interval.
        meets: Whether the whole interval is at or above the target.
        scores: (H,).
    """

    plan: Plan
    cost: Cost
    tuning: float
    value: Interval
    meets: bool
    scores: AnyFloatArray


@dataclass(frozen=True)
class Growth:
    """A plan at several sizes of the database, and what to expect at the planned one.

    Attributes:
        rows: Sizes that were measured, increasing.
        values: The mean score at each, of the same queries.
        planned: N to plan for.
        effort: There: an inverted file probes the same share of more cells.
        expected: There, by a line over log N, with the 95% interval.
    """

    rows: tuple[int, ...]
    values: tuple[float, ...]
    planned: int
    effort: int
    expected: Interval


def find(built: Built, plan: Plan, asked: Asked) -> IntArray:
    """Run a plan, (Q, >= k) ids."""
    k = built.problem.target.k
    ids, _ = built.search(asked.queries, max(plan.shortlist, k), plan.effort)
    return built.problem.rerank(asked.queries, ids, plan.rerank)


def confirm(candidate: Candidate, held_out: Asked) -> Confirmed:
    """Measure a plan on queries that had no part in choosing it."""
    problem, plan = candidate.built.problem, candidate.plan
    scores = problem.scores(held_out, find(candidate.built, plan, held_out))
    value = studentized_interval(scores, problem.target.bounds)
    if problem.is_yardstick(plan):  # what it is compared with: by definition, whatever is asked
        value = Interval(value.value, value.value, value.value)
    meets = value.low >= problem.target.value - 1e-9
    return Confirmed(plan, candidate.cost, candidate.mean, value, meets, scores)


def measure_growth(
    plan: Plan, built: Built, asked: Asked, planned: int, seed: int
) -> Growth | None:
    """Measure a plan on parts of the database and extend the line over log N to the planned size.

    Args:
        plan: The plan.
        built: Its first stage, on the whole database.
        asked: Queries.
        planned: N to plan for.
        seed: Draws the parts.

    Returns:
        None where the database is too small for parts of it to tell anything.
    """
    first = np.arange(min(MOST_QUERIES, len(asked.queries)))
    sizes, columns = list[int](), list[AnyFloatArray]()
    problem = built.problem
    whole = len(problem.database)
    for size in (whole // part for part in PARTS if whole // part >= FEWEST_ROWS or part == 1):
        drawn = part_of(whole, size, seed)
        part = problem.part(drawn) if size < whole else problem
        relevance = asked.relevance and asked.relevance.of(drawn, first)
        again = part.ask(asked.queries[first], relevance)
        there = replace(plan, effort=effort_at(plan, whole, size))
        here = build(part, plan.stage, plan.index) if size < whole else built
        ids = find(here, there, again)
        columns.append(part.scores(again, ids))
        sizes.append(size)
    if len(sizes) == 1:
        return None
    scores = np.stack(columns, axis=1)
    expected = extrapolate(np.array(sizes), scores, planned, problem.target.bounds)
    if problem.is_yardstick(plan):  # of any size, as `confirm` says
        expected = Interval(expected.value, expected.value, expected.value)
    means = tuple(float(each.mean()) for each in columns)
    return Growth(tuple(sizes), means, planned, effort_at(plan, whole, planned), expected)


def extrapolate(
    rows: IntArray,
    scores: AnyFloatArray,
    planned: int,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Extend mean scores at several sizes to another one.

    A line fitted by least squares is linear in what it is fitted to, so its value at the planned
    size is a weighted sum of each query's scores, and its interval that of a mean. The interval
    holds those of two lines, through all sizes and through the two largest, which differ where the
    scores lie on a curve. Where all queries are foretold the same, it is that of
    `constant_interval`. No mean is out of bounds.

    Args:
        rows: (S,), increasing.
        scores: (Q, S).
        planned: N to plan for.
        bounds: The least and the largest that a score can be.
    """
    lines = [rows, rows[-2:]] if len(rows) > 2 else [rows]
    guesses = np.stack(
        [scores[:, -len(part) :] @ _weights(part, planned) for part in lines], axis=1
    )
    intervals = [
        constant_interval(float(np.clip(mean.value, *bounds)), len(each), bounds)
        if np.ptp(each) < SAME
        else mean
        for each, mean in zip(guesses.T, mean_intervals(guesses), strict=True)
    ]
    low, high = min(each.low for each in intervals), max(each.high for each in intervals)
    return Interval(*(float(np.clip(each, *bounds)) for each in (intervals[0].value, low, high)))


def _weights(rows: IntArray, planned: int) -> AnyFloatArray:
    """Weigh sizes, (S,), so that the sum is the least-squares line over log N at `planned`."""
    places = np.log(rows.astype(np.float64))
    design = np.stack([np.ones_like(places), places], axis=1)  # (S, 2)
    weights: AnyFloatArray = np.linalg.pinv(design).T @ np.array([1.0, np.log(planned)])
    return weights
