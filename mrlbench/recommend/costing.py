"""What a plan costs at the planned size: memory, the work of a query, and one number of both.

Work is counted, not timed, so that the same vectors always give the same plan: bytes that are read
in order, and rows that lie somewhere else in memory. Both rates are those of one core of the
machine behind the published results.
"""

import math
from dataclasses import dataclass, replace

from mrlbench.costs.storage import FLOAT32, overhead, row_bytes
from mrlbench.faiss_index import cells_for
from mrlbench.recommend.constraints import Constraints
from mrlbench.recommend.plans import EXACT, IndexChoice, Plan, Rerank

BYTES_PER_SECOND = 12e9  # FAISS's exact scan, one query at a time: results/fashion-mnist-full
SECONDS_PER_JUMP = 140e-9  # a graph's step of 160 ns less its 256 bytes: README, a million rows
GB = 1e9
DAY = 86_400
DEFAULT_LINKS = 32


@dataclass(frozen=True)
class Work:
    """What a query does.

    Attributes:
        bytes: Read in order.
        jumps: Rows that lie somewhere else than the one before.
    """

    bytes: float = 0.0
    jumps: float = 0.0

    @property
    def seconds(self) -> float:
        """On one core, by the two rates."""
        return self.bytes / BYTES_PER_SECOND + self.jumps * SECONDS_PER_JUMP

    def __add__(self, other: "Work") -> "Work":
        """Add up two stages."""
        return Work(self.bytes + other.bytes, self.jumps + other.jumps)


@dataclass(frozen=True)
class Counted:
    """What an index was seen to do for one query.

    Attributes:
        rows: N of the database that it was measured on.
        distances: Computed per query.
    """

    rows: int
    distances: float


@dataclass(frozen=True)
class Cost:
    """What a plan costs at the planned size.

    Attributes:
        bytes_per_vector: Of the first stage, its index and the rerank store.
        memory: Bytes of all vectors.
        seconds: Of a core per query, by the counted work.
        total: Memory and cores by their prices, per month.
    """

    bytes_per_vector: float
    memory: float
    seconds: float
    total: float


@dataclass(frozen=True)
class Costing:
    """Turns plans into costs.

    Attributes:
        constraints: Prices, load and limits.
        rows: N of the database at hand.
        width: D.
    """

    constraints: Constraints
    rows: int
    width: int

    @property
    def vectors(self) -> int:
        """N to plan for."""
        return self.constraints.vectors or self.rows

    def cost(self, plan: Plan, counted: Counted | None = None) -> Cost:
        """Cost a plan; without counts an approximate index gets the least that it could do."""
        memory = self._memory(plan)
        work = self._first(plan, counted) + _rerank_work(plan.rerank)
        if plan.stage.reducer != "prefix":
            work += Work(self.width * plan.stage.dim * FLOAT32)  # the query is projected
        prices, load = self.constraints.prices, self.constraints.queries_per_day / DAY
        total = prices.gb_month * memory / GB + prices.core_month * work.seconds * load
        return Cost(memory / self.vectors, memory, work.seconds, total)

    def growth(self, plan: Plan, counted: Counted | None) -> float:
        """Say how many times the work of a query is at the planned size what it is here."""
        here = replace(self, constraints=replace(self.constraints, vectors=self.rows))
        return self.cost(plan, counted).seconds / here.cost(plan, counted).seconds

    def broken(self, cost: Cost) -> str:
        """Name the limit of memory or time that a cost breaks; empty where it keeps them."""
        limits = self.constraints
        if limits.bytes_per_vector is not None and cost.bytes_per_vector > limits.bytes_per_vector:
            return f"takes {cost.bytes_per_vector:,.0f} bytes a vector"
        if limits.memory is not None and cost.memory > limits.memory:
            return f"takes {cost.memory / GB:,.3g} GB"
        return ""

    def _memory(self, plan: Plan) -> float:
        stage, count = plan.stage, self.vectors
        over = overhead(plan.index.name, plan.index.links or DEFAULT_LINKS)
        store = row_bytes(plan.rerank.dims[-1], plan.rerank.dtype) if plan.rerank else 0
        return over.bytes(count, stage.dim, stage.dtype) + count * store

    def _first(self, plan: Plan, counted: Counted | None) -> Work:
        row = row_bytes(plan.stage.dim, plan.stage.dtype)
        if plan.index == EXACT:
            return Work(self.vectors * row)
        if plan.index.name == "ivf":
            rows = counted.rows if counted else self.rows
            share = plan.effort / cells_for(rows)  # of the rows, at least: full cells come first
            scanned = (counted.distances - cells_for(rows)) / rows if counted else share
            centroids = cells_for(self.vectors) * plan.stage.dim * FLOAT32
            probes = effort_at(plan, rows, self.vectors)
            return Work(centroids + scanned * self.vectors * row, probes)
        distances = float(max(plan.effort, plan.shortlist))
        if counted:
            distances = counted.distances * math.log(self.vectors) / math.log(counted.rows)
        return Work(distances * row, distances)


def effort_at(plan: Plan, rows: int, vectors: int) -> int:
    """Say what effort at `vectors` rows is the same as the plan's at `rows`.

    An inverted file probes the same share of its cells; a graph keeps its beam.
    """
    if plan.index.name != "ivf":
        return plan.effort
    return max(1, round(plan.effort * cells_for(vectors) / cells_for(rows)))


def _rerank_work(rerank: Rerank | None) -> Work:
    """Add up a ladder; a wider dim reads only the coordinates that it adds."""
    work, start = Work(), 0
    for dim, length in zip(rerank.dims, rerank.lengths, strict=True) if rerank else ():
        work += Work(length * row_bytes(dim - start, rerank.dtype), length)  # type: ignore[union-attr]
        start = dim
    return work


def build_multiply_adds(index: IndexChoice, rows: int, dim: int) -> float:
    """Estimate what building takes, to count the work of a search for plans.

    A graph links each row after a walk of about 16 times its beam of 40; an inverted file runs 25
    rounds of k-means on up to 256 rows a cell, then assigns every row.
    """
    if index.name == "ivf":
        cells = cells_for(rows)
        return float(cells * dim * (25 * min(rows, 256 * cells) + rows))
    return float(rows * 40 * 16 * dim)
