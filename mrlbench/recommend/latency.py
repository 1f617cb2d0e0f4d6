"""How long a plan's single queries take, on this machine."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import faiss as library  # its type hints leave out the threads
import numpy as np

from mrlbench.arrays import AnyFloatArray
from mrlbench.evaluation.timing import time_single
from mrlbench.plugins import load
from mrlbench.protocols import Index
from mrlbench.recommend.candidates import Candidate
from mrlbench.recommend.constraints import LatencyLimit
from mrlbench.recommend.costing import Costing
from mrlbench.recommend.plans import IndexChoice, Stage

faiss: Any = library
REPEATS = 5
QUERIES = 100
HOPELESS = 3  # times the limit by the counted work: not worth a measurement


@dataclass(frozen=True)
class Latency:
    """Seconds of single queries, from raw vectors on: percentiles, the median over 5 repeats."""

    p50: float
    p95: float
    p99: float

    def of(self, percentile: int) -> float:
        """Give one of the three."""
        return {50: self.p50, 95: self.p95, 99: self.p99}[percentile]


def measure_latency(candidate: Candidate, queries: AnyFloatArray) -> Latency:
    """Time queries, (Q, D), one at a time and with one thread, as a core of a server does."""
    built, plan = candidate.built, candidate.plan
    index = built.index or _scan(candidate)
    length = max(plan.shortlist, built.problem.target.k)

    def search(rows: slice) -> object:
        asked = queries[rows]
        ids = index.search(built.cut(asked), length, plan.effort).ids
        return built.problem.rerank(asked, ids, plan.rerank)

    def time() -> AnyFloatArray | None:
        faiss.omp_set_num_threads(1)  # of this thread alone
        return time_single(search, min(QUERIES, len(queries)), REPEATS).singles

    with ThreadPoolExecutor(1) as alone:
        singles = alone.submit(time).result()  # (repeats, queries)
    if singles is None:
        raise ValueError("queries were not timed one at a time")
    percentiles = np.percentile(singles, (50, 95, 99), axis=1)  # (3, repeats)
    return Latency(*(float(each) for each in np.median(percentiles, axis=1)))


def keeps(
    limit: LatencyLimit | None, costing: Costing
) -> Callable[[Candidate, AnyFloatArray], bool]:
    """Make a check of the limit at the planned size: times grow as the counted work does.

    A plan is not timed that does more work than one which was too slow with the same first stage.
    """
    slow: dict[tuple[Stage, IndexChoice], float] = {}

    def check(candidate: Candidate, queries: AnyFloatArray) -> bool:
        if limit is None:
            return True
        plan, work = candidate.plan, candidate.cost.seconds
        family = plan.stage, plan.index
        if work >= min(HOPELESS * limit.seconds, slow.get(family, math.inf)):
            return False
        here = measure_latency(candidate, queries).of(limit.percentile)
        keeps_it = here * costing.growth(plan, candidate.counted) <= limit.seconds
        if not keeps_it:
            slow[family] = work
        return keeps_it

    return check


def _scan(candidate: Candidate) -> Index:
    """Build what scans every row as a deployed plan does, with its codes."""
    built = candidate.built
    name, arguments = _scanner(built.stage)
    index: Index = load("indexes", name)(**arguments)
    index.build(built.problem.coded(built.stage.reducer, built.stage.dtype).cut(built.stage.dim))
    return index


def _scanner(stage: Stage) -> tuple[str, dict[str, object]]:
    if stage.dtype == "float32":
        return "exact", {}
    if stage.dtype == "binary":
        return "binary", {"bits": stage.dim}
    return "scalar-quantizer", {"code": stage.dtype}
