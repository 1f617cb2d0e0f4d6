"""From vectors and constraints to a plan: choose on tuning queries, confirm on the others."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray
from mrlbench.dims import check_dims, default_dims
from mrlbench.embedding.folder import Embeddings
from mrlbench.errors import UserError
from mrlbench.recommend.alternatives import Alternative, judge_alternatives
from mrlbench.recommend.candidates import Candidate, Choice, Gate, Point
from mrlbench.recommend.choosing import PLANS, Chooser
from mrlbench.recommend.confirming import Confirmed, Growth, confirm, measure_growth
from mrlbench.recommend.constraints import RECALL, Constraints
from mrlbench.recommend.costing import Costing
from mrlbench.recommend.first_stages import ExactLists
from mrlbench.recommend.halving import Halving
from mrlbench.recommend.latency import Latency, keeps, measure_latency
from mrlbench.recommend.plans import EXACT, Grid, Plan
from mrlbench.recommend.problem import Asked, Problem, scratch_folder
from mrlbench.recommend.tally import Tally
from mrlbench.splits import tuning_split

FEWEST_QUERIES = 20
MOST_QUERIES = 5000  # drawn by seed: more would not make intervals much narrower
SHARE_OF_BUDGET = 0.7  # for choosing; the rest confirms


@dataclass(frozen=True)
class Subject:
    """What was looked at."""

    name: str
    rows: int
    width: int
    dtype: str
    tuning: int
    held_out: int
    seed: int


@dataclass(frozen=True)
class Recommendation:
    """The plan and how it came about.

    Attributes:
        subject: The vectors.
        constraints: What was asked.
        plans: The plan and its runners-up, by cost; where none meets the target on the tuning
            queries, the nearest alone.
        held_out: (H,), the queries that confirmed them.
        latencies: Of single queries of each plan, at the size of the database at hand.
        found: Whether the plan met the target on the tuning queries.
        front: What nothing cheaper is as good as, by cost.
        alternatives: The obvious ones, and why not.
        growth: At the planned size; None where that is the size at hand.
        finished: Whether the budget was enough.
        tried: How many approximate first stages could have been cheaper, and were looked at.
        built: How many of them were built on the whole database.
        multiply_adds: The counted work of choosing.
        seconds: That everything took.
    """

    subject: Subject
    constraints: Constraints
    plans: tuple[Confirmed, ...]
    held_out: IntArray
    latencies: tuple[Latency, ...]
    found: bool
    front: tuple[Point, ...]
    alternatives: tuple[Alternative, ...]
    growth: Growth | None
    finished: bool
    tried: int
    built: int
    multiply_adds: float
    seconds: float

    @property
    def plan(self) -> Confirmed:
        """The plan."""
        return self.plans[0]

    @property
    def meets(self) -> bool:
        """Whether the plan was confirmed."""
        return self.found and self.plan.meets


@dataclass(frozen=True)
class Request:
    """What to look for, and how long.

    Attributes:
        constraints: Target, limits and prices.
        dims: Widths; empty takes those that the vectors were trained at, else 8, 16, … D.
        budget: Seconds.
        seed: Draws queries and parts of the database.
    """

    constraints: Constraints
    dims: tuple[int, ...] = ()
    budget: float = 600.0
    seed: int = 0


def check_request(request: Request, embeddings: Embeddings) -> Request:
    """Refuse what cannot be done before any work, and fill in dims and the planned size.

    Raises:
        UserError: One line.
    """
    target, queries = request.constraints.target, len(embeddings.queries)
    if queries < FEWEST_QUERIES:
        raise UserError(
            f"expected at least {FEWEST_QUERIES} queries, to choose on a fifth of them and confirm "
            f"on the others, got {queries}"
        )
    if target.metric != RECALL and embeddings.relevance is None:
        raise UserError(
            f"--target: {target.name} needs labels or judgements beside the vectors, got none; "
            f"expected such as {RECALL}@{target.k}=0.95"
        )
    if target.k > len(embeddings.database):
        raise UserError(
            f"--target: expected k up to {len(embeddings.database)}, the rows, got {target.k}"
        )
    dims = request.dims or tuple(embeddings.meta.get("trained_dims") or ())
    dims = dims or tuple(default_dims(embeddings.width))
    check_dims("--dims", dims, embeddings.width)
    planned = request.constraints.vectors or len(embeddings.database)
    constraints = replace(request.constraints, vectors=planned)
    return replace(request, dims=tuple(sorted({*dims, embeddings.width})), constraints=constraints)


def recommend(embeddings: Embeddings, name: str, request: Request) -> Recommendation:
    """Find the cheapest plan that meets the target, and confirm it.

    Args:
        embeddings: The vectors.
        name: What the report calls them.
        request: As `check_request` gives it.
    """
    started = time.monotonic()
    with scratch_folder() as folder:
        return _recommend(embeddings, name, request, started, folder)


def _recommend(
    embeddings: Embeddings, name: str, request: Request, started: float, folder: Path
) -> Recommendation:
    constraints, database = request.constraints, embeddings.database
    tuning, held_out = _split(len(embeddings.queries), request.seed)
    problem = Problem(database, constraints.target, folder, request.seed, Tally())
    costing = Costing(constraints, len(database), embeddings.width)
    grid = Grid(embeddings.width, len(database), constraints.target.k, request.dims)
    chooser = make_chooser(problem, _ask(problem, embeddings, tuning), grid, costing, len(held_out))
    choice = choose(chooser, started + SHARE_OF_BUDGET * request.budget, request.seed)
    work = problem.tally.total
    asked = _ask(problem, embeddings, held_out)
    found = choice.leaders[:PLANS]
    candidates = found or [_nearest(chooser)]
    plans = tuple(confirm(each, asked) for each in candidates)
    planned, growth = constraints.vectors, None
    if planned != len(database):
        growth = measure_growth(plans[0].plan, candidates[0].built, asked, planned, request.seed)
    return Recommendation(
        subject=Subject(
            name,
            len(database),
            embeddings.width,
            str(database.dtype),
            len(tuning),
            len(held_out),
            request.seed,
        ),
        constraints=constraints,
        plans=plans,
        held_out=held_out,
        latencies=tuple(measure_latency(each, asked.queries) for each in candidates),
        found=bool(found),
        front=_front(choice, chooser),
        alternatives=judge_alternatives(chooser, plans[0].plan, plans[0].cost),
        growth=growth,
        finished=choice.finished,
        tried=choice.tried,
        built=choice.built,
        multiply_adds=work,
        seconds=time.monotonic() - started,
    )


def make_chooser(
    problem: Problem, tuning: Asked, grid: Grid, costing: Costing, held_out: int
) -> Chooser:
    """Put together what choosing needs."""
    check = keeps(costing.constraints.latency, costing)
    return Chooser(
        problem,
        tuning,
        ExactLists(problem, tuning, grid),
        grid,
        costing,
        Gate(problem.target, held_out),
        lambda candidate: check(candidate, tuning.queries),
    )


def choose(chooser: Chooser, deadline: float, seed: int) -> Choice:
    """Choose on the tuning queries."""
    choice = chooser.exact_plans()
    Halving(chooser, choice, deadline, seed).run()
    return choice


def _split(queries: int, seed: int) -> tuple[IntArray, IntArray]:
    drawn = np.random.default_rng(seed).permutation(queries)[:MOST_QUERIES]
    kept = np.sort(drawn)
    tuning, held_out = tuning_split(len(kept), seed)
    return kept[tuning], kept[held_out]


def _ask(problem: Problem, embeddings: Embeddings, rows: IntArray) -> Asked:
    relevance = embeddings.relevance
    everything = np.arange(len(embeddings.database))
    queries: AnyFloatArray = np.asarray(embeddings.queries[rows])
    return problem.ask(queries, relevance and relevance.of(everything, rows))


def _nearest(chooser: Chooser) -> Candidate:
    """Find the best that keeps the limits, where nothing meets the target.

    Raises:
        UserError: Nothing keeps the limits.
    """
    plans = chooser.by_cost(EXACT, chooser.grid.stages)
    if not plans:
        smallest = min(
            chooser.costing.cost(Plan(stage, EXACT)).memory for stage in chooser.grid.stages
        )
        raise UserError(
            f"--max-memory and --max-bytes-per-vector: expected room for some plan, the smallest "
            f"takes {smallest:,.0f} bytes in all"
        )
    best = max(plans, key=lambda plan: float(chooser.bound(plan.stage, plan.rerank).mean()))
    return chooser.measure(best)


def _front(choice: Choice, chooser: Chooser) -> tuple[Point, ...]:
    """Keep what nothing cheaper is as good as, of all that was scored on the whole database."""
    points = list(choice.seen)
    points += [Point(plan, cost, mean) for plan, cost, mean in chooser.scored()]
    points.sort(key=lambda each: (each.cost.total, -each.mean))
    front = list[Point]()
    for each in points:
        if not front or each.mean > front[-1].mean:
            front.append(each)
    return tuple(front)
